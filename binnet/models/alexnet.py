"""AlexNet as the authors' code builds it: batch normalisation everywhere, no groups, 96 filters at the image."""

from __future__ import annotations

from ..nn import Blocks, MaxPool2d, Named
from .sizes import Size, after, require_least

POOL = (3, 2, 0)  # window, stride and padding of the three max-poolings
BEFORE_WIDE = (POOL, (5, 1, 2), POOL, *[(3, 1, 1)] * 3, POOL)  # what follows the first convolution, up to dense6


def alexnet(
    blocks: Blocks, num_classes: int, in_channels: int, image_size: Size, *, dropout: float = 0.1, wide: int = 4096
) -> list[Named]:
    """The layers; the first convolution and the classifier are real, all between them is binary.

    In ``xnor`` and ``bnn`` no ReLU stands between binary layers (order bacp), and there is no dropout. The first dense
    layer spans the whole map that is left, 6×6 of images of 224×224, where the authors write a 6×6 convolution.

    Deviation for small images: the stride of the 11×11 filters is the largest of 4, 3, 2 and 1 that leaves at least 2×2
    pixels before the first dense layer (see :func:`stem_stride`): 4 from 95 pixels on, 3 from 73, 2 from 51.

    Parameters
    ----------
    dropout
        Probability before each of the two wide layers in ``float``, ``bwn`` and ``binaryconnect``; the other modes pass
        it over. Deviation: single elements are dropped, not whole channels.
    wide
        Outputs of each of the two wide layers.

    Raises
    ------
    ValueError
        For images below 21 pixels, and for a ``wide`` below 1.
    """
    require_least("alexnet", image_size, 21)
    if isinstance(wide, bool) or not isinstance(wide, int) or wide < 1:
        raise ValueError(f"wide must be a whole number, at least 1, got {wide!r}")
    stride = stem_stride(image_size)
    h, w = after(image_size, (11, stride, 2), *BEFORE_WIDE)  # of the map that dense6 spans
    p = 0.0 if blocks.binary_input else dropout
    return [
        *blocks.first_conv("conv1", in_channels, 96, 11, stride, 2),
        ("conv1_pool", MaxPool2d(*POOL)),
        *blocks.conv("conv2", 96, 256, 5, padding=2, relu=False),
        ("conv2_pool", MaxPool2d(*POOL)),
        *blocks.conv("conv3", 256, 384, 3, padding=1, relu=False),
        *blocks.conv("conv4", 384, 384, 3, padding=1, relu=False),
        *blocks.conv("conv5", 384, 256, 3, padding=1, relu=False),
        ("conv5_pool", MaxPool2d(*POOL)),
        *blocks.dropout("dropout6", p),
        *blocks.linear("dense6", h * w * 256, wide, norm_features=256, relu=False),
        *blocks.dropout("dropout7", p),
        *blocks.linear("dense7", wide, wide, relu=False),
        *blocks.last_norm("last", wide),
        *blocks.last_linear("dense8", wide, num_classes),
    ]


def stem_stride(image_size: Size) -> int:
    """The largest stride up to 4 that leaves at least 2×2 pixels before the first dense layer; 1 if none does.

    For 2×2 pixels the three poolings 3/2 need 5, 11 and 23 rows, and 23 rows are ``(side + 2·2 − 11) // stride + 1``.
    """
    return min(4, max(1, (min(image_size) - 7) // 22))
