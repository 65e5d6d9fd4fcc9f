"""For benchmarks only: what this CPU could do at best, and the plain loops that the paper measures itself against.

Nothing of the arithmetic calls these. The two peaks are loops that touch registers alone, so no kernel can beat them;
the plain convolution is what a compiler makes of the textbook loops when it may not reorder a sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import prange, types

from .. import checks
from ..checks import Float, Ints, Pair, Window
from ..simd.counts import COUNTS, RECENT_STEPS, add_recent, count_differing, no_counts, plus_ones, settle
from ..simd.epilogue import store_ints, store_sums
from ..simd.geometry import Sliding, padded
from ..simd.jit import kernel
from ..simd.threads import get_num_threads
from ..simd.tile import (
    CHUNK,
    FLOAT_ROWS,
    SUMS,
    VECTORS,
    XNOR_ROWS,
    float_starts,
    multiply_add,
    no_sums,
    xnor_starts,
)
from ..simd.vector import call, spread, suffix, twin

Packed = npt.NDArray[np.unsignedinteger[Any]]

SIGNS = COUNTS.vector.scalar.bitwidth  # in one element of a vector of counts
COUNT_CHANNELS = VECTORS * COUNTS.vector.lanes  # in a row of a tile
SUM_CHANNELS = VECTORS * SUMS.vector.lanes


def popcount_peak(steps: int) -> int:
    """Count differing signs in registers alone, on every thread: xor, popcount and add, and no memory.

    The XNOR_ROWS x VECTORS counts of a tile are as many independent chains of 5 cycles, enough to keep all ports busy.
    Each new count depends on the one before, ``count + popcount(count ^ word)``, so nothing can be hoisted or folded.

    Parameters
    ----------
    steps : int
        Turns of the loop on each thread.

    Returns
    -------
    int
        Multiply-adds of signs that were done, one for each bit.
    """
    items, dtype = get_num_threads(), np.dtype(f"uint{SIGNS}")
    words = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, XNOR_ROWS + COUNT_CHANNELS, dtype)
    starts = np.arange(XNOR_ROWS, dtype=np.int64)
    out = np.empty(items * XNOR_ROWS * COUNT_CHANNELS, np.int32)
    _count_in_registers(words, starts, words[XNOR_ROWS:], np.zeros(COUNT_CHANNELS, np.int32), out, items, steps)
    return int(items * steps * XNOR_ROWS * COUNT_CHANNELS * SIGNS)


def fma_peak(steps: int) -> int:
    """Multiply and add float32 in registers alone, on every thread; arguments and result as :func:`popcount_peak`."""
    items = get_num_threads()
    values = np.linspace(0.5, 0.75, FLOAT_ROWS + SUM_CHANNELS, dtype=np.float32)
    starts = np.arange(FLOAT_ROWS, dtype=np.int64)
    out = np.empty(items * FLOAT_ROWS * SUM_CHANNELS, np.float32)
    _multiply_in_registers(values, starts, values[FLOAT_ROWS:], np.ones(SUM_CHANNELS, np.float32), out, items, steps)
    return int(items * steps * FLOAT_ROWS * SUM_CHANNELS)


def count_windows(packed: Packed, walk: Sliding, weight: Packed, filters: int) -> Ints:
    """The popcount part of a binary convolution, without what follows it.

    The same walk over tiles, words and filters as the convolution's, but the counts of the pixels of a chunk are added
    up instead of being scaled and stored.

    Parameters
    ----------
    packed : unsigned integers of SIGNS bits, flat
        Padded images as :class:`binnet_kernels.XnorConv2d` packs them.
    walk
        Of the window over them, from :func:`binnet_kernels.simd.geometry.sliding`.
    weight : unsigned integers of SIGNS bits, flat
        The filters in the order in which it keeps them.
    filters : int

    Returns
    -------
    int32 (items, XNOR_ROWS, COUNT_CHANNELS)
        Sums of -2 · differing signs over the tiles of each item; a tile that is not full repeats its last pixel.
    """
    tiles = -(-walk.pixels // XNOR_ROWS)
    items = -(-tiles // CHUNK) * -(-filters // COUNT_CHANNELS)
    out = np.empty((items, XNOR_ROWS, COUNT_CHANNELS), np.int32)
    base = np.zeros(COUNT_CHANNELS, np.int32)
    sizes = (walk.pixels, filters, walk.rows, walk.span, walk.pitch)
    _count_windows(packed, walk.starts, weight, base, out.ravel(), *sizes)
    return out


def plain_conv2d(x: Any, weight: Any, stride: Pair = 1, padding: Pair = 0, rows: int | None = None) -> Float:
    """float32 convolution by the textbook loops on one thread: the kind of baseline that the paper's 58x refers to.

    Compiled and optimised like everything else, but one sum after the other, each in the order of its taps: without
    leave to reorder it, a compiler cannot vectorise it.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    weight : array (O, KH, KW, C) of real numbers
    stride, padding : int or pair of ints
    rows : int, optional
        Only the first so many rows of the output, to save time.

    Returns
    -------
    float32 (N, rows, OW, O)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x, weight = checks.floats(x, "x", 4), checks.filters(weight, 4)
    checks.same_channels(x.shape, weight.shape)
    window = Window.of(weight.shape[1:3], stride, padding)
    oh, ow = window.output_size(*x.shape[1:3])
    oh = oh if rows is None else min(rows, oh)
    out = np.empty((len(x), oh, ow, len(weight)), np.float32)
    (high, wide) = (side + 2 * p for side, p in zip(x.shape[1:3], window.padding))
    run = _plain_convolve.serial
    sizes = (len(x), high, wide, x.shape[3], oh, ow, len(weight), *window.size, *window.stride)
    run(padded(x, window), weight.ravel(), out.ravel(), *sizes)
    return out


# ------------------------------------------------------------------ one turn of the register loops


def _count_again(tile: Any, word: Any) -> Any:
    return tile + np.bitwise_count(tile ^ word)


@twin(_count_again)
def count_again(context: Any, tile: Any, word: Any) -> Any:
    """``tile + popcount(tile ^ word)`` of each element, or of each byte where counts are in bytes."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        total = args[0]
        other = spread(builder, args[1], COUNTS.vector.lanes)
        for place in range(XNOR_ROWS * VECTORS):
            old = builder.extract_value(total, place)
            total = builder.insert_value(total, plus_ones(context, builder, old, builder.xor(old, other)), place)
        return total

    return tile(tile, COUNTS.vector.scalar), build


def _multiply_again(tile: Any, factor: Any, term: Any) -> Any:
    return tile * factor + term


@twin(_multiply_again)
def multiply_again(context: Any, tile: Any, factor: Any, term: Any) -> Any:
    """``tile * factor + term`` of each element, fused where the CPU has fused multiply-adds."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        total, vector = args[0], SUMS.vector.llvm_type
        a, b = (spread(builder, scalar, SUMS.vector.lanes) for scalar in args[1:])
        for place in range(FLOAT_ROWS * VECTORS):
            old = builder.extract_value(total, place)
            value = call(builder, f"llvm.fmuladd.{suffix(vector)}", vector, [old, a, b])
            total = builder.insert_value(total, value, place)
        return total

    return tile(tile, types.float32, types.float32), build


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _count_in_registers(x, starts, weight, base, out, items, steps):
    for item in prange(items):
        counts = count_differing(no_counts(), x, xnor_starts(starts, 0), 0, weight, 0)
        word = x[0]
        for _ in range(steps):
            counts = count_again(counts, word)
        store_ints(counts, out, item * XNOR_ROWS, item * XNOR_ROWS + XNOR_ROWS - 1, COUNT_CHANNELS, 0, base)


@kernel
def _multiply_in_registers(x, starts, weight, scale, out, items, steps):
    for item in prange(items):
        sums = multiply_add(no_sums(), x, float_starts(starts, 0), 0, weight, 0)
        factor, term = x[0], x[1]
        for _ in range(steps):
            sums = multiply_again(sums, factor, term)
        store_sums(sums, out, item * FLOAT_ROWS, item * FLOAT_ROWS + FLOAT_ROWS - 1, SUM_CHANNELS, 0, scale)


@kernel
def _count_windows(x, starts, weight, base, out, pixels, filters, rows, span, pitch):
    tiles, depth = (pixels + XNOR_ROWS - 1) // XNOR_ROWS, rows * span
    blocks = (filters + COUNT_CHANNELS - 1) // COUNT_CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        counts, recent, left, channel = no_counts(), no_counts(), RECENT_STEPS, item % blocks * COUNT_CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            start, place = xnor_starts(starts, tile * XNOR_ROWS), channel * depth
            for r in range(rows):
                for i in range(span):
                    recent = count_differing(recent, x, start, r * pitch + i, weight, place)
                    counts, recent, left = settle(counts, recent, left)
                    place += COUNT_CHANNELS
        counts = add_recent(counts, recent)
        store_ints(counts, out, item * XNOR_ROWS, item * XNOR_ROWS + XNOR_ROWS - 1, COUNT_CHANNELS, 0, base)


@kernel
def _plain_convolve(x, weight, out, n, high, wide, c, oh, ow, o, kh, kw, sh, sw):
    for image in range(n):
        for i in range(oh):
            for j in range(ow):
                for f in range(o):
                    total = np.float32(0)
                    for r in range(kh):
                        for s in range(kw):
                            source = ((image * high + i * sh + r) * wide + j * sw + s) * c
                            tap = ((f * kh + r) * kw + s) * c
                            for channel in range(c):
                                # No `reassoc`: with leave to reorder the sum LLVM would vectorise it, and it would not
                                # be the plain loop.
                                total += x[source + channel] * weight[tap + channel]
                    out[((image * oh + i) * ow + j) * o + f] = total
