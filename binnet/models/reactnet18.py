"""ReActNet (arXiv:2003.03488) in the shape of ResNet-18. It is not in the XNOR-Net paper."""

from __future__ import annotations

from ..nn import Blocks, Named
from .birealnet18 import birealnet18
from .sizes import Size


def reactnet18(
    blocks: Blocks,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    *,
    width: int = 64,
    stem: str = "auto",
    threshold: str = "learned",
    activation: str = "rprelu",
    downsample: str = "pool",
    scale_map: str = "none",
    first_bits: int = 1,
) -> list[Named]:
    """The layers of :func:`binnet.models.birealnet18.birealnet18` with ReActNet's thresholds and activations.

    Signs are taken against a learned threshold a channel (RSign), and the sum goes through PReLU with a slope a channel
    and learned shifts before and behind it (RPReLU). The ReActNet of the paper's tables is built on MobileNet instead.
    Options and errors are those of ``birealnet18``.
    """
    return birealnet18(
        blocks,
        num_classes,
        in_channels,
        image_size,
        width=width,
        stem=stem,
        threshold=threshold,
        activation=activation,
        downsample=downsample,
        scale_map=scale_map,
        first_bits=first_bits,
    )
