"""Gradient of a binary convolution with respect to its weights by table look-up.

The tables are those of four pixels of one output channel; the signs are those of the inputs of 32 channels, which make
up *panels*: all pixels of 32 channels under one tap, 8 pixels a byte.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import prange

from ....checks import Float, Halves, Window
from ....lowbit.rounding import QuantisedGradient
from ....simd.geometry import sliding
from ....simd.jit import kernel
from ....simd.lanes import WIDTH, first_lanes, store_lanes
from ....simd.threads import get_num_threads
from ....simd.tile import XNOR_ROWS, xnor_starts
from ....simd.tiling import share
from ..bit_lanes import pixels_in_lanes
from ..borders import pixels_inside
from .sums import BIAS, STEP, TABLE, add_sums, look_up, no_entries, scaled, store_byte, store_tables

Panels = npt.NDArray[np.uint8]
Sums = npt.NDArray[np.int32]
_BLOCK = 4 * WIDTH  # bytes of 32 pixels: of their signs in 32 lanes, and of their tables
_CHUNK = 32  # blocks of 32 pixels whose tables are in the cache: 16 KB of 4 channels
_PITCH = (_CHUNK + 1) * _BLOCK  # between the tables of two channels, which are not all in one set of the cache
_CACHED = 1 << 21  # bytes of panels at a time


def sum_signs(bits: Halves, gradient: QuantisedGradient, window: Window, pad_value: int, grad_weight: Float) -> None:
    """``grad_weight`` (O, KH, KW, C) of a map of bits (N, H + 2 ph, W + 2 pw, ceil(C / 32))."""
    (o, kh, kw, c), halves, (n, *padded) = grad_weight.shape, bits.shape[3], bits.shape[:3]
    size = tuple(side - 2 * p for side, p in zip(padded, window.padding))
    walk = sliding((n, *size, halves), window)
    taps = (np.arange(kh)[:, None] * walk.pitch + np.arange(kw) * halves).ravel()
    offsets, blocks = (taps[:, None] + np.arange(halves)).ravel(), len(gradient.columns) * 4 // WIDTH
    sums = np.zeros((-(-o // XNOR_ROWS) * XNOR_ROWS, len(offsets), WIDTH), np.int32)
    together = min(max(_CACHED // (len(offsets) * _BLOCK), 1), blocks)
    panels = np.empty(len(offsets) * together * _BLOCK, np.uint8)
    for first in range(0, blocks, together):
        count = min(together, blocks - first)
        _fill_panels(bits.ravel(), walk.starts, offsets, panels, first, count, walk.pixels)
        _add(gradient, first, count, panels, sums)
    base = np.full((o, kh * kw), blocks * WIDTH // 8 * BIAS, np.int32)
    if pad_value == 0 and window.padding != (0, 0):
        base += _outside(gradient, size, window, blocks)
    arrays = sums.ravel(), base.ravel(), gradient.column_unit, grad_weight.ravel()
    _scale(*arrays, o, kh * kw, c)


def _add(gradient: QuantisedGradient, first: int, blocks: int, panels: Panels, sums: Sums) -> None:
    """Add the products of ``blocks`` blocks of 32 pixels, those from ``first`` on, with the signs in panels."""
    workers = get_num_threads()
    tables = np.empty(workers * XNOR_ROWS * _PITCH, np.uint8)
    starts = np.arange(workers * XNOR_ROWS, dtype=np.int64) * _PITCH
    words = gradient.columns[first * WIDTH // 4 :].view(np.uint32).ravel()
    sizes = gradient.columns.shape[1], len(sums) // XNOR_ROWS, sums.shape[1], blocks, workers
    _sum_products(words, panels, tables, starts, sums.ravel(), *sizes)


def _outside(gradient: QuantisedGradient, size: tuple[int, ...], window: Window, blocks: int) -> Sums:
    """What a border of zeros has added to the sums, where its bits are those of +1: (O, taps).

    A sum with signs of +1 outside and -1 inside is the difference of both parts, one with signs of +1 alone their sum.
    """
    inside, taps = _inside(size, gradient.shape[0], window), int(np.prod(window.size))
    sums = np.zeros((-(-gradient.shape[3] // XNOR_ROWS) * XNOR_ROWS, len(inside), WIDTH), np.int32)
    _add(gradient, 0, blocks, inside.ravel(), sums)
    flat = sums.reshape(len(sums), -1)[: gradient.shape[3]] - np.int32(blocks * WIDTH // 8 * BIAS)
    return np.ascontiguousarray((flat[:, :taps] + flat[:, taps : taps + 1]) // 2)


@lru_cache(maxsize=64)
def _inside(size: tuple[int, int], n: int, window: Window) -> Panels:
    """Which pixels lie inside of the image under each tap: panels (groups of 32 taps, blocks, 4, 32).

    After the last tap stands one under which no pixel does.
    """
    by_lane = pixels_inside(size, n, window, True)
    return np.ascontiguousarray(by_lane.view(np.uint8).reshape(*by_lane.shape, 4).swapaxes(2, 3))


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _fill_panels(bits, starts, offsets, panels, first, blocks, pixels):
    for panel in prange(len(offsets)):
        for block in range(blocks):
            begin = (first + block) * WIDTH
            lanes = pixels_in_lanes(bits, starts, offsets[panel], begin, min(begin + WIDTH, pixels))
            for k in range(4):
                store_byte(panels, (panel * blocks + block) * _BLOCK + k * WIDTH, lanes, 8 * k)


@kernel
def _sum_products(words, panels, tables, starts, sums, pitch, quads, count, blocks, workers):
    for worker in prange(workers):
        (begin, end), start = share(worker, workers, quads), xnor_starts(starts, worker * XNOR_ROWS)
        for first in range(0, blocks, _CHUNK):
            size = min(_CHUNK, blocks - first) * _BLOCK
            for quad in range(begin, end):
                for place in range(0, size, TABLE):
                    group = (first * _BLOCK + place) // TABLE
                    store_tables(tables, start, place, words, group * pitch + quad * XNOR_ROWS)
                for panel in range(count):
                    total, signs = no_entries(), (panel * blocks + first) * _BLOCK
                    for i in range(0, size, STEP):
                        total = look_up(total, tables, start, i, panels, signs + i)
                    add_sums(total, sums, (quad * XNOR_ROWS * count + panel) * WIDTH, count * WIDTH)


@kernel
def _scale(sums, base, unit, out, o, taps, c):
    groups = (c + WIDTH - 1) // WIDTH
    for item in prange(o * taps):
        for group in range(groups):
            value = scaled(sums, (item * groups + group) * WIDTH, base[item], unit[item // taps])
            store_lanes(out, item * c + group * WIDTH, value, first_lanes(c - group * WIDTH))
