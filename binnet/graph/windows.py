"""Windows that slide over maps, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def patches(x: Any, size: Sequence[int], stride: Sequence[int]) -> Any:
    """All windows of maps (N, H, W, C), as a view (N, OH, OW, C, KH, KW)."""
    view = np.lib.stride_tricks.sliding_window_view(x, tuple(size), axis=(1, 2))
    return view[:, :: stride[0], :: stride[1]]


def bordered(x: Any, padding: tuple[int, int, int, int], value: float = 0.0) -> Any:
    """Maps (N, H, W, C) with a border of (top, bottom, left, right) rows and columns of ``value``."""
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)
