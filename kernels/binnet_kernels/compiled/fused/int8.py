"""Layers in eight bits, compiled: bytes by weights of a byte, fused with pooling and what follows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import prange

from ...checks import Window
from ...fused.byte_map import ByteMap
from ...fused.epilogue import Arrays, Epilogue, Run
from ...fused.int8_filters import Affine, Whole
from ...simd.byte_tile import (
    GROUP,
    SHIFT,
    as_values,
    begin_row,
    begin_sums,
    dot_bytes,
)
from ...simd.epilogue_steps import run_epilogue
from ...simd.geometry import Sliding, aligned, border_classes, filled, sliding
from ...simd.jit import helper, kernel
from ...simd.pixels import larger, load_rows, store, store_pixels
from ...simd.threads import get_num_threads
from ...simd.tile import CHANNELS, FLOAT_ROWS, float_starts, row_starts
from ...simd.tiling import items_of, part_of, share
from ..forward.bwn import ROWS, are_few, blocks_of
from ..forward.xnor import in_blocks, in_rows, interleaved, whole_blocks
from .maps import taps_of
from .xnor import nothing

_WORTH_SHARING = 1 << 20  # multiply-adds, some 7 µs of work
_OVERLAP = 0.05  # the share of rows that neighbouring strips of a pooled map may both compute


class FusedInt8Conv2d:
    """A convolution of bytes with weights (O, KH, KW, C) of a byte, four of which are a value of the tile."""

    def __init__(self, weight: Whole, window: Window, affine: Affine) -> None:
        (o, kh, kw, c), self._window, self._affine = weight.shape, window, affine
        self._shape, self._columns = weight.shape, whole_blocks(o)
        # Zeros fill a run of KW * C bytes up to whole groups: what is read beyond it counts nothing.
        self._groups = -(-kw * c // GROUP)
        runs = np.zeros((o, kh, self._groups * GROUP), np.int8)
        runs[..., : kw * c] = weight.reshape(o, kh, kw * c)
        self._weight = interleaved(runs.view(np.uint32).reshape(o, -1))
        self._base = in_blocks(SHIFT * weight.reshape(o, -1).sum(axis=1, dtype=np.int32))

    def stored(self) -> Whole:
        """The weights, converted back from the order of the kernel."""
        o, kh, kw, c = self._shape
        runs = in_rows(self._weight, o, kh * self._groups).view(np.int8).reshape(o, kh, -1)
        return np.ascontiguousarray(runs[..., : kw * c]).reshape(self._shape)

    def bind(self, x: ByteMap, epilogue: Epilogue, pool: Window | None, arrays: Arrays) -> Run:
        """Convolve ``x``: ``sum * scale + offset``, the largest of each window of ``pool``, then the epilogue."""
        (n, h, w, _), o = x.shape, self._shape[0]
        walk = sliding(x.shape, self._window)
        if not walk.pixels * o:
            return nothing
        outside, border_class = border_classes(h, w, n, self._window)
        offsets = in_blocks(self._affine.offsets(~outside))
        table, low = epilogue.table(o, self._columns, self._affine.scale)
        *targets, floats, between = arrays.flat()
        tables = (x.memory, walk.starts, self._weight, self._base, offsets.ravel(), border_class, table, epilogue.codes)
        sizes = (walk.pixels, o, walk.rows, self._groups, walk.pitch, self._columns, low, floats, between)
        if pool is None:
            form = _int8_few if are_few(walk.pixels, o) else _int8
            if walk.pixels * self._weight.size * GROUP < _WORTH_SHARING:
                form = form.serial
            return partial(form, *tables, *targets, np.array(sizes, np.int64))
        return partial(_int8_pooled, *tables, *targets, *self._pooling(walk, pool, arrays.shape, sizes))

    def _pooling(self, walk: Sliding, pool: Window, shape: tuple[int, ...], sizes: Any) -> tuple[Any, ...]:
        """Taps of the pooling windows, room for the rows under them, and all numbers of the kernel."""
        (n, ph, pw, _), (kh, kw), workers = shape, pool.size, get_num_threads()
        rows, cols = taps_of((walk.oh, walk.ow), (ph, pw), pool)
        # Tap by tap, so that a tile takes one tap of pixels side by side from there.
        by_tap = np.stack([filled(cols[s::kw] * CHANNELS) for s in range(kw)])
        strips = _strips(ph, pool, n * self._columns // CHANNELS, workers)
        ring = aligned(workers * kh * walk.ow * CHANNELS)
        more = (n, walk.oh, walk.ow, ph, pw, kh, kw, strips, workers, by_tap.shape[1])
        return (filled(walk.starts[: walk.ow]), rows, by_tap.ravel()), ring, np.array((*sizes, *more), np.int64)


def _strips(rows: int, pool: Window, others: int, workers: int) -> int:
    """Into how many strips the rows of a pooled map are divided, so that ``others`` times as many suit the threads."""
    (size, _), (stride, _) = pool.size, pool.stride
    shortest = max(-(-(size - stride) // (stride * _OVERLAP)), 1)
    most = max(int(rows // shortest), 1)
    return next((strips for strips in range(1, most) if others * strips % workers == 0), most)


# ---------------------------------------------------------------------------------------------- kernels


@helper
def byte_tile(x, origin, starts, first, weight, base, channel, rows, groups, pitch):
    """The sums of one tile: FLOAT_ROWS pixels x CHANNELS filters; ``starts`` are counted from ``origin`` on."""
    start, sums, place = float_starts(starts, first), begin_sums(base, channel), channel * rows * groups
    for r in range(rows):
        for i in range(groups):
            sums = dot_bytes(sums, x, start, origin + r * pitch + GROUP * i, weight, place)
            place += CHANNELS
    return sums


@helper
def byte_rows(x, start, weight, base, blocks, rows, groups, pitch):
    """The sums of one pixel in ROWS blocks of channels."""
    place, a, b = rows * groups * CHANNELS, begin_row(base, blocks[0] * CHANNELS), begin_row(base, blocks[1] * CHANNELS)
    c, d = begin_row(base, blocks[2] * CHANNELS), begin_row(base, blocks[3] * CHANNELS)
    for r in range(rows):
        for i in range(groups):
            tap, at = r * pitch + GROUP * i, (r * groups + i) * CHANNELS
            a = dot_bytes(a, x, start, tap, weight, blocks[0] * place + at)
            b = dot_bytes(b, x, start, tap, weight, blocks[1] * place + at)
            c = dot_bytes(c, x, start, tap, weight, blocks[2] * place + at)
            d = dot_bytes(d, x, start, tap, weight, blocks[3] * place + at)
    return a, b, c, d


@kernel
def _int8_few(x, starts, weight, base, offsets, border_class, table, steps, residual, out, bits, places, sizes):
    """For few pixels: one at a time, several blocks of channels side by side, as in a dense layer of one image."""
    pixels, filters, rows, groups, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, blocks = sizes[6], sizes[7], sizes[8], columns // CHANNELS
    for item in prange(pixels * ((blocks + ROWS - 1) // ROWS)):
        pixel, some = blocks_of(item, blocks)
        sums = byte_rows(x, row_starts(starts, pixel), weight, base, some, rows, groups, pitch)
        for i in range(min(ROWS, blocks - some[0])):  # not a block that comes again: it would add a residual twice
            channel = some[i] * CHANNELS
            y = as_values(sums[i], table, offsets, border_class, columns, pixel, pixel, channel)
            y = run_epilogue(y, steps, table, columns + channel, columns, residual, pixel, pixel, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, pixel, pixel, filters, channel)


@kernel
def _int8(x, starts, weight, base, offsets, border_class, table, steps, residual, out, bits, places, sizes):
    pixels, filters, rows, groups, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, last = sizes[6], sizes[7], sizes[8], pixels - 1
    for item in prange(items_of(pixels, columns, FLOAT_ROWS)):
        channel, begin, end = part_of(item, pixels, columns, FLOAT_ROWS)
        for first in range(begin, end, FLOAT_ROWS):
            sums = byte_tile(x, 0, starts, first, weight, base, channel, rows, groups, pitch)
            y = as_values(sums, table, offsets, border_class, columns, first, last, channel)
            y = run_epilogue(y, steps, table, columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)


@helper
def fill_row(x, starts, line_starts, begin, layer, ring, slot, channel, sizes):
    """A row of pixels from ``begin`` on, in CHANNELS channels, to the ring from its pixel ``slot`` on."""
    rows, groups, pitch, columns, ow = sizes[2], sizes[3], sizes[4], sizes[5], sizes[11]
    weight, base, offsets, border_class, table = layer
    for col in range(0, ow, FLOAT_ROWS):
        sums = byte_tile(x, starts[begin], line_starts, col, weight, base, channel, rows, groups, pitch)
        y = as_values(sums, table, offsets, border_class, columns, begin + col, begin + ow - 1, channel)
        store_pixels(y, ring, slot + col, slot + ow - 1, CHANNELS, 0)


@kernel
def _int8_pooled(
    x, starts, weight, base, offsets, border_class, table, steps, residual, out, bits, places, windows, ring, sizes
):
    filters, columns, low = sizes[1], sizes[5], sizes[6]
    floats, between, n, oh, ow, ph, pw = sizes[7], sizes[8], sizes[9], sizes[10], sizes[11], sizes[12], sizes[13]
    kh, kw, strips, workers, wide, blocks = sizes[14], sizes[15], sizes[16], sizes[17], sizes[18], columns // CHANNELS
    (line_starts, taps, cols), layer = windows, (weight, base, offsets, border_class, table)
    for worker in prange(workers):
        some, slots = share(worker, workers, n * strips * blocks), worker * kh
        for item in range(some[0], some[1]):
            image, channel, done = item // (strips * blocks), item % blocks * CHANNELS, 0
            strip = share(item // blocks % strips, strips, ph)
            for line in range(strip[0], strip[1]):
                # The rows that the windows of this line are the first to see; those of lines before are in the ring.
                for row in range(max(done, taps[line * kh]), taps[line * kh + kh - 1] + 1):
                    begin, slot = (image * oh + row) * ow, (slots + row % kh) * ow
                    fill_row(x, starts, line_starts, begin, layer, ring, slot, channel, sizes)
                    done = row + 1
                begin = (image * ph + line) * pw
                for col in range(0, pw, FLOAT_ROWS):
                    first, last = begin + col, begin + pw - 1
                    y = load_rows(ring, float_starts(cols, col), (slots + taps[line * kh] % kh) * ow * CHANNELS)
                    for r in range(kh):
                        slot = (slots + taps[line * kh + r] % kh) * ow * CHANNELS
                        for s in range(kw):
                            y = larger(y, load_rows(ring, float_starts(cols, s * wide + col), slot))
                    y = run_epilogue(
                        y, steps, table, columns + channel, columns, residual, first, last, filters, channel
                    )
                    store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)
