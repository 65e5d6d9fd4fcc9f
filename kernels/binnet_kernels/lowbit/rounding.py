"""Rounding of gradients to few levels: numbers between 0 and ``top`` = 2^bits - 1, and what they stand for.

``factor`` brings a gradient to these units, ``u`` in [0, 1) decides between the two levels beside it. A
gradient that is no number gets some level: its scale is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Float, Halves, Ints

Bytes = npt.NDArray[np.int8]
_LEAST = np.float32(2.0**-100)  # so that its reciprocal is a float32 as well

MAGNITUDES, EVEN, SIGNS = 0, 1, 2
_KINDS = {"ternary": MAGNITUDES, "even": EVEN, "paper": SIGNS}


@dataclass(frozen=True)
class Rounding:
    """What a gradient is rounded to.

    Attributes
    ----------
    kind : MAGNITUDES, EVEN or SIGNS
        A sign and a level for the magnitude; levels from the most negative to the most positive value, without a zero
        between them; the sign alone.
    planes : int
        Bit planes of the levels, 1 to 8.
    seed : int
    """

    kind: int
    planes: int
    seed: int

    @classmethod
    def of(cls, how: str, bits: int, seed: int) -> Rounding:
        """Check and combine the options of :func:`binnet_kernels.quantise_gradient`."""
        if how not in _KINDS:
            raise ValueError(f"unknown way {how!r} to quantise a gradient; there are: {', '.join(_KINDS)}")
        if not _whole(bits) or not 1 <= bits <= 8:
            raise ValueError(f"bits must be a whole number from 1 to 8, got {bits!r}")
        if not _whole(seed) or not 0 <= seed < 2**64:
            raise ValueError(f"seed must be a whole number of 64 bits, got {seed!r}")
        kind = _KINDS[how]
        return cls(kind, 1 if kind == SIGNS else int(bits), int(seed))

    @property
    def top(self) -> int:
        """The largest level."""
        return (1 << self.planes) - 1

    def scales(self, peak: Float) -> tuple[Float, Float]:
        """The value of a step of 1, and the factor from values to levels, where ``peak`` is the largest magnitude.

        Peaks below 2**-100 count as 0. Infinite ones and NaN make the step NaN.
        """
        small = peak < _LEAST
        usable = np.where(small | ~np.isfinite(peak), np.float32(1), peak)
        # A gradient that is not finite has to stay visible, although levels cannot hold it: its unit is NaN.
        unit = np.where(np.isfinite(peak), np.where(small, 0, usable / np.float32(self.top)), np.nan)
        factor = np.float32(self.top * (0.5 if self.kind == EVEN else 1)) / usable
        return unit.astype(np.float32), np.where(small, np.float32(0), factor).astype(np.float32)


@dataclass(frozen=True, eq=False)
class QuantisedGradient:
    """A gradient (N, OH, OW, O) of few levels for both backward convolutions: whole numbers, and the unit of each.

    It belongs to the form that made it, which both convolutions take. In NumPy ``rows`` and ``columns`` are the whole
    numbers, int32 (N, OH, OW, O). Compiled, they are bit planes packed along the axis that a convolution sums over,
    plane j with weight 2^j; or signed bytes, where whole numbers up to 15 go through tables.

    Attributes
    ----------
    shape : (N, OH, OW, O)
    rows : uint32 (planes, N, OH, OW, ceil(O / 32), 2), int8 (N, OH, OW, 32 ceil(O / 32)), or int32 (N, OH, OW, O)
        Of gradient times alpha. Planes are packed along the channels: half words of signs (1 is negative), and of
        masks.
    row_unit : float32 (N,)
        What a 1 stands for in each sample.
    columns : uint32 (planes, 8 ceil(O / 32), at least ceil(N OH OW / 32), 2, 4), \
            int8 (8 ceil(N OH OW / 32), 32 ceil(O / 32), 4), or int32 (N, OH, OW, O)
        Of the gradient. Planes are packed along the pixels: four channels side by side, signs and masks. Bytes stand in
        groups of four pixels.
    column_unit : float32 (O,)
        What a 1 stands for in each channel.
    """

    shape: tuple[int, ...]
    rows: Halves | Ints | Bytes
    row_unit: Float
    columns: Halves | Ints | Bytes
    column_unit: Float

    @property
    def in_numpy(self) -> bool:
        """Whether the NumPy form has made it."""
        return self.rows.dtype == np.int32

    @property
    def in_bytes(self) -> bool:
        """Whether the compiled form holds signed bytes and not bit planes."""
        return self.rows.dtype == np.int8

    @property
    def planes(self) -> int:
        """The number of bit planes; a ValueError where the gradient has none."""
        if self.in_numpy or self.in_bytes:
            raise ValueError(f"the gradient must be in bit planes, got {self.rows.dtype} numbers")
        return len(self.rows)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


# ------------------------------------------------------------------ rounding


def magnitudes_of(x: Any, factor: Any, u: Any, top: Any) -> npt.NDArray[np.uint32]:
    """``floor(|x| factor + u)``, at most ``top``."""
    level = np.abs(x) * factor + u
    result: npt.NDArray[np.uint32] = np.where(level < top, level, top).astype(np.uint32)
    return result


def even_levels_of(x: Any, factor: Any, u: Any, top: Any) -> npt.NDArray[np.uint32]:
    """``top - level``, where the level is ``floor(x factor + u + top / 2)`` in 0 ... top: 0 is the most positive value.

    The addition of (top + 1) / 2 comes after the floor, so that no small negative x is lost in it.
    """
    level = np.floor(x * factor + (u - np.float32(0.5))) + (top + 1) * np.float32(0.5)
    level = np.where(level < top, level, top)
    result: npt.NDArray[np.uint32] = (top - np.where(level > 0, level, np.float32(0))).astype(np.uint32)
    return result


def signs_of(x: Any) -> npt.NDArray[np.uint32]:
    """1 where x < 0, otherwise 0."""
    result: npt.NDArray[np.uint32] = (x < 0).astype(np.uint32)
    return result
