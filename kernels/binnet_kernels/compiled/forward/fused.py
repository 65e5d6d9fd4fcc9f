"""Binary convolutions fused with what follows: normalisation, ReLU, residual sum, and the signs for the next layer.

Each class is bound once to the arrays it reads and writes; what comes back runs on them without checks or new memory.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from ... import checks
from ...bit_map import BitMap, Bits, check_bits
from ...checks import Ints, Pair, Window, Words
from ...finish import NONE, Finish, Run, outputs
from ...simd.geometry import Indices, Sliding, border_classes, sliding
from ...simd.jit import kernel
from ...simd.pixels import as_floats, store, store_reached, times_pixels
from ...simd.tail import plus_columns, run_tail, times_columns
from ...simd.tile import (
    CHANNELS,
    CHUNK,
    XNOR_ROWS,
)
from .xnor import count_tile, in_rows, interleaved, tap_sums, whole_blocks


def filter_halves(signs: Words, shape: tuple[int, ...]) -> Bits:
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


def signs_of_halves(halves: Bits, c: int) -> Words:
    """The inverse of :func:`filter_halves` for filters of ``c`` channels."""
    bits = np.unpackbits(halves.view(np.uint8).reshape(-1), bitorder="little").reshape(-1, -(-c // 32) * 32)
    return words_of(bits[:, :c].reshape(-1))


class FusedXnorConv2d:
    """A convolution of bits with bits whose output goes through a :class:`Finish` (arXiv:1603.05279, Eq. 11).

    Parameters
    ----------
    signs : uint64 (ceil(n / 64),)
        Those of the n weights in OHWI order, as :func:`pack_signs` packs them.
    shape : (O, KH, KW, C)
    stride, pad_value
        As in :class:`XnorConv2d`.
    padding : int, pair of ints, or four ints (top, bottom, left, right)
        The border of the maps of bits that it reads.
    alpha : array (O,), optional
        Scales, 1 when not given.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(
        self,
        signs: Any,
        shape: tuple[int, ...],
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = None,
    ) -> None:
        signs = checks.packed(signs, int(np.prod(shape)), "signs", 1)
        self.shape, self.window = shape, Window.with_border(shape[1:3], stride, padding)
        self.pad_value = checks.pad_value(pad_value)
        self.alpha = np.ones(shape[0], np.float32) if alpha is None else checks.floats(alpha, "alpha", shape=shape[:1])
        self.columns = whole_blocks(shape[0])
        halves = filter_halves(signs, shape)
        self._weight = interleaved(halves)
        self._taps = tap_sums(halves.reshape(*shape[:3], -1), shape[3])

    def stored(self) -> Words:
        """The signs as they were given, converted back from the order of the kernel."""
        o, kh, kw, c = self.shape
        return signs_of_halves(in_rows(self._weight, o, kh * kw * -(-c // 32)), c)

    def bind(
        self,
        x: BitMap,
        finish: Finish,
        *,
        K: Any = None,
        residual: Any = None,
        out: Any = None,
        bits: Any = None,
    ) -> Run:
        """A function without arguments that convolves.

        Parameters
        ----------
        x : BitMap of images (N, H, W, C), with the border of this layer
        K : float32 (N, OH, OW, 1), optional
            The map K; 1 when not given.
        residual : float32 (N, OH, OW, O)
            Where ``finish`` adds one; not ``out``.
        out : float32 (N, OH, OW, O), optional
        bits : BitMap of images (N, OH, OW, O)
            Where ``finish`` has limits; its border is left as it is.

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        walk, base, group = self._tables(x)
        o, shape = self.shape[0], (walk.n, walk.oh, walk.ow, self.shape[0])
        table, low = finish.table(o, self.columns, self.alpha, np.zeros(o, np.float32))
        y, words, place, residual, floats, between = outputs(finish, shape, out, bits, residual)
        scale = NONE if K is None else checks.floats(K, "K", shape=(*shape[:3], 1)).ravel()
        if not walk.pixels * o:
            return nothing
        sizes = sizes_of(walk, o, self.columns, low, floats, between, K is not None)
        arrays = (x.words.ravel(), walk.starts, self._weight, base.ravel(), group, table, finish.codes)
        return partial(_xnor, *arrays, scale, residual, y, words, place, sizes)

    def bind_bits(self, x: BitMap, most: Any, flips: Any, bits: BitMap) -> Run:
        """A function without arguments that writes ``dot product <= most[c]``, turned round where ``flips[c]``.

        Parameters
        ----------
        x
            As in :meth:`bind`.
        most : integers (O,),  flips : bool (O,)
        bits : BitMap of images (N, OH, OW, O)

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        walk, base, group = self._tables(x)
        o = self.shape[0]
        check_bits(bits, "bits", (walk.n, walk.oh, walk.ow, o))
        least = np.full(base.shape, np.iinfo(np.int32).max, np.int32)  # never reached where there is no filter
        least[:, :o] = -((np.asarray(most, np.int64) - base[:, :o]) // 2)  # base - 2 count <= most
        turned = np.packbits(np.pad(np.asarray(flips, bool), (0, self.columns - o)), bitorder="little")
        if not walk.pixels * o:
            return nothing
        arrays = (x.words.ravel(), walk.starts, self._weight, least.ravel(), group, turned)
        sizes = sizes_of(walk, o, self.columns, 0, False, True, False)
        return partial(_xnor_bits, *arrays, bits.words.view(np.uint8).ravel(), bits.places(), sizes)

    def _tables(self, x: BitMap) -> tuple[Sliding, Ints, Indices]:
        """The walk, what dot products start from (classes, columns), and the class of border of each pixel."""
        n, h, w, c = check_bits(x, "x", (None, None, None, self.shape[3]), self.window.border).shape
        walk = sliding((n, h, w, x.words.shape[3]), self.window)
        outside, group = border_classes(h, w, n, self.window)
        correction = np.einsum("krs,ors->ko", outside.astype(np.int32), self._taps) * (self.pad_value == 0)
        base = np.zeros((len(outside), self.columns), np.int32)
        base[:, : self.shape[0]] = self.window.size[0] * self.window.size[1] * c - correction
        return walk, base, group


def sizes_of(walk: Sliding, o: int, columns: int, low: int, floats: bool, between: bool, k: bool) -> Indices:
    """The numbers that the kernels of fused convolutions take, in their order."""
    numbers = (walk.pixels, o, walk.rows, walk.span, walk.pitch, columns, low, floats, between, k)
    return np.array(numbers, np.int64)


def nothing() -> None:
    """Do nothing: the call for no images or no filters."""


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _xnor_bits(x, starts, weight, least, group, flips, bits, places, sizes):
    pixels, rows, span, pitch, columns = sizes[0], sizes[2], sizes[3], sizes[4], sizes[5]
    tiles, depth, blocks = (pixels + XNOR_ROWS - 1) // XNOR_ROWS, rows * span, columns // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        channel = item % blocks * CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first = tile * XNOR_ROWS
            # α, normalisation and ReLU are in the limits: between two binary layers no float is written (ADR 0017).
            counts = count_tile(x, starts, first, weight, channel * depth, rows, span, pitch)
            store_reached(counts, least, group, columns, flips, bits, places, first, pixels - 1, channel)


@kernel
def _xnor(x, starts, weight, base, group, table, tail, K, residual, out, bits, places, sizes):
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, use_k = sizes[6], sizes[7], sizes[8], sizes[9]
    tiles, depth, blocks = (pixels + XNOR_ROWS - 1) // XNOR_ROWS, rows * span, columns // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        channel = item % blocks * CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first, last = tile * XNOR_ROWS, pixels - 1
            counts = count_tile(x, starts, first, weight, channel * depth, rows, span, pitch)
            # The roundings are those of the network, in its order: α, K, shift, then the tail step by step. Factors
            # folded into one would give other bits near zero (ADR 0017).
            y = times_columns(as_floats(counts, base, group, columns, first, last, channel), table, channel)
            if use_k:
                y = times_pixels(y, K, first, last)
            y = plus_columns(y, table, columns + channel)
            y = run_tail(y, tail, table, 2 * columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)
