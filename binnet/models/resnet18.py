"""ResNet-18 (arXiv:1512.03385) as in table 2 of the paper: shortcuts of type B, four stages of two blocks."""

from __future__ import annotations

from itertools import pairwise

from ..nn import Blocks, GlobalAvgPool, MaxPool2d, Named
from .sizes import Size, require_least

STAGES = (64, 128, 256, 512)


def resnet18(blocks: Blocks, num_classes: int, in_channels: int, image_size: Size) -> list[Named]:
    """The layers; the 3×3 convolutions are binary.

    The first convolution (64 filters 7×7, stride 2), the classifier and the 1×1 convolutions of the three shortcuts are
    real. Every stage but the first halves the map, so that 1/32 of the image's rows and columns is left before the mean
    over all pixels; see :meth:`binnet.nn.Blocks.residual` for the blocks. Any image of the least size and more fits.

    Raises
    ------
    ValueError
        For images below 17 pixels, of which the last stage would have nothing left to halve.
    """
    require_least("resnet18", image_size, 17)
    stem = [*blocks.first_conv("conv1", in_channels, 64, 7, 2, 3), ("conv1_pool", MaxPool2d(3, 2, 1))]
    layers = [*stem, *blocks.residual("stage1_block1", 64, 64), *blocks.residual("stage1_block2", 64, 64)]
    for number, (before, channels) in enumerate(pairwise(STAGES), start=2):
        layers += blocks.residual(f"stage{number}_block1", before, channels, stride=2)  # the real 1x1 shortcut is here
        layers += blocks.residual(f"stage{number}_block2", channels, channels)
    layers += blocks.last_norm("last", STAGES[-1])
    return [*layers, ("average", GlobalAvgPool()), *blocks.last_linear("dense", STAGES[-1], num_classes)]
