"""A small network for colour images of 32 to 96 pixels, with ReActNet's blocks. It is not in the paper."""

from __future__ import annotations

from ..nn import Blocks, GlobalAvgPool, Named, ShortcutBlocks, ShortcutOptions
from .sizes import Size, after, require_least

_STEM = 32
_SMALL = 48  # pixels: images below this size are not halved by the first convolution


def quick2(
    blocks: Blocks,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    *,
    channels: str = "64-128-192",
    depth: int = 2,
    threshold: str = "learned",
    activation: str = "rprelu",
    downsample: str = "pool",
    scale_map: str = "none",
    first_bits: int = 1,
) -> list[Named]:
    """The layers; the first convolution, the classifier and the 1×1 convolutions of the shortcuts are real.

    32@3/2 – 2 blocks 64/2 – 2 blocks 128/2 – 2 blocks 192/2 – mean over all pixels – classes, where 32@3/2 is a
    convolution with 32 filters of 3×3 and stride 2 (stride 1 for images below 48 pixels), and a block is one binary 3×3
    convolution with a shortcut around it (:class:`binnet.nn.ShortcutBlocks`); the first block of each stage halves the
    map. Its convolutions are those of ``quick``.

    Parameters
    ----------
    channels
        Of the stages, with hyphens between.
    depth
        Blocks of a stage, at least 1.
    threshold, activation, downsample, scale_map, first_bits
        See :class:`binnet.nn.ShortcutOptions`.

    Raises
    ------
    ValueError
        For images below 8 pixels, other channels or another depth, and unknown words.
    """
    require_least("quick2", image_size, 8)
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise ValueError(f"depth must be a whole number, at least 1, got {depth!r}")
    stride = 1 if min(image_size) < _SMALL else 2
    layers = blocks.first_conv("conv1", in_channels, _STEM, 3, stride, 1)
    options = ShortcutOptions(threshold, activation, downsample, scale_map, first_bits)
    units = ShortcutBlocks(blocks, options, _STEM, after(image_size, (3, stride, 1)))
    for stage, width in enumerate(_stages(channels), start=1):
        for number in range(1, depth + 1):
            layers += units.add(f"stage{stage}_block{number}", width, halve=number == 1)
    return [*layers, ("average", GlobalAvgPool()), *blocks.last_linear("dense", units.channels, num_classes)]


def _stages(text: str) -> list[int]:
    """Channels of the stages."""
    words = text.split("-") if isinstance(text, str) else []
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ValueError(f"channels must be whole numbers with hyphens between, such as 64-128-192, got {text!r}")
    return [int(word) for word in words]
