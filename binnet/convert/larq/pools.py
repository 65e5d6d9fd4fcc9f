"""Pooling layers of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import AvgPool, Constant, Flatten, GlobalAverage, MaxPool, Multiply, Reshape
from ...graph.windows import bordered, patches
from ..report import ConversionError
from .filters import Window, window_of
from .part import Part

_MOST_PIXELS = 1 << 22  # of a map whose border does not count in a mean, as the factors are stored


def max_pool(part: Part) -> None:
    """MaxPooling2D."""
    size, window = _window(part)
    part.add(MaxPool, kernel_size=size, stride=window.stride, padding=window.padding, words=_words("MaxPool", size))


def average_pool(part: Part) -> None:
    """AveragePooling2D; in Keras the border does not count."""
    size, window = _window(part)
    before = part.shape
    part.add(AvgPool, kernel_size=size, stride=window.stride, padding=window.padding, words=_words("AvgPool", size))
    if any(window.padding):
        # AvgPool divides by the size of the whole window, so windows at the border are corrected by a factor.
        if before[0] * before[1] > _MOST_PIXELS:
            raise ConversionError(f"a mean with a border is not supported for maps of {before}")
        inside = patches(bordered(np.ones((1, *before[:2], 1)), window.padding), size, window.stride).mean(axis=(4, 5))
        factors = part.constant(Constant, array=np.float32(1 / inside[0]))
        part.add(Multiply, ".inside", inputs=(part.result, factors))
        part.notes.append("the border does not count in a mean")


def global_average(part: Part) -> None:
    """GlobalAveragePooling2D."""
    _of_map(part)
    part.add(GlobalAverage)
    _keep_axes(part)


def global_max(part: Part) -> None:
    """GlobalMaxPooling2D."""
    h, w, _ = _of_map(part)
    part.add(MaxPool, kernel_size=(h, w), stride=(1, 1), padding=(0, 0, 0, 0), words=_words("MaxPool", (h, w)))
    part.add(Flatten, ".flat")
    _keep_axes(part)


def _keep_axes(part: Part) -> None:
    if part.settings.flag("keepdims", False):
        part.add(Reshape, ".axes", shape=(1, 1, *part.shape))


def _of_map(part: Part) -> Any:
    part.settings.only("data_format", "channels_last")
    if len(part.shape) != 3:
        raise ConversionError(f"it reads a map, got {part.shape}")
    return part.shape


def _window(part: Part) -> tuple[tuple[int, int], Window]:
    _of_map(part)
    size = part.settings.pair("pool_size", 2)
    return size, window_of(part, size, default=None)


def _words(kind: str, size: tuple[int, int]) -> str:
    return f"{kind} {size[0]}x{size[1]}"
