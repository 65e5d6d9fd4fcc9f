"""Gradient of a convolution with respect to its input: a convolution of the gradient with the filters turned.

Pixels of x are taken in parts: those whose window over the gradient has the same places of the filter on it. At the
border some places fall outside, and with a stride rows y with one remainder of (y + ph) / sh meet the same places
r = a, a + sh, ... So nothing is multiplied by the zeros around the gradient, nor by those between its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import prange

from ._jit import kernel
from .blocks import CHUNK, SLAB, add_taps, room, share, turn, turn_signs
from .checks import Float, Window, Words
from .geometry import Indices
from .threads import get_num_threads
from .tile import CHANNELS, FLOAT_ROWS

_FIELDS = 6  # of a piece


@dataclass(frozen=True, eq=False)
class _Parts:
    """Where a transposed convolution reads and writes.

    Attributes
    ----------
    starts, targets : int64 (tiles * FLOAT_ROWS,)
        Where the window over the gradient starts for each pixel, and the number of the pixel in x. Each part fills
        whole tiles, with copies of its last pixel.
    places : int64
        The places r * kw + s of the filter in the order in which the window meets them, part after part.
    pieces : int64 (pieces * _FIELDS,)
        At most CHUNK tiles of one part each: first tile and end, where its places begin, their rows and columns, and
        what it costs in comparison.
    complete : bool
        Whether every pixel of x is in a part.
    """

    starts: Indices
    targets: Indices
    places: Indices
    pieces: Indices
    complete: bool


def _axis(size: int, output: int, k: int, s: int, p: int) -> list[tuple[Indices, Indices, Indices]]:
    """Positions y of x that meet the same places r of the filter: y, the first position of the gradient, and the r.

    y meets r where y + p - r is s times a position of the gradient.
    """
    met: dict[tuple[int, ...], list[int]] = {}
    for y in range(size):
        places = (r for r in range(k - 1, -1, -1) if (y + p - r) % s == 0)
        met.setdefault(tuple(r for r in places if 0 <= (y + p - r) // s < output), []).append(y)
    return [
        (np.array(ys), (np.array(ys) + p - places[0]) // s, np.array(places)) for places, ys in met.items() if places
    ]


@lru_cache(maxsize=64)
def _parts(x_shape: tuple[int, ...], o: int, window: Window) -> _Parts:
    n, h, w, _ = x_shape
    (oh, ow), images = window.output_size(h, w), np.arange(n)[:, None, None]
    rows, cols = (_axis(*axis) for axis in zip((h, w), (oh, ow), window.size, window.stride, window.padding))
    starts, targets, places, pieces = [], [], [], []
    tiles = met = pixels = 0
    for ys, i, r in rows:
        for xs, j, s in cols:
            numbers = ((images * h + ys[:, None]) * w + xs).ravel()
            fill = (0, -len(numbers) % FLOAT_ROWS)
            starts.append(np.pad((((images * oh + i[:, None]) * ow + j) * o).ravel(), fill, mode="edge"))
            targets.append(np.pad(numbers, fill, mode="edge"))
            places.append((r[:, None] * window.size[1] + s).ravel())
            end = tiles + len(targets[-1]) // FLOAT_ROWS
            for first in range(tiles, end, CHUNK):
                last, taps = min(first + CHUNK, end), len(r) * len(s)
                pieces.append((first, last, met, len(r), len(s), (last - first + 1) * taps))
            tiles, met, pixels = end, met + len(places[-1]), pixels + len(numbers)
    joined = (np.concatenate([np.zeros(0, np.int64), *tables]) for tables in (starts, targets, places))
    return _Parts(*joined, np.array(pieces, np.int64).ravel(), pixels == n * h * w)


def grad_input(grad: Float, weight: Float, window: Window, out: Float) -> None:
    """Write the gradient (N, H, W, C) for a gradient (N, OH, OW, O) of the output."""
    o, kh, kw, c = weight.shape
    parts = _parts(out.shape, o, window)
    if not (parts.complete and weight.size):
        out[...] = 0  # some of x, or all, meets no place of the filter
    if grad.size and weight.size:
        workers, ones = get_num_threads(), np.ones(c + CHANNELS, np.float32)
        tables = grad.ravel(), parts.starts, parts.targets, parts.places, parts.pieces
        sizes = o, kh * kw, c, grad.shape[2] * o
        _convolve_turned(*tables, weight.ravel(), ones, room(workers), out.ravel(), *sizes, workers)


def grad_input_signs(grad: Float, signs: Words, alpha: Float, window: Window, out: Float) -> None:
    """The same for filters alpha times a sign, packed as (O, KH, KW, ceil(C / 64))."""
    (o, kh, kw, words), c = signs.shape, out.shape[3]
    parts = _parts(out.shape, o, window)
    if not (parts.complete and signs.size):
        out[...] = 0
    if grad.size and signs.size:
        workers, ones = get_num_threads(), np.ones(c + CHANNELS, np.float32)
        tables = grad.ravel(), parts.starts, parts.targets, parts.places, parts.pieces
        sizes = o, kh * kw, words * 64 // CHANNELS, c, grad.shape[2] * o
        bits = signs.view(np.uint8).ravel()
        _convolve_signs_turned(*tables, bits, alpha, ones, room(workers), out.ravel(), *sizes, workers)


@kernel
def _convolve_turned(
    grad, starts, targets, places, pieces, weight, ones, scratch, out, o, size, c, pitch, workers
):
    blocks = (c + CHANNELS - 1) // CHANNELS
    for worker in prange(workers):
        slab, done = (scratch, worker * SLAB * CHANNELS), 0
        begin, end = share(worker, workers, pieces[_FIELDS - 1 :: _FIELDS].sum() * blocks)
        for piece in range(0, len(pieces), _FIELDS):
            at, rows, cols = pieces[piece + 2], pieces[piece + 3], pieces[piece + 4]
            for block in range(blocks):
                if begin <= done < end:
                    target = out, targets, c, block * CHANNELS, ones
                    for first in range(0, rows * cols * o, SLAB):
                        taps = first, min(first + SLAB, rows * cols * o)
                        turn(weight, slab, block * CHANNELS, (o, size, c), places[at : at + rows * cols], taps)
                        add_taps((grad, starts, cols * o, pitch), slab, target, taps, (pieces[piece], pieces[piece + 1]))
                done += pieces[piece + 5]


@kernel
def _convolve_signs_turned(
    grad, starts, targets, places, pieces, bits, alpha, ones, scratch, out, o, size, groups, c, pitch, workers
):
    blocks = (c + CHANNELS - 1) // CHANNELS
    for worker in prange(workers):
        slab, done = (scratch, worker * SLAB * CHANNELS), 0
        begin, end = share(worker, workers, pieces[_FIELDS - 1 :: _FIELDS].sum() * blocks)
        for piece in range(0, len(pieces), _FIELDS):
            at, rows, cols = pieces[piece + 2], pieces[piece + 3], pieces[piece + 4]
            for block in range(blocks):
                if begin <= done < end:
                    target = out, targets, c, block * CHANNELS, ones
                    for first in range(0, rows * cols * o, SLAB):
                        taps = first, min(first + SLAB, rows * cols * o)
                        turn_signs(bits, alpha, slab, block, (o, size, groups), places[at : at + rows * cols], taps)
                        add_taps((grad, starts, cols * o, pitch), slab, target, taps, (pieces[piece], pieces[piece + 1]))
                done += pieces[piece + 5]
