"""Gradient of a convolution with respect to its input: a convolution of the gradient with the filters transposed.

Pixels of x are taken in parts: those whose window over the gradient has the same places of the filter on it. At the
border some places fall outside, and with a stride rows y with one remainder of (y + ph) / sh meet the same places
r = a, a + sh, ... So nothing is multiplied by the zeros around the gradient, nor by those between its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import prange

from ...checks import Float, Window, Words
from ...simd.epilogue import load_block, store_block
from ...simd.geometry import Indices
from ...simd.jit import kernel
from ...simd.threads import get_num_threads
from ...simd.tile import CHANNELS, FLOAT_ROWS, SHORT_ROWS, multiply_signed, no_short_sums, short_starts
from ...simd.tiling import share
from ..forward.slabs import CHUNK, NO_BITS, NO_FLOATS, SLAB, add_taps, room, transpose_signs, transpose_slab

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
    starts: list[Indices] = []
    targets: list[Indices] = []
    places: list[Indices] = []
    pieces: list[tuple[int, ...]] = []
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
    begin, to, met_there = (np.concatenate([np.zeros(0, np.int64), *t]) for t in (starts, targets, places))
    return _Parts(begin, to, met_there, np.array(pieces, np.int64).ravel(), pixels == n * h * w)


def grad_input(grad: Float, weight: Float, window: Window, out: Float) -> None:
    """Write the gradient (N, H, W, C) for a gradient (N, OH, OW, O) of the output."""
    if _some_to_do(grad, weight, window, out):
        _convolve(grad, weight.ravel(), NO_BITS, NO_FLOATS, out.shape[3], window, out)


def grad_input_signs(grad: Float, signs: Words, alpha: Float, window: Window, out: Float) -> None:
    """The same for filters alpha times a sign, packed as (O, KH, KW, ceil(C / 64))."""
    if not _some_to_do(grad, signs, window, out):
        return
    bits, groups, pixels = signs.view(np.uint8).ravel(), signs.shape[3] * 64 // CHANNELS, out.size // out.shape[3]
    if pixels <= SHORT_ROWS and out.shape[:3] == grad.shape[:3] and window.size == (1, 1):
        by_filter = np.zeros((len(alpha), SHORT_ROWS), np.float32)
        by_filter[:, :pixels] = grad.reshape(pixels, -1).T
        sizes = pixels, len(alpha), groups, out.shape[3], get_num_threads()
        _multiply_few(by_filter.ravel(), np.arange(SHORT_ROWS), bits, alpha, out.ravel(), *sizes)
    else:
        _convolve(grad, NO_FLOATS, bits, alpha, groups, window, out)


def _some_to_do(grad: Float, weight: Float | Words, window: Window, out: Float) -> bool:
    """Whether any pixel of x meets a place of a filter; those that do not are set to 0."""
    there = bool(out.size and grad.size and weight.size)
    if not (there and _parts(out.shape, grad.shape[3], window).complete):
        out[...] = 0
    return there


def _convolve(
    grad: Float, weight: Float, bits: npt.NDArray[np.uint8], alpha: Float, step: int, window: Window, out: Float
) -> None:
    parts, workers, c = _parts(out.shape, grad.shape[3], window), get_num_threads(), out.shape[3]
    tables = parts.starts, parts.targets, parts.places, parts.pieces
    filters = weight, bits, alpha, np.ones(c + CHANNELS, np.float32), room(workers)
    sizes = (grad.shape[3], window.size[0] * window.size[1], step), c, grad.shape[2] * grad.shape[3]
    _convolve_transposed(grad.ravel(), *tables, *filters, out.ravel(), *sizes, workers)


@kernel
def _convolve_transposed(
    grad, starts, targets, places, pieces, weight, bits, alpha, ones, scratch, out, filters, c, pitch, workers
):
    o, blocks, cost = filters[0], (c + CHANNELS - 1) // CHANNELS, 0
    for piece in range(0, len(pieces), _FIELDS):
        cost += pieces[piece + 5]
    # Threads share the cost and not the number of pieces, as pieces at the border have few taps. Who computes a piece
    # does not change its sum.
    for worker in prange(workers):
        slab, (begin, end), done = (scratch, worker * SLAB * CHANNELS), share(worker, workers, cost * blocks), 0
        for piece in range(0, len(pieces), _FIELDS):
            met, span = places[pieces[piece + 2] :], pieces[piece + 4] * o
            depth, image = pieces[piece + 3] * span, (grad, starts, span, pitch)
            pixels = pieces[piece] * FLOAT_ROWS, pieces[piece + 1] * FLOAT_ROWS
            for block in range(blocks):
                if begin <= done < end:
                    target = out, targets, c, block * CHANNELS, ones
                    for first in range(0, depth, SLAB):
                        taps = first, min(first + SLAB, depth)
                        # The array that is not empty decides: one kernel to compile for real and for binary weights.
                        if len(bits) > 0:
                            transpose_signs(bits, alpha, slab, block, filters, met, taps)
                        else:
                            transpose_slab(weight, slab, block * CHANNELS, filters, met, taps)
                        add_taps(image, slab, target, taps, pixels)
                done += pieces[piece + 5]


@kernel
def _multiply_few(grad, channels, bits, alpha, out, pixels, o, groups, c, workers):
    """For a dense layer and few pixels: gradients (O, SHORT_ROWS) times alpha sign(W) (O, C), expanded in registers.

    Filters and roundings come as in :func:`_convolve_transposed`: an image gets the same bits whatever its batch.
    """
    row = short_starts(channels, 0)
    for worker in prange(workers):
        blocks = share(worker, workers, (c + CHANNELS - 1) // CHANNELS)
        for first in range(0, o, SLAB):  # filters whose signs stay in the cache while all blocks read theirs
            for block in range(blocks[0], blocks[1]):
                sums = no_short_sums()
                if first > 0:
                    # Sums of the filters so far wait in the result.
                    sums = load_block(out, 0, pixels, c, block * CHANNELS, c - block * CHANNELS)
                for f in range(first, min(first + SLAB, o)):
                    sums = multiply_signed(sums, grad, row, f * SHORT_ROWS, bits, f * groups + block, alpha[f])
                store_block(sums, out, 0, pixels, c, block * CHANNELS, c - block * CHANNELS)
