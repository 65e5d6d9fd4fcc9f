"""A small network for colour images of 32 to 96 pixels, with ReActNet's blocks. It is not in the paper."""

from __future__ import annotations

import re

from ...nn import Blocks, GlobalAvgPool, Named, ShortcutBlocks, ShortcutOptions
from ..sizes import Size, after, require_least
from .birealnet18 import REACT

_STEM = 32
_SMALL = 48  # pixels: images below this size are not halved by the first convolution


def quick2(
    blocks: Blocks,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    shortcuts: ShortcutOptions = REACT,
    *,
    stages: str = "64x2-128x2-192x2",
) -> list[Named]:
    """The layers; the first convolution, the classifier and the 1×1 convolutions of the shortcuts are real.

    32@3/2 – 2 blocks 64/2 – 2 blocks 128/2 – 2 blocks 192/2 – mean over all pixels – classes, where 32@3/2 is a
    convolution with 32 filters of 3×3 and stride 2 (stride 1 for images below 48 pixels), and a block is one binary 3×3
    convolution with a shortcut around it (:class:`binnet.nn.ShortcutBlocks`); the first block of each stage halves the
    map. Its convolutions are those of ``quick``.

    Parameters
    ----------
    shortcuts
        ReActNet's thresholds and activations unless given.
    stages
        Channels and number of blocks of each stage, with hyphens between.

    Raises
    ------
    ValueError
        For images below 8 pixels, stages written in another way.
    """
    require_least("quick2", image_size, 8)
    stride = 1 if min(image_size) < _SMALL else 2
    layers = blocks.first_conv("conv1", in_channels, _STEM, 3, stride, 1)
    row = ShortcutBlocks(blocks, shortcuts, _STEM, after(image_size, (3, stride, 1)))
    for stage, (width, depth) in enumerate(_stages(stages), start=1):
        for number in range(1, depth + 1):
            layers += row.add(f"stage{stage}_block{number}", width, halve=number == 1)
    return [*layers, ("average", GlobalAvgPool()), *blocks.last_linear("dense", row.channels, num_classes)]


def _stages(text: str) -> list[tuple[int, int]]:
    """Channels and number of blocks of each stage."""
    if not isinstance(text, str) or not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,2}(-[1-9]\d{0,4}x[1-9]\d{0,2})*", text):
        raise ValueError(f"stages must be channels x blocks with hyphens between, like 64x2-128x2-192x2, got {text!r}")
    return [(int(width), int(depth)) for width, _, depth in (word.partition("x") for word in text.split("-"))]
