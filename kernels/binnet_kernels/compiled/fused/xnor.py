"""Binary convolutions fused with what follows, compiled."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
from numba import prange

from ...checks import Float, Halves, Ints, Window, Words
from ...fused.bit_map import BitMap
from ...fused.epilogue import NONE, Arrays, Epilogue, Run
from ...simd.epilogue_steps import plus_columns, run_epilogue, times_columns
from ...simd.geometry import Indices, Sliding, sliding
from ...simd.jit import kernel
from ...simd.pixels import as_floats, store, store_reached, times_pixels
from ...simd.tile import XNOR_ROWS
from ...simd.tiling import items_of, part_of
from ..forward.xnor import count_tile, dot_starts, in_rows, interleaved, tap_sums, whole_blocks


def filter_halves(signs: Words, shape: tuple[int, ...]) -> Halves:
    """Signs of filters (O, ..., C), packed in one row, as half words (O, taps · ceil(C / 32))."""
    o, c, n = shape[0], shape[-1], int(np.prod(shape))
    depth = int(np.prod(shape[1:-1])) * -(-c // 32)
    if c % 32 == 0:
        return signs.view(np.uint32)[: n // 32].reshape(o, depth)
    bits = np.unpackbits(signs.view(np.uint8), count=n, bitorder="little").reshape(-1, c)
    bits = np.pad(bits, ((0, 0), (0, -c % 32)))
    return np.packbits(bits, axis=-1, bitorder="little").view(np.uint32).reshape(o, depth)


def words_of(bits: npt.NDArray[np.uint8]) -> Words:
    """Bits in a row as words, the lowest first; those that are left in the last word are 0."""
    words: Words = np.packbits(np.pad(bits, (0, -len(bits) % 64)), bitorder="little").view(np.uint64)
    return words


def signs_of_halves(halves: Halves, c: int) -> Words:
    """The inverse of :func:`filter_halves` for filters of ``c`` channels."""
    bits = np.unpackbits(halves.view(np.uint8).reshape(-1), bitorder="little").reshape(-1, -(-c // 32) * 32)
    return words_of(bits[:, :c].reshape(-1))


class FusedXnorConv2d:
    """A convolution of bits with bits, its filters in the order of the tile."""

    def __init__(self, signs: Words, shape: tuple[int, ...], window: Window, pad_value: int, alpha: Float) -> None:
        self._shape, self._window, self._pad_value, self._alpha = shape, window, pad_value, alpha
        self._columns = whole_blocks(shape[0])
        halves = filter_halves(signs, shape)
        self._weight = interleaved(halves)
        self._taps = tap_sums(halves.reshape(*shape[:3], -1), shape[3])

    def stored(self) -> Words:
        """The signs as they were given, converted back from the order of the kernel."""
        o, kh, kw, c = self._shape
        return signs_of_halves(in_rows(self._weight, o, kh * kw * -(-c // 32)), c)

    def bind(self, x: BitMap, epilogue: Epilogue, K: Float | None, arrays: Arrays) -> Run:
        """Convolve the bits in ``x``, times alpha and K, then run the epilogue."""
        (walk, base, border_class), o = self._tables(x), self._shape[0]
        if not walk.pixels * o:
            return nothing
        table, low = epilogue.table(o, self._columns, self._alpha, np.zeros(o, np.float32))
        *targets, floats, between = arrays.flat()
        sizes = sizes_of(walk, o, self._columns, low, floats, between, K is not None)
        tables = (x.words.ravel(), walk.starts, self._weight, base.ravel(), border_class, table, epilogue.codes)
        return partial(_xnor, *tables, NONE if K is None else K.ravel(), *targets, sizes)

    def bind_bits(self, x: BitMap, most: Indices, flips: npt.NDArray[np.bool_], bits: BitMap) -> Run:
        """Write the bits ``(dot product <= most) ^ flips``."""
        (walk, base, border_class), o = self._tables(x), self._shape[0]
        if not walk.pixels * o:
            return nothing
        least = np.full(base.shape, np.iinfo(np.int32).max, np.int32)  # never reached where there is no filter
        least[:, :o] = -((most - base[:, :o]) // 2)  # base - 2 count <= most
        negated = np.packbits(np.pad(flips, (0, self._columns - o)), bitorder="little")
        tables = (x.words.ravel(), walk.starts, self._weight, least.ravel(), border_class, negated)
        sizes = sizes_of(walk, o, self._columns, 0, False, True, False)
        return partial(_xnor_bits, *tables, bits.words.view(np.uint8).ravel(), bits.places(), sizes)

    def _tables(self, x: BitMap) -> tuple[Sliding, Ints, Indices]:
        """The walk over the images in ``x``, then :func:`dot_starts` of them."""
        n, h, w, _ = x.shape
        walk, most = sliding((n, h, w, x.words.shape[3]), self._window), math.prod(self._shape[1:])
        return walk, *dot_starts((n, h, w), self._window, self._taps, most, self._pad_value)


def sizes_of(walk: Sliding, o: int, columns: int, low: int, floats: bool, between: bool, k: bool) -> Indices:
    """The numbers that the kernels of fused convolutions take, in their order."""
    numbers = (walk.pixels, o, walk.rows, walk.span, walk.pitch, columns, low, floats, between, k)
    return np.array(numbers, np.int64)


def nothing() -> None:
    """Do nothing: the call for no images or no filters."""


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _xnor_bits(x, starts, weight, least, border_class, flips, bits, places, sizes):
    pixels, rows, span, pitch, columns = sizes[0], sizes[2], sizes[3], sizes[4], sizes[5]
    for item in prange(items_of(pixels, columns, XNOR_ROWS)):
        channel, begin, end = part_of(item, pixels, columns, XNOR_ROWS)
        for first in range(begin, end, XNOR_ROWS):
            # α, normalisation and ReLU are in the limits: between two binary layers no float is written (ADR 0017).
            counts = count_tile(x, starts, first, weight, channel * rows * span, rows, span, pitch)
            store_reached(counts, least, border_class, columns, flips, bits, places, first, pixels - 1, channel)


@kernel
def _xnor(x, starts, weight, base, border_class, table, steps, K, residual, out, bits, places, sizes):
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, use_k, last = sizes[6], sizes[7], sizes[8], sizes[9], pixels - 1
    for item in prange(items_of(pixels, columns, XNOR_ROWS)):
        channel, begin, end = part_of(item, pixels, columns, XNOR_ROWS)
        for first in range(begin, end, XNOR_ROWS):
            counts = count_tile(x, starts, first, weight, channel * rows * span, rows, span, pitch)
            # The roundings are those of the network, in its order: α, K, shift, then the epilogue step by step.
            # Factors folded into one would give other bits near zero (ADR 0017).
            y = times_columns(as_floats(counts, base, border_class, columns, first, last, channel), table, channel)
            if use_k:
                y = times_pixels(y, K, first, last)
            y = plus_columns(y, table, columns + channel)
            # One helper for both calls would leave the registers in between: 5 to 20 % slower, measured.
            y = run_epilogue(y, steps, table, 2 * columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)
