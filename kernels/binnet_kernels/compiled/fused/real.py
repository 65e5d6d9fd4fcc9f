"""Convolutions of real images, fused with what follows, compiled."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from ...checks import NO_BORDER, Float, Window, Words
from ...fused.epilogue import Arrays, Epilogue, Run
from ...simd.epilogue_steps import plus_columns, run_epilogue, times_columns
from ...simd.geometry import sliding
from ...simd.jit import Kernel, kernel
from ...simd.pixels import store
from ...simd.tile import CHANNELS, FLOAT_ROWS, add_signed, float_starts, multiply_add, no_sums
from ...simd.tiling import items_of, part_of
from ..forward.bwn import ROWS, are_few, blocks_of, signed_rows
from ..forward.xnor import in_rows, interleaved, whole_blocks
from .xnor import nothing, sizes_of, words_of


class FusedConv2d:
    """A convolution of real images with real weights (O, KH, KW, C), which are put in the order of the tile."""

    def __init__(
        self, weight: npt.NDArray[Any], shape: tuple[int, ...], window: Window, alpha: Float, bias: Float
    ) -> None:
        # The images that layers are bound to have their border already.
        self._shape, self._window = shape, replace(window, border=NO_BORDER)
        self._rows, self._columns = (alpha, bias), whole_blocks(shape[0])
        self._weight = self._in_order(weight)

    def stored(self) -> npt.NDArray[Any]:
        """The weights as they were given, converted back from the order of the kernel."""
        return in_rows(self._weight, *self._rows_and_depth()).reshape(self._shape)

    def bind(self, x: Float, epilogue: Epilogue, arrays: Arrays) -> Run:
        """Convolve ``x``, which has its border; the epilogue takes ``sum * alpha + bias``."""
        walk, o = sliding(x.shape, self._window), self._shape[0]
        if not walk.pixels * o:
            return nothing
        table, low = epilogue.table(o, self._columns, *self._rows)
        *targets, floats, between = arrays.flat()
        sizes = sizes_of(walk, o, self._columns, low, floats, between, False)
        tables = (x.ravel(), walk.starts, self._weight, table, epilogue.codes)
        return partial(self._kernel(walk.pixels), *tables, *targets, sizes)

    def _in_order(self, weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return interleaved(weight.reshape(self._rows_and_depth()))

    def _kernel(self, pixels: int) -> Kernel:
        return _real

    def _rows_and_depth(self) -> tuple[int, int]:
        return self._shape[0], int(np.prod(self._shape[1:]))


class FusedBwnConv2d(FusedConv2d):
    """A convolution of real images with one-bit weights, signs of n weights in a row."""

    def stored(self) -> Words:
        """The signs as they were given, converted back from the order of the kernel."""
        o, depth = self._rows_and_depth()
        by_tap = np.unpackbits(self._weight.reshape(-1, depth, CHANNELS // 8), axis=-1, bitorder="little")
        return words_of(by_tap.transpose(0, 2, 1).reshape(-1, depth)[:o].reshape(o * depth))

    def _in_order(self, weight: Words) -> npt.NDArray[np.uint8]:
        o, depth = self._rows_and_depth()
        bits = np.zeros((self._columns, depth), np.uint8)
        bits[:o] = np.unpackbits(weight.view(np.uint8), count=o * depth, bitorder="little").reshape(o, depth)
        by_tap = bits.reshape(self._columns // CHANNELS, CHANNELS, depth).transpose(0, 2, 1)
        return np.packbits(by_tap, axis=-1, bitorder="little").ravel()

    def _kernel(self, pixels: int) -> Kernel:
        return _signed_few if are_few(pixels, self._shape[0]) else _signed


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _real(x, starts, weight, table, steps, residual, out, bits, places, sizes):
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, last = sizes[6], sizes[7], sizes[8], pixels - 1
    for item in prange(items_of(pixels, columns, FLOAT_ROWS)):
        channel, begin, end = part_of(item, pixels, columns, FLOAT_ROWS)
        for first in range(begin, end, FLOAT_ROWS):
            start, place, y = float_starts(starts, first), channel * rows * span, no_sums()
            # Tap by tap, whatever the number of pixels: an image gets the same bits in any batch (ADR 0017).
            for r in range(rows):
                for i in range(span):
                    y = multiply_add(y, x, start, r * pitch + i, weight, place)
                    place += CHANNELS
            y = plus_columns(times_columns(y, table, channel), table, columns + channel)
            y = run_epilogue(y, steps, table, 2 * columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)


@kernel
def _signed(x, starts, weight, table, steps, residual, out, bits, places, sizes):
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, last = sizes[6], sizes[7], sizes[8], pixels - 1
    for item in prange(items_of(pixels, columns, FLOAT_ROWS)):
        channel, begin, end = part_of(item, pixels, columns, FLOAT_ROWS)
        for first in range(begin, end, FLOAT_ROWS):
            start, place, y = float_starts(starts, first), channel // CHANNELS * rows * span, no_sums()
            for r in range(rows):
                for i in range(span):
                    # The weights stay one bit each in memory, and become masks of ±1 in registers.
                    y = add_signed(y, x, start, r * pitch + i, weight, place)
                    place += 1
            y = plus_columns(times_columns(y, table, channel), table, columns + channel)
            y = run_epilogue(y, steps, table, 2 * columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)


@kernel
def _signed_few(x, starts, weight, table, steps, residual, out, bits, places, sizes):
    """One-bit weights and few pixels: one pixel at a time, several blocks of channels side by side."""
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, blocks = sizes[6], sizes[7], sizes[8], columns // CHANNELS
    for item in prange(pixels * ((blocks + ROWS - 1) // ROWS)):
        pixel, some = blocks_of(item, blocks)
        # One sum would wait for each of its additions, so several blocks of channels are summed side by side (ADR
        # 0017).
        sums = signed_rows(x, starts, pixel, weight, some, rows, span, pitch)
        for i in range(min(ROWS, blocks - some[0])):  # not a block that comes again: it would add a residual twice
            channel = some[i] * CHANNELS
            y = plus_columns(times_columns(sums[i], table, channel), table, columns + channel)
            y = run_epilogue(y, steps, table, 2 * columns + channel, columns, residual, pixel, pixel, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, pixel, pixel, filters, channel)
