"""Gradients of few levels as bytes, in the order in which the tables of both backward convolutions take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import prange, types

from ....lowbit.rounding import MAGNITUDES, Bytes
from ....simd.jit import helper, kernel
from ....simd.lanes import (
    WIDTH,
    all_lanes,
    first_lanes,
    load_lanes,
    negative,
    positive,
    prefetch,
    store_all,
    zero_unless,
)
from ....simd.threads import get_num_threads
from ....simd.tile import XNOR_ROWS
from ....simd.tiling import share
from ....simd.vector import spread, twin
from ..bit_lanes import HALF_WORDS
from ..rounding import draw, levels_of_kind
from .sums import TABLE, store_byte, store_tables, with_byte

_FOUR = 4  # values of a table
_ROWS = tuple(row * TABLE for row in range(XNOR_ROWS))  # where tables start that lie side by side


def signed_bytes(shape: tuple[int, ...], arrays: tuple[Any, ...], options: tuple[Any, ...]) -> tuple[Bytes, Bytes]:
    """Rows and columns of a :class:`binnet_kernels.lowbit.rounding.QuantisedGradient` of signed bytes.

    ``arrays`` and ``options`` are what ``compiled/lowbit/gradient.py`` gives the kernel that packs planes.
    """
    n, oh, ow, o = shape
    pixels, channels = n * oh * ow, -(-o // WIDTH) * WIDTH
    rows = np.empty((n, oh, ow, channels), np.int8)
    columns = np.empty((-(-pixels // WIDTH) * WIDTH // _FOUR, channels, _FOUR), np.int8)
    if rows.size:
        targets = rows.ravel(), columns.view(np.uint32).ravel()
        _quantise(*arrays, *targets, pixels, o, *options, len(columns), get_num_threads())
    return rows, columns


def tables_of(words: npt.NDArray[np.uint32], tables: npt.NDArray[np.uint8]) -> None:
    """The tables of words of four signed bytes, one after the other; their number is a multiple of ``XNOR_ROWS``."""
    _tables(words, tables, len(words))


# ---------------------------------------------------------------------------------------------- kernels


def _negated(levels: Any, below: Any) -> Any:
    negative = np.unpackbits(np.array([below], "<u4").view(np.uint8), bitorder="little").astype(bool)
    return np.where(negative, np.uint32(0) - levels, levels)


@twin(_negated)
def negated(context: Any, levels: Any, below: Any) -> Any:
    """``-levels`` in the lanes whose bit is 1, as 32-bit numbers of two's complement."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        chosen = builder.bitcast(args[1], ir.VectorType(ir.IntType(1), WIDTH))
        return builder.select(chosen, builder.sub(ir.Constant(HALF_WORDS.llvm_type, [0] * WIDTH), args[0]), args[0])

    return HALF_WORDS(HALF_WORDS, types.uint32), build


@twin(lambda levels, top: np.uint32(top) - levels * np.uint32(2))
def odd_numbers(context: Any, levels: Any, top: Any) -> Any:
    """``top - 2 levels``: from ``top`` down to ``-top``, none of them zero."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        twice = builder.shl(args[0], ir.Constant(HALF_WORDS.llvm_type, [1] * WIDTH))
        whole = builder.fptosi(args[1], ir.IntType(32))
        return builder.sub(spread(builder, whole, WIDTH), twice)

    return HALF_WORDS(HALF_WORDS, types.float32), build


@helper
def _numbers(x, factor, u, kind, top, valid):
    levels = levels_of_kind(x, factor, u, kind, top)
    if kind == MAGNITUDES:
        return negated(levels, negative(x))
    return zero_unless(odd_numbers(levels, top), valid)


@kernel
def _quantise(
    grad, y, alpha, row_factor, column_factor, rows, columns, pixels, o,
    masked, start, kind, top, key, second_key, groups, workers,
):  # fmt: skip
    halves = (o + WIDTH - 1) // WIDTH
    for worker in prange(workers):
        begin, end = share(worker, workers, groups)
        for item in range(begin * halves, end * halves):
            group, half = item // halves, item % halves
            channel, valid = half * WIDTH, first_lanes(o - half * WIDTH)
            scale, of_column = load_lanes(alpha, channel, valid), load_lanes(column_factor, channel, valid)
            words = all_lanes(np.uint32(0))  # past the last pixel, zeros
            for q in range(group * _FOUR, min((group + 1) * _FOUR, pixels)):
                g = load_lanes(grad, q * o + channel, valid)
                prefetch(grad, (q + WIDTH) * o + channel)
                if masked:
                    g = zero_unless(g, positive(load_lanes(y, q * o + channel, valid)))
                    prefetch(y, (q + WIDTH) * o + channel)
                # Number i of the seed belongs to element i, and serves both roundings (ADR 0018).
                u = draw(start + q * o + channel, key, second_key)
                of_row = _numbers(g * scale, all_lanes(row_factor[q]), u, kind, top, valid)
                store_byte(rows, (q * halves + half) * WIDTH, of_row, 0)
                # Four pixels of a channel are the bytes of one word: its table is that of the product for the weights.
                words = with_byte(words, _numbers(g, of_column, u, kind, top, valid), q % _FOUR * 8)
            store_all(columns, item * WIDTH, words)


@kernel
def _tables(words, tables, count):
    for i in prange(count // XNOR_ROWS):
        store_tables(tables, _ROWS, i * XNOR_ROWS * TABLE, words, i * XNOR_ROWS)
