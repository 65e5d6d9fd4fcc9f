"""Network in Network (arXiv:1312.4400) for CIFAR-10, as XNOR-Net implementations use it."""

from __future__ import annotations

from ..nn import AvgPool2d, Blocks, GlobalAvgPool, MaxPool2d, Named
from .sizes import Size, require_least


def nin(blocks: Blocks, num_classes: int, in_channels: int, image_size: Size) -> list[Named]:
    """The layers; the first convolution and the classifier, a 1×1 convolution, are real, the seven between them binary.

    192@5 – 160@1 – 96@1 – MP3/2 – 192@5 – 192@1 – 192@1 – AP3/2 – 192@3 – 192@1 – classes@1 – mean over all pixels,
    where 192@5 is a convolution with 192 filters of 5×5. Both poolings pad by 1. Any image of the least size and more
    fits.

    Deviations: no dropout, which the float network had; a batch normalisation in every mode; no ReLU after the
    classifier.

    Raises
    ------
    ValueError
        For images below 3 pixels, of which the second pooling would have nothing left to halve.
    """
    require_least("nin", image_size, 3)
    return [
        *blocks.first_conv("conv1", in_channels, 192, 5, padding=2),
        *blocks.conv("conv2", 192, 160, 1),
        *blocks.conv("conv3", 160, 96, 1),
        ("conv3_pool", MaxPool2d(3, 2, 1)),
        *blocks.conv("conv4", 96, 192, 5, padding=2),
        *blocks.conv("conv5", 192, 192, 1),
        *blocks.conv("conv6", 192, 192, 1),
        ("conv6_pool", AvgPool2d(3, 2, 1)),
        *blocks.conv("conv7", 192, 192, 3, padding=1),
        *blocks.conv("conv8", 192, 192, 1),
        *blocks.last_norm("last", 192, relu=False),
        *blocks.last_conv("conv9", 192, num_classes),
        ("average", GlobalAvgPool()),  # so that any size of image fits
    ]
