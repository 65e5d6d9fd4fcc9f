"""Gradient of a float convolution with respect to its input: a convolution of the gradient with the filters turned.

With a stride, rows y of x with one remainder of (y + ph) / sh meet the same taps r = a, a + sh, ... and make up a
convolution of stride 1 with those: no multiplying by the zeros that a strided gradient would have between its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import prange

from ._jit import kernel
from .blocks import SLAB, add_taps, parts_of, room, share, turn
from .checks import Float, Window
from .geometry import Indices, filled, framed
from .threads import get_num_threads
from .tile import CHANNELS


@dataclass(frozen=True, eq=False)
class _Part:
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


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of a transposed convolution: x of ``size``, a filter of ``k`` taps.

    Position y of x meets tap r and position t - m of the gradient, where t, a = divmod(y + p, s) and r = a + m s.
    """

    size: int
    k: int
    s: int
    p: int

    @property
    def reach(self) -> int:
        """The largest m."""
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


@lru_cache(maxsize=64)
def _parts(n: int, rows: _Axis, cols: _Axis, o: int) -> tuple[_Part, ...]:
    (top, bottom), (left, right) = rows.frame, cols.frame
    images, high, wide = np.arange(n)[:, None, None], bottom - top, right - left
    parts = []
    for a in range(min(rows.s, rows.k)):
        for b in range(min(cols.s, cols.k)):
            (y, i, r), (x, j, s) = rows.part(a), cols.part(b)
            starts = (((images * high + i[:, None]) * wide + j) * o).ravel()
            targets = ((images * rows.size + y[:, None]) * cols.size + x).ravel()
            if len(starts):
                taps = (r[:, None] * cols.k + s).ravel()
                parts.append(_Part(len(starts), filled(starts), filled(targets), taps, len(r), len(s)))
    return tuple(parts)


def grad_input(grad: Float, weight: Float, x_shape: tuple[int, ...], window: Window) -> Float:
    """Gradient (N, H, W, C) for a gradient (N, OH, OW, O) of the output."""
    (n, h, w, c), (o, kh, kw, _) = x_shape, weight.shape
    (sh, sw), (ph, pw) = window.stride, window.padding
    rows, cols = _Axis(h, kh, sh, ph), _Axis(w, kw, sw, pw)
    if sh > kh or sw > kw or not (grad.size and weight.size):  # some of x, or all, meets no tap
        grad_x = np.zeros(x_shape, np.float32)
    else:
        grad_x = np.empty(x_shape, np.float32)
    if grad_x.size and grad.size and weight.size:
        frame, pitch = framed(grad, rows.frame, cols.frame), (cols.frame[1] - cols.frame[0]) * o
        workers, ones = get_num_threads(), np.ones(c + CHANNELS, np.float32)
        for part in _parts(n, rows, cols, o):
            tables = part.starts, part.targets, part.taps, weight.ravel(), ones, room(workers)
            sizes = part.pixels, o, kh * kw, c, part.rows, part.cols * o
            _convolve_turned(frame, *tables, grad_x.ravel(), *sizes, pitch, workers)
    return grad_x


@kernel
def _convolve_turned(
    grad, starts, targets, places, weight, ones, scratch, out, pixels, o, size, c, rows, span, pitch, workers
):
    (tiles, chunks, blocks), depth = parts_of(pixels, c), rows * span
    for worker in prange(workers):
        slab, (begin, end) = (scratch, worker * SLAB * CHANNELS), share(worker, workers, chunks * blocks)
        for item in range(begin, end):
            chunk, channel = share(item // blocks, chunks, tiles), item % blocks * CHANNELS
            for first in range(0, depth, SLAB):
                taps = first, min(first + SLAB, depth)
                turn(weight, slab, channel, (o, size, c), places, taps)
                add_taps((grad, starts, span, pitch), slab, (out, targets, c, channel, ones), taps, chunk)
