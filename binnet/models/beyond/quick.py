"""The smallest residual network that is worth training on two cores. It is not in the paper."""

from __future__ import annotations

from itertools import pairwise

from ...nn import Blocks, GlobalAvgPool, Named
from ..sizes import Size, require_least

CHANNELS = (32, 64, 128, 192)  # after the first convolution and after each residual block


def quick(blocks: Blocks, num_classes: int, in_channels: int, image_size: Size) -> list[Named]:
    """The layers; the first convolution, the classifier and the 1×1 convolutions of the shortcuts are real.

    32@3/2 – residual 64/2 – residual 128/2 – residual 192/2 – mean over all pixels – classes, where 32@3/2 is a
    convolution with 32 filters of 3×3 and stride 2; see :meth:`binnet.nn.Blocks.residual` for the blocks. It is meant
    for colour images of 32 to 64 pixels and for trying things out: it has 0.87 M weights and takes 39 MMAC an image of
    64×64, and on two cores 10,000 of those pass through training in less than a minute. Any image of the least size and
    more fits.

    Raises
    ------
    ValueError
        For images below 8 pixels, the side of the built-in digits.
    """
    require_least("quick", image_size, 8)
    layers = blocks.first_conv("conv1", in_channels, CHANNELS[0], 3, 2, 1)
    for number, (before, channels) in enumerate(pairwise(CHANNELS), start=1):
        layers += blocks.residual(f"block{number}", before, channels, stride=2)
    layers += blocks.last_norm("last", CHANNELS[-1])  # a residual sum ends without a normalisation
    return [*layers, ("average", GlobalAvgPool()), *blocks.last_linear("dense", CHANNELS[-1], num_classes)]
