"""Binary-weight convolution and dense layers: real input, weights of one bit (Eq. 1): I * W ≈ (I ⊕ B) alpha.

The weights stay one bit in memory and are read 32 times faster. For few pixels, as in a dense layer, they become ±1 in
registers; for more a slab at a time, in a buffer that stays in the cache while all pixels pass over it.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Float, Window
from ...simd.epilogue import store_sums
from ...simd.geometry import padded, sliding
from ...simd.jit import helper, kernel
from ...simd.threads import get_num_threads
from ...simd.tile import CHANNELS, FLOAT_ROWS, SHORT_ROWS, add_signed, no_row, no_short_sums, row_starts, short_starts
from ...simd.tiling import items_of, part_of, share
from .slabs import CHUNK, SLAB, add_taps, expand, room
from .xnor import in_blocks

FEW = 3  # pixels, one by one faster than all of them in one tile
ROWS = 4  # sums of one pixel at a time: eight vectors, as many additions as are under way at once


class BwnConv2d:
    """:class:`binnet_kernels.BwnConv2d` on checked arrays; the weights are kept as bits only."""

    def __init__(self, weight: Float, window: Window, alpha: Float) -> None:
        self.window, o, depth, blocks = window, len(weight), weight[:1].size, -(-len(weight) // CHANNELS)
        negative = np.pad(weight.reshape(o, depth) < 0, ((0, blocks * CHANNELS - o), (0, 0)))
        by_tap = negative.reshape(blocks, CHANNELS, depth).transpose(0, 2, 1)
        self.weight_bits = np.packbits(by_tap, axis=-1, bitorder="little").ravel()
        self._alpha_blocks = in_blocks(alpha)

    def __call__(self, x: Float, y: Float) -> None:
        """Images (N, H, W, C) to ``y`` (N, OH, OW, O)."""
        if not y.size:
            return
        walk, o = sliding(x.shape, self.window), y.shape[3]
        image, y_flat = padded(x, self.window), y.ravel()
        sizes = walk.pixels, o, walk.rows, walk.span, walk.pitch
        if walk.pixels <= SHORT_ROWS:
            few = _convolve_few if are_few(walk.pixels, o) else _convolve_short
            few(image, walk.starts, self.weight_bits, self._alpha_blocks, y_flat, *sizes)
        else:
            workers = get_num_threads()
            weight = self.weight_bits, self._alpha_blocks, np.ones_like(self._alpha_blocks), room(workers)
            _convolve_signs(image, walk.starts, walk.numbers, *weight, y_flat, *sizes, workers)


def are_few(pixels: int, o: int) -> bool:
    """Whether :func:`signed_rows` is fastest; every way gives the same bits."""
    return pixels <= min(FEW, -(-o // CHANNELS))


@kernel
def _convolve_signs(x, starts, numbers, bits, alpha, ones, scratch, out, pixels, o, rows, span, pitch, workers):
    depth, items = rows * span, items_of(pixels, o, FLOAT_ROWS, CHUNK)
    for worker in prange(workers):
        slab, some = (scratch, worker * SLAB * CHANNELS), share(worker, workers, items)
        for item in range(some[0], some[1]):
            channel, begin, end = part_of(item, pixels, o, FLOAT_ROWS, CHUNK)
            for first in range(0, depth, SLAB):
                taps = first, min(first + SLAB, depth)
                expand(bits, slab, channel // CHANNELS, depth, taps)
                # α is applied once, after the last slab; until then the result holds plain sums.
                scale = alpha if taps[1] == depth else ones
                add_taps((x, starts, span, pitch), slab, (out, numbers, o, channel, scale), taps, (begin, end))


@helper
def blocks_of(item, blocks):
    """The pixel of an item of :func:`signed_rows`, and its ROWS blocks of channels; the last block may come again."""
    groups = (blocks + ROWS - 1) // ROWS
    first, last = item % groups * ROWS, blocks - 1
    # A block that comes again writes the same values, in the same thread.
    return item // groups, (first, min(first + 1, last), min(first + 2, last), min(first + 3, last))


@helper
def signed_rows(x, starts, pixel, bits, blocks, rows, span, pitch):
    """The sums of one pixel in ROWS blocks of channels: one alone would wait for each addition to end.

    Each sum goes tap by tap, as in all other kernels: an image gets the same bits whatever its batch.
    """
    start, depth, a, b, c, d = row_starts(starts, pixel), rows * span, no_row(), no_row(), no_row(), no_row()
    for r in range(rows):
        for i in range(span):
            tap, place = r * pitch + i, r * span + i
            a = add_signed(a, x, start, tap, bits, blocks[0] * depth + place)
            b = add_signed(b, x, start, tap, bits, blocks[1] * depth + place)
            c = add_signed(c, x, start, tap, bits, blocks[2] * depth + place)
            d = add_signed(d, x, start, tap, bits, blocks[3] * depth + place)
    return a, b, c, d


@kernel
def _convolve_few(x, starts, bits, alpha, out, pixels, o, rows, span, pitch):
    """For few pixels: one at a time, ROWS blocks of channels side by side."""
    blocks = (o + CHANNELS - 1) // CHANNELS
    for item in prange(pixels * ((blocks + ROWS - 1) // ROWS)):
        pixel, some = blocks_of(item, blocks)
        sums = signed_rows(x, starts, pixel, bits, some, rows, span, pitch)
        # The four tiles are written only now: in the loop over the taps they stay in registers.
        for i in range(ROWS):
            store_sums(sums[i], out, pixel, pixel, o, some[i] * CHANNELS, alpha)


@kernel
def _convolve_short(x, starts, bits, alpha, out, pixels, o, rows, span, pitch):
    """All pixels in one tile, the signs expanded in registers."""
    for block in prange((o + CHANNELS - 1) // CHANNELS):
        start, sums, place = short_starts(starts, 0), no_short_sums(), block * rows * span
        for r in range(rows):
            for i in range(span):
                sums = add_signed(sums, x, start, r * pitch + i, bits, place)
                place += 1
        store_sums(sums, out, 0, pixels - 1, o, block * CHANNELS, alpha)
