"""Layers with one number a channel, row or column, as networks after XNOR-Net put them around signs.

ReActNet (arXiv:2003.03488) takes signs against learned thresholds, a :class:`Shift` before a binary layer, and
activates by :class:`RPReLU`. XNOR-Net++ (arXiv:1909.13863) multiplies the map of a binary
convolution by learned factors, :class:`SpatialScale`.
"""

from __future__ import annotations

import numpy as np

from binnet_kernels.checks import Float

from .. import ops
from ..autograd import Tensor
from ..context import state
from .containers import Sequential
from .module import Module, Parameter


class PReLU(Module):
    """``x`` where x >= 0, else ``slope · x`` (arXiv:1502.01852), for (N, C) and (N, H, W, C).

    Parameters
    ----------
    channels
        How many slopes: one for each channel, or 1 for all of them together.
    slope
        Initial value. The slopes are learned, without weight decay.
    """

    def __init__(self, channels: int = 1, slope: float = 0.25) -> None:
        super().__init__()
        self.slope = Parameter(_one_each(channels, slope), decay=False)

    def forward(self, x: Tensor) -> Tensor:
        # One slope for all channels takes inputs of any shape.
        if len(self.slope) > 1:
            _expect_channels(self, x, len(self.slope))
        return ops.prelu(x, self.slope)


class RPReLU(Sequential):
    """ReActNet's activation (RPReLU, arXiv:2003.03488): a :class:`Shift`, a :class:`PReLU`, a :class:`Shift`.

    They run as one function, with the bits of the three.

    Parameters
    ----------
    channels
        Of the map; each has its own shifts and slope.
    """

    before: Shift
    slope: PReLU
    after: Shift

    def __init__(self, channels: int) -> None:
        super().__init__(("before", Shift(channels)), ("slope", PReLU(channels)), ("after", Shift(channels)))

    def forward(self, x: Tensor) -> Tensor:
        if state.recorder is not None:  # a graph has one node for each
            return super().forward(x)
        _expect_channels(self, x, len(self.slope.slope))
        return ops.rprelu(x, self.before.shift, self.slope.slope, self.after.shift)


class Scale(Module):
    """``factor · x``, for (N, C) and (N, H, W, C); one learned factor for each channel, 1 at first, no weight decay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = Parameter(_one_each(channels, 1.0), decay=False)

    def forward(self, x: Tensor) -> Tensor:
        _expect_channels(self, x, len(self.factor))
        return ops.mul(x, self.factor)


class Shift(Module):
    """``x + shift``, for (N, C) and (N, H, W, C); one learned shift for each channel, 0 at first, no weight decay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = Parameter(_one_each(channels, 0.0), decay=False)

    def forward(self, x: Tensor) -> Tensor:
        _expect_channels(self, x, len(self.shift))
        return ops.add(x, self.shift)


class SpatialScale(Module):
    """``α_c β_i γ_j · x`` for maps (N, H, W, C): the scale of XNOR-Net++ (arXiv:1909.13863, case 4).

    One factor for each channel, row and column, learned, 1 at first, without weight decay. So the map has a fixed size.

    Parameters
    ----------
    rows, columns, channels
        Size of the map.
    """

    def __init__(self, rows: int, columns: int, channels: int) -> None:
        super().__init__()
        self.rows = Parameter(_one_each(rows, 1.0).reshape(rows, 1, 1), decay=False)
        self.columns = Parameter(_one_each(columns, 1.0).reshape(columns, 1), decay=False)
        self.channels = Parameter(_one_each(channels, 1.0), decay=False)

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", self.rows.shape[0], self.columns.shape[0], len(self.channels))
        return ops.mul(x, ops.mul(ops.mul(self.rows, self.columns), self.channels))


def _one_each(channels: int, value: float) -> Float:
    if not isinstance(channels, int | np.integer) or isinstance(channels, bool) or channels < 1:
        raise ValueError(f"channels must be a whole number of at least 1, got {channels!r}")
    return np.full(channels, value, np.float32)


def _expect_channels(module: Module, x: Tensor, channels: int) -> None:
    # Rows and maps only: broadcasting along the last axis would also take other shapes without a word.
    axes: tuple[str, ...] = ("N", "H", "W") if x.ndim == 4 else ("N",)
    module.expect(x.shape, *axes, channels)
