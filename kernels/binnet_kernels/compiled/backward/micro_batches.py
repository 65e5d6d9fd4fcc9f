"""Gradient of a convolution with respect to its weights, summed over several micro-batches.

The sums of a micro-batch are those that :mod:`.grad_weight` makes of it alone, and they are added in the tree of
:mod:`binnet_kernels.tree`. As arrays of the size of the result they would be written and read again for each
micro-batch. So the result is made in *pieces* of some channels and taps: all micro-batches pass over a piece, whose
sums stay in the caches, and it is written once.

The tree needs no more than a stack of sums for each tile: after a micro-batch, sums merge like the digits of a binary
counter.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from ...checks import Float, Window
from ...simd.epilogue import load_block, store_block, stream_block
from ...simd.geometry import Indices, aligned
from ...simd.jit import helper, kernel
from ...simd.threads import get_num_threads
from ...simd.tile import CHANNELS, SHORT_ROWS, add_outer, add_tiles, no_short_sums
from ...simd.tiling import share
from ...simd.vector import LANES
from .gather import FIELDS, PIXELS, Source, find_pixels, gather, gather_gradients

STREAM = 2**22  # bytes, more than a second-level cache holds
_WIDE = 128  # channels and taps of a piece: its sums of one micro-batch take 64 KB, its panels not much more
_BLOCKS = _WIDE // CHANNELS
_TILE = SHORT_ROWS * CHANNELS
_PANELS = PIXELS * (CHANNELS + _WIDE)


def add_micro_batches(source: Source, grad: Float, window: Window, cuts: tuple[int, ...], out: Float) -> None:
    """Write ``out`` (O, KH, KW, C), when no micro-batch has so many pixels that it is summed in slices."""
    (n, oh, ow, o), workers, parts = grad.shape, get_num_threads(), _parts(cuts)
    # When all pixels are in one chunk, a tile is finished before the next, and the stack of one is enough for all.
    once = (cuts[-1] - cuts[0]) * oh * ow <= PIXELS
    height = 1 + int(parts[2::4].max())
    tiles = 1 if once else -(-min(o, _WIDE) // SHORT_ROWS) * min(-(-source.taps // CHANNELS), _BLOCKS)
    stream = out.nbytes >= STREAM and out.ctypes.data % 64 == source.taps % CHANNELS == 0
    room = _PANELS + tiles * height * _TILE
    tables = source.strips, parts, aligned(workers * room), np.empty(workers * 2 * PIXELS, np.int64)
    sizes = (
        (*source.steps, n, *window.stride, oh, ow, o),
        (*source.walk, *source.planes),
        (room, height, once, stream),
    )
    _sum_parts(source.floats, source.bits, grad.ravel(), *tables, out.ravel(), *sizes, workers)


@lru_cache(maxsize=64)
def _parts(cuts: tuple[int, ...]) -> Indices:
    """Four numbers for each micro-batch i: first image, last image + 1, and where sums are on the stack.

    Before it there are as many sums as i has bits of 1; its own merges with those down to the fourth number.
    """
    last = len(cuts) - 2
    lowest = [(i + 1).bit_count() - 1 for i in range(last)] + [0]
    table = [(*cuts[i : i + 2], i.bit_count(), to) for i, to in enumerate(lowest)]
    return np.array(table, np.int64).ravel()


# ---------------------------------------------------------------------------------------------- kernels


@helper
def _add_tile(scratch, gradients, taps, chunk, parts, stack):
    """Pixels of a chunk, for a tile of the result: each micro-batch merges with those before it when it ends.

    The chunk: first pixel, how many, pixels of an image; the first micro-batch that is in it, and the last + 1.
    """
    # One way through, and no array in a tuple: otherwise Numba counts references to arrays, with atomic instructions
    # that wait for stores past the caches, and a dense layer takes 1.4 times as long.
    begin, count, size, part, until = chunk
    for i in range(part, until):
        first, end = parts[i * 4] * size - begin, parts[i * 4 + 1] * size - begin
        level, lowest, sums = parts[i * 4 + 2], parts[i * 4 + 3], no_short_sums()
        if first < 0:
            sums = load_block(scratch, 0, SHORT_ROWS, CHANNELS, stack + level * _TILE, CHANNELS)
        for k in range(max(first, 0), min(end, count)):
            sums = add_outer(sums, scratch, gradients + k * LANES, scratch, taps + k * CHANNELS)
        # One that goes on in the next chunk does not merge yet.
        lowest = level if end > count else lowest
        for below in range(level - 1, lowest - 1, -1):
            left = load_block(scratch, 0, SHORT_ROWS, CHANNELS, stack + below * _TILE, CHANNELS)
            sums = add_tiles(left, sums)
        store_block(sums, scratch, 0, SHORT_ROWS, CHANNELS, stack + lowest * _TILE, CHANNELS)


@helper
def _add_piece(x, bits, grad, strips, parts, panels, table, out, shape, walk, piece):
    """All micro-batches, for a piece of the result: the taps of some blocks of a strip, and some channels."""
    (strip, low, high, bottom, top), (scratch, taps, height, once, stream), o = piece, panels, shape[8]
    size, span = strips[strip * FIELDS + 1] * strips[strip * FIELDS + 3], walk[0] * walk[1]
    gradients, sums, depth = taps + PIXELS * CHANNELS, taps + _PANELS, len(out) // o
    first, last, part, until = parts[0] * size, parts[len(parts) - 3] * size, 0, 0
    # At least once, as a strip without pixels has to write its zeros.
    for begin in range(first, max(last, first + 1), PIXELS):
        count, stack = min(last - begin, PIXELS), sums
        find_pixels(strips, strip, shape, begin, count, table)
        gather_gradients(grad, table, count, o, (bottom, top), scratch, gradients)
        while until < len(parts) // 4 and parts[until * 4] * size <= begin + count:
            until += 1
        for block in range(low, high):
            gather(x, bits, table, count, block, walk, scratch, taps)
            for channel in range(bottom, top, SHORT_ROWS):
                row, tap, left = channel - bottom, strip * span + block * CHANNELS, span - block * CHANNELS
                place = gradients + row // LANES * LANES * count + row % LANES
                _add_tile(scratch, place, taps, (begin, count, size, part, until), parts, stack)
                if begin + count == last:
                    total = load_block(scratch, 0, SHORT_ROWS, CHANNELS, stack, CHANNELS)
                    if stream:
                        stream_block(total, out, channel, o, depth, tap, left)
                    else:
                        store_block(total, out, channel, o, depth, tap, left)
                stack += 0 if once else height * _TILE
        while part < until and parts[part * 4 + 1] * size <= begin + count:
            part += 1


@kernel
def _sum_parts(x, bits, grad, strips, parts, scratch, places, out, shape, walk, ways, workers):
    (room, height, once, stream), o, span = ways, shape[8], walk[0] * walk[1]
    count_strips, blocks = len(strips) // FIELDS, (span + CHANNELS - 1) // CHANNELS
    for worker in prange(workers):
        table, panels = (places, worker * 2 * PIXELS), (scratch, worker * room, height, once, stream)
        units = share(worker, workers, count_strips * blocks)
        for strip in range(units[0] // blocks, (units[1] + blocks - 1) // blocks):
            start, end = max(units[0] - strip * blocks, 0), min(units[1] - strip * blocks, blocks)
            for channel in range(0, o, _WIDE):
                step = end - start if once else _BLOCKS
                for block in range(start, end, step):
                    piece = strip, block, min(block + step, end), channel, min(channel + _WIDE, o)
                    _add_piece(x, bits, grad, strips, parts, panels, table, out, shape, walk, piece)
