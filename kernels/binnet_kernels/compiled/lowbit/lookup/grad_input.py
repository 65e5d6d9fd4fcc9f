"""Gradient of a binary convolution with respect to its input by table look-up.

The tables are those of four output channels of one pixel; the signs are those of the weights of 32 input channels.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ....checks import Float, Halves, Window
from ....lowbit.rounding import QuantisedGradient
from ....simd.geometry import framed
from ....simd.jit import kernel
from ....simd.lanes import WIDTH, all_lanes, first_lanes, store_all, store_lanes
from ....simd.threads import get_num_threads
from ....simd.tile import CHUNK, XNOR_ROWS, xnor_starts
from ....simd.tiling import share
from ..bit_lanes import filters_in_lanes
from ..transposed_conv import Axis, parts_of_input
from .gradient import tables_of
from .sums import BIAS, STEP, STEPS, TABLE, add_sums, look_up, no_entries, scaled, store_byte

_CACHED = 1 << 21  # bytes of tables at a time
_NEAR = 1 << 14  # bytes of signs that stay in the first-level cache beside a tile's tables


def convolve_signs(gradient: QuantisedGradient, signs: Halves, window: Window, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C) of filters (O, KH KW, half words of C); what meets no tap stays as it is."""
    (n, h, w, c), (kh, kw) = grad_x.shape, window.size
    (sh, sw), (ph, pw) = window.stride, window.padding
    rows, cols, workers = Axis(h, kh, sh, ph), Axis(w, kw, sw, pw), get_num_threads()
    words = framed(gradient.rows.view(np.float32), rows.frame, cols.frame).view(np.uint32)
    of_image, pixel = len(words) // n, gradient.rows.shape[3] // 4 * TABLE
    together = min(max(_CACHED // (of_image * TABLE), 1), n)
    tables, scratch = np.empty(together * of_image * TABLE, np.uint8), np.empty(workers * XNOR_ROWS * WIDTH, np.int32)
    weights = [_signs_of_taps(signs, part.taps, c) for part in parts_of_input(1, rows, cols, pixel)]
    for first in range(0, n, together):
        images = slice(first, first + together)
        part_of_x, units = grad_x[images], gradient.row_unit[images]
        tables_of(words[first * of_image : (first + len(units)) * of_image], tables)
        for part, weight in zip(parts_of_input(len(units), rows, cols, pixel), weights, strict=True):
            unit = np.repeat(units, part.pixels // len(units))
            arrays = tables, part.starts, part.targets, weight, unit, scratch, part_of_x.ravel()
            steps = part.rows, part.cols * pixel, (cols.frame[1] - cols.frame[0]) * pixel
            # With few signs, as in a 1x1 layer, one tile after the other: its pixels are written whole.
            chunk = 1 if weight.nbytes <= _NEAR else CHUNK
            _convolve(*arrays, part.pixels, c, *steps, chunk, workers)


def _signs_of_taps(signs: Halves, taps: np.ndarray, c: int) -> np.ndarray:
    """Signs (O, taps, half words of C) as bytes (group of 32 channels, tap, 8 output channels, 32 channels)."""
    (o, size, words), groups = signs.shape, -(-c // WIDTH)
    transposed = np.empty(groups * len(taps) * -(-o // WIDTH) * 4 * WIDTH, np.uint8)
    _transpose_signs(signs.ravel(), taps, transposed, o, size, words, groups)
    return transposed


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _transpose_signs(signs, places, transposed, o, size, words, groups):
    halves, count = (o + WIDTH - 1) // WIDTH, len(places)
    for item in prange(halves * count):  # the same filters for all taps and groups, so that they stay cached
        half, place = item // count, item % count
        for group in range(groups):
            at, pitch = places[place] * words + group, size * words
            lanes = filters_in_lanes(signs, at, pitch, half * WIDTH, min((half + 1) * WIDTH, o))
            target = ((group * count + place) * halves + half) * 4 * WIDTH
            for k in range(4):
                store_byte(transposed, target + k * WIDTH, lanes, 8 * k)


@kernel
def _convolve(tables, starts, targets, weight, unit, scratch, out, pixels, c, rows, span, pitch, chunk, workers):
    tiles, groups, depth = (pixels + XNOR_ROWS - 1) // XNOR_ROWS, (c + WIDTH - 1) // WIDTH, rows * span
    for worker in prange(workers):
        (begin, end), room = share(worker, workers, tiles), worker * XNOR_ROWS * WIDTH
        for tile in range(begin, end, chunk):
            # A chunk of tiles goes through all channels before the next, so that its tables stay cached.
            for item in range(groups * min(chunk, end - tile)):
                group, first = item // min(chunk, end - tile), (tile + item % min(chunk, end - tile)) * XNOR_ROWS
                start, place = xnor_starts(starts, first), group * depth
                for row in range(XNOR_ROWS):
                    store_all(scratch, room + row * WIDTH, all_lanes(np.int32(0)))
                sums, left = no_entries(), STEPS
                for r in range(rows):
                    for begin_of_run in range(0, span, STEPS * STEP):
                        run = min(STEPS * STEP, span - begin_of_run)
                        if left < run // STEP:  # 16 bits could overflow; asked here, as in the loop it would be slow
                            add_sums(sums, scratch, room, WIDTH)
                            sums, left = no_entries(), STEPS
                        left -= run // STEP
                        for i in range(r * pitch + begin_of_run, r * pitch + begin_of_run + run, STEP):
                            sums = look_up(sums, tables, start, i, weight, place)
                            place += STEP
                add_sums(sums, scratch, room, WIDTH)
                for row in range(min(XNOR_ROWS, pixels - first)):
                    value = scaled(scratch, room + row * WIDTH, depth // STEP * BIAS, unit[first + row])
                    target = targets[first + row] * c + group * WIDTH
                    store_lanes(out, target, value, first_lanes(c - group * WIDTH))
