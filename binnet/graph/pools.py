"""Nodes that pool: the largest value or the mean of each window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .graph import MOST_PADDING, Float, Four, Node, Shape, kind, window_output
from .windows import bordered, patches


@dataclass(frozen=True, eq=False)
class _Pool(Node):
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: Four  # (top, bottom, left, right)

    def check(self) -> None:
        self.whole("kernel_size", 2, 1)
        self.whole("stride", 2, 1)
        self.whole("padding", 4, 0, MOST_PADDING)
        (kh, kw), (top, bottom, left, right) = self.kernel_size, self.padding
        # A window that lies in the border alone would have no pixel to pool.
        if max(top, bottom) >= kh or max(left, right) >= kw:
            raise ValueError(f"{self.name}: padding must be smaller than the window {kh, kw}, got {self.padding}")

    def output(self, *shapes: Shape) -> Shape:
        shape = self.expect_map(shapes[0])
        return (*window_output(self.name, self.kernel_size, self.stride, self.padding, shape), shape[2])


@kind
@dataclass(frozen=True, eq=False)
class MaxPool(_Pool):
    """Largest value of each window, NaN if there is one; the border does not count."""

    def gives_bytes(self, of_bytes: bool) -> bool:
        return of_bytes

    def compute(self, *inputs: Any) -> Float:
        # Any pixel is larger than the border; NumPy's max passes NaN on.
        x = bordered(inputs[0], self.padding, -np.inf)
        return np.ascontiguousarray(patches(x, self.kernel_size, self.stride).max(axis=(4, 5)))


@kind
@dataclass(frozen=True, eq=False)
class AvgPool(_Pool):
    """Mean of each window; the border counts as zeros."""

    def compute(self, *inputs: Any) -> Float:
        # Divided by the size of the whole window, also where part of it is border.
        x = bordered(inputs[0], self.padding)
        return np.ascontiguousarray(patches(x, self.kernel_size, self.stride).mean(axis=(4, 5)))
