"""Filters of bytes: that their sums fit into 32 bits, and what a sum lacks to be the value it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..checks import Doubles, Float
from .byte_map import MOST

Whole = npt.NDArray[np.int8]
MOST_SUM = (1 << 31) - 1


def check_sums(weight: Whole) -> None:
    """ValueError unless every sum of products with numbers from 0 to 255, and every part of it, fits into 32 bits."""
    # The positive weights alone, or the negative ones, with all inputs at 255: no part of a sum goes beyond.
    rows = weight.reshape(len(weight), -1)
    ends = (part(rows, 0).sum(axis=1, dtype=np.int64) for part in (np.maximum, np.minimum))
    largest = MOST * max(int(np.abs(end).max(initial=0)) for end in ends)
    if largest > MOST_SUM:
        raise ValueError(f"the weights must have sums that fit into 32 bits, got sums of up to {largest}")


@dataclass(frozen=True, eq=False)
class Affine:
    """How a sum of whole numbers becomes a value: ``sum * scale + offset``.

    Attributes
    ----------
    by_tap : float64 (O, KH, KW)
        Sums of ``weight * zero`` over the channels, exact for zeros that are multiples of 2^-16.
    scale : float32 (O,)
    bias : float32 (O,)
    """

    by_tap: Doubles
    scale: Float
    bias: Float

    @classmethod
    def of(cls, weight: Whole, zero: Float, scale: Float, bias: Float) -> Affine:
        """From weights (O, KH, KW, C) and the numbers (C,) or (1,) that stand for 0."""
        zeros, by_tap = np.broadcast_to(zero.astype(np.float64), weight.shape[3]), np.empty(weight.shape[:3])
        for row, target in zip(weight, by_tap):  # one filter at a time: all of them in float64 are 8 times as large
            np.matmul(row.astype(np.float64), zeros, out=target)
        return cls(by_tap, scale, bias)

    def offsets(self, inside: npt.NDArray[np.bool_]) -> Float:
        """Float32 (..., O): the bias less the zeros of the taps (..., KH, KW) that lie inside the image."""
        zeros = np.tensordot(inside.astype(np.float64), self.by_tap, axes=([-2, -1], [1, 2]))
        # Float64 up to here, rounded once: the packed graph computes the same bits in this way.
        offsets: Float = (self.bias.astype(np.float64) - zeros * self.scale).astype(np.float32)
        return offsets
