"""LeNet-5 as XNOR-Net implementations use it: 20C5–MP2–50C5–MP2–500–10."""

from __future__ import annotations

from ..nn import Blocks, MaxPool2d, Named
from .sizes import Size, after, require_least


def lenet5(
    blocks: Blocks, num_classes: int, in_channels: int, image_size: Size, *, dropout: float = 0.0
) -> list[Named]:
    """The layers; the first convolution and the classifier are real, ``conv2`` and ``dense3`` binary.

    Images of 20 pixels and more are not padded, as in the original; smaller ones by 2 at both convolutions, so that 8×8
    digits do not vanish.

    Parameters
    ----------
    dropout
        Probability before the classifier.

    Raises
    ------
    ValueError
        For images below 4 pixels.
    """
    require_least("lenet5", image_size, 4)
    padding = 0 if min(image_size) >= 20 else 2
    h, w = after(image_size, *[(5, 1, padding), (2, 2, 0)] * 2)
    return [
        *blocks.first_conv("conv1", in_channels, 20, 5, padding=padding),
        ("conv1_pool", MaxPool2d(2)),
        *blocks.conv("conv2", 20, 50, 5, padding=padding),
        ("conv2_pool", MaxPool2d(2)),
        *blocks.linear("dense3", h * w * 50, 500, norm_features=50),
        *blocks.dropout("dropout", dropout),
        *blocks.last_linear("dense4", 500, num_classes),
    ]
