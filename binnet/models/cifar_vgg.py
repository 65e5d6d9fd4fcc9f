"""The CIFAR-10 network of BinaryConnect (arXiv:1511.00363, section 3.3), inspired by VGG."""

from __future__ import annotations

from ..nn import Blocks, MaxPool2d, Named
from .sizes import Size, require_least


def cifar_vgg(blocks: Blocks, num_classes: int, in_channels: int, image_size: Size) -> list[Named]:
    """The layers; the first convolution and the classifier are real, the five convolutions and two dense layers binary.

    128C3 – 128C3 – MP2 – 256C3 – 256C3 – MP2 – 512C3 – 512C3 – MP2 – 1024FC – 1024FC – classes, where 128C3 is a
    convolution with 128 filters of 3×3 and padding 1.

    Deviations: the first and the last layer are real, as in XNOR-Net, where BinaryConnect binarises them too. In
    ``xnor`` and ``bnn`` (order bacp) a ReLU follows each binary layer, which section 3.2 of XNOR-Net advises for
    networks like VGG.

    Raises
    ------
    ValueError
        For images below 8 pixels.
    """
    require_least("cifar_vgg", image_size, 8)
    h, w = (side // 8 for side in image_size)  # three poolings, each rounds down
    return [
        *blocks.first_conv("conv1", in_channels, 128, 3, padding=1),
        *blocks.conv("conv2", 128, 128, 3, padding=1),
        ("conv2_pool", MaxPool2d(2)),
        *blocks.conv("conv3", 128, 256, 3, padding=1),
        *blocks.conv("conv4", 256, 256, 3, padding=1),
        ("conv4_pool", MaxPool2d(2)),
        *blocks.conv("conv5", 256, 512, 3, padding=1),
        *blocks.conv("conv6", 512, 512, 3, padding=1),
        ("conv6_pool", MaxPool2d(2)),
        *blocks.linear("dense7", h * w * 512, 1024, norm_features=512),
        *blocks.linear("dense8", 1024, 1024),
        *blocks.last_norm("last", 1024, relu=False),
        *blocks.last_linear("dense9", 1024, num_classes),
    ]
