"""Convolutions of real images fused with what follows; see :mod:`fused` for binary ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from ... import checks
from ...checks import NO_BORDER, Float, Pair, Window
from ...finish import Finish, Run, check_map, outputs
from ...simd.geometry import sliding
from ...simd.jit import kernel
from ...simd.pixels import store
from ...simd.tail import plus_columns, run_tail, times_columns
from ...simd.tile import (
    CHANNELS,
    CHUNK,
    FLOAT_ROWS,
    add_signed,
    float_starts,
    multiply_add,
    no_sums,
)
from .bwn import ROWS, are_few, blocks_of, signed_rows
from .fused import nothing, sizes_of, words_of
from .xnor import in_rows, interleaved, whole_blocks


class FusedConv2d:
    """A convolution of real images with real or one-bit weights (Eq. 1); its output goes through a :class:`Finish`.

    Parameters
    ----------
    weight : float32 (O, KH, KW, C), or uint64 (ceil(n / 64),)
        Real weights, or the signs of n weights as in :class:`FusedXnorConv2d`.
    shape : (O, KH, KW, C)
    stride : int or pair of ints
    padding : int, pair of ints, or four ints (top, bottom, left, right)
    alpha, bias : array (O,), optional
        ``sum * alpha + bias``; 1 and 0 when not given.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(
        self,
        weight: Any,
        shape: tuple[int, ...],
        stride: Pair = 1,
        padding: Pair = 0,
        alpha: Any = None,
        bias: Any = None,
    ) -> None:
        o, depth = shape[0], int(np.prod(shape[1:]))
        self.shape, self.window = shape, Window.with_border(shape[1:3], stride, padding)
        self.columns, self._one_bit = whole_blocks(o), np.asarray(weight).dtype == np.uint64
        rows = (np.ones(o) if alpha is None else alpha, np.zeros(o) if bias is None else bias)
        self._rows = tuple(checks.floats(row, name, shape=(o,)) for row, name in zip(rows, ("alpha", "bias")))
        blocks = self.columns // CHANNELS
        if self._one_bit:
            signs = checks.packed(weight, o * depth, "weight", 1).view(np.uint8)
            bits = np.zeros((self.columns, depth), np.uint8)
            bits[:o] = np.unpackbits(signs, count=o * depth, bitorder="little").reshape(o, depth)
            by_tap = bits.reshape(blocks, CHANNELS, depth).transpose(0, 2, 1)
            self._weight: npt.NDArray[Any] = np.packbits(by_tap, axis=-1, bitorder="little").ravel()
        else:
            self._weight = interleaved(checks.floats(weight, "weight", shape=shape).reshape(o, depth))

    def stored(self) -> npt.NDArray[Any]:
        """The weights as they were given, converted back from the order of the kernel."""
        o, depth = self.shape[0], int(np.prod(self.shape[1:]))
        if not self._one_bit:
            return in_rows(self._weight, o, depth).reshape(self.shape)
        by_tap = np.unpackbits(self._weight.reshape(-1, depth, CHANNELS // 8), axis=-1, bitorder="little")
        return words_of(by_tap.transpose(0, 2, 1).reshape(-1, depth)[:o].reshape(o * depth))

    def bind(self, x: Float, finish: Finish, *, residual: Any = None, out: Any = None, bits: Any = None) -> Run:
        """A function without arguments that convolves.

        Parameters
        ----------
        x : float32 (N, top + H + bottom, left + W + right, C)
            The images with their border of zeros.
        residual, out, bits
            As in :meth:`FusedXnorConv2d.bind`.

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        o = self.shape[0]
        checks.same_channels(check_map(x), self.shape)
        walk = sliding(x.shape, replace(self.window, border=NO_BORDER))
        shape = (walk.n, walk.oh, walk.ow, o)
        table, low = finish.table(o, self.columns, *self._rows)
        y, words, place, residual, floats, between = outputs(finish, shape, out, bits, residual)
        if not walk.pixels * o:
            return nothing
        sizes = sizes_of(walk, o, self.columns, low, floats, between, False)
        kernel = _real if not self._one_bit else _signed_few if are_few(walk.pixels, o) else _signed
        arrays = (x.ravel(), walk.starts, self._weight, table, finish.codes, residual, y, words, place)
        return partial(kernel, *arrays, sizes)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _real(x, starts, weight, table, tail, residual, out, bits, places, sizes):
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between = sizes[6], sizes[7], sizes[8]
    tiles, blocks = (pixels + FLOAT_ROWS - 1) // FLOAT_ROWS, columns // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        channel = item % blocks * CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first, last, place = tile * FLOAT_ROWS, pixels - 1, channel * rows * span
            start, y = float_starts(starts, first), no_sums()
            # Tap by tap, whatever the number of pixels: an image gets the same bits in any batch (ADR 0017).
            for r in range(rows):
                for i in range(span):
                    y = multiply_add(y, x, start, r * pitch + i, weight, place)
                    place += CHANNELS
            y = plus_columns(times_columns(y, table, channel), table, columns + channel)
            y = run_tail(y, tail, table, 2 * columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)


@kernel
def _signed(x, starts, weight, table, tail, residual, out, bits, places, sizes):
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between = sizes[6], sizes[7], sizes[8]
    tiles, blocks = (pixels + FLOAT_ROWS - 1) // FLOAT_ROWS, columns // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        channel = item % blocks * CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first, last, place = tile * FLOAT_ROWS, pixels - 1, channel // CHANNELS * rows * span
            start, y = float_starts(starts, first), no_sums()
            for r in range(rows):
                for i in range(span):
                    # The weights stay one bit each in memory, and become masks of ±1 in registers.
                    y = add_signed(y, x, start, r * pitch + i, weight, place)
                    place += 1
            y = plus_columns(times_columns(y, table, channel), table, columns + channel)
            y = run_tail(y, tail, table, 2 * columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)


@kernel
def _signed_few(x, starts, weight, table, tail, residual, out, bits, places, sizes):
    """One-bit weights and few pixels: one pixel at a time, several blocks of channels side by side."""
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, blocks = sizes[6], sizes[7], sizes[8], columns // CHANNELS
    for item in prange(pixels * ((blocks + ROWS - 1) // ROWS)):
        pixel, some = blocks_of(item, blocks)
        # One sum would wait for each of its additions, so several blocks of channels are summed side by side (ADR
        # 0017).
        sums = signed_rows(x, starts, pixel, weight, some, rows, span, pitch)
        for i in range(ROWS):
            channel = some[i] * CHANNELS
            y = plus_columns(times_columns(sums[i], table, channel), table, columns + channel)
            y = run_tail(y, tail, table, 2 * columns + channel, columns, residual, pixel, pixel, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, pixel, pixel, filters, channel)
