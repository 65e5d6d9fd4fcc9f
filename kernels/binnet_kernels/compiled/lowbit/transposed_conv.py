"""Tables for a transposed convolution: the pixels of x, sorted by the taps that they meet.

With a stride, rows y of x with one remainder of (y + ph) / sh meet the same taps r = a, a + sh, ... and make up a
convolution of stride 1 with those: no multiplying by the zeros that a strided gradient would have between its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...simd.geometry import Indices, filled


@dataclass(frozen=True, eq=False)
class Part:
    """The pixels of x that meet the same taps.

    Attributes
    ----------
    starts, targets : int64 (pixels,), and copies of the last one to fill a tile
        Where the window over the framed gradient starts for each pixel, and the number of the pixel in x.
    taps : int64 (rows * cols,)
        The taps r * kw + s in the order in which the window meets them, rows of ``cols``.
    """

    pixels: int
    starts: Indices
    targets: Indices
    taps: Indices
    rows: int
    cols: int


@dataclass(frozen=True)
class Axis:
    """One axis of a transposed convolution: x of ``size``, a filter of ``k`` taps.

    Position y of x meets tap r and position t - m of the gradient, where t, a = divmod(y + p, s) and r = a + m s.
    """

    size: int
    k: int
    s: int
    p: int

    @property
    def reach(self) -> int:
        """The largest m, counted in positions of the gradient."""
        return -(-self.k // self.s) - 1

    @property
    def frame(self) -> tuple[int, int]:
        """The first position of the gradient that is read, and the one past the last."""
        return self.p // self.s - self.reach, (self.size - 1 + self.p) // self.s + 1

    def part(self, a: int) -> tuple[Indices, Indices, Indices]:
        """Positions y with remainder ``a``, where their window starts in the frame, and its taps in that order."""
        y = np.arange((a - self.p) % self.s, self.size, self.s)
        taps = np.arange(a, self.k, self.s)[::-1]
        return y, (y + self.p) // self.s - (len(taps) - 1) - self.frame[0], taps


@lru_cache(maxsize=256)
def parts_of_input(n: int, rows: Axis, cols: Axis, o: int) -> tuple[Part, ...]:
    """The parts of n images, for a gradient of ``o`` values a pixel that lies in the frame of both axes."""
    (top, bottom), (left, right) = rows.frame, cols.frame
    images, high, wide = np.arange(n)[:, None, None], bottom - top, right - left
    parts = []
    # Remainders from the size of the filter on meet no tap: the gradient there is 0.
    for a in range(min(rows.s, rows.k)):
        for b in range(min(cols.s, cols.k)):
            (y, i, r), (x, j, s) = rows.part(a), cols.part(b)
            starts = (((images * high + i[:, None]) * wide + j) * o).ravel()
            targets = ((images * rows.size + y[:, None]) * cols.size + x).ravel()
            if len(starts):
                taps = (r[:, None] * cols.k + s).ravel()
                parts.append(Part(len(starts), filled(starts), filled(targets), taps, len(r), len(s)))
    return tuple(parts)
