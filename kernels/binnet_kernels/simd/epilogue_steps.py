"""The epilogue of a fused layer: the steps that run on a tile of sums while it is in registers.

An epilogue is a short program, an array of codes, that every tile runs: normalise, ReLU, PReLU, sign, add a residual.
The vectors that it needs, a number for each channel, are the rows of one *table* of ``columns`` floats a row, read from
the front; a tile's channels start at ``channel``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..fused.epilogue import ADD, NORM, NORM_ROWS, RELU, SIGN
from .jit import inlined
from .pixels import changed, plus_pixels
from .tile import CHANNELS, VECTORS, at_vector
from .vector import FLOATS, LANES, pointer, twin

# ------------------------------------------------------------------ the same for all rows


def _by_column(python: Any, combined: Callable[[ir.IRBuilder, Any, Any], Any]) -> Any:
    """An operation of each row of a tile with ``table[place:]``."""

    @twin(lambda tile, table, place: python(tile, table[place : place + CHANNELS]))
    def combine(context: Any, tile: Any, table: Any, place: Any) -> Any:
        def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            vectors = []
            for v in range(VECTORS):
                column = builder.add(args[2], at_vector(args[2], v, LANES))
                address = pointer(context, builder, sig.args[1], args[1], column, FLOATS.llvm_type)
                vectors.append(builder.load(address, align=4))
            return changed(builder, sig.args[0], args[0], lambda value, row, v: combined(builder, value, vectors[v]))

        return tile(tile, table, types.intp), build

    return combine


def _below_zero(builder: ir.IRBuilder, value: Any) -> Any:
    return builder.fcmp_ordered("<", value, ir.Constant(FLOATS.llvm_type, [0.0] * LANES))


def _sloped(builder: ir.IRBuilder, value: Any, slope: Any) -> Any:
    return builder.select(_below_zero(builder, value), builder.fmul(value, slope), value)


plus_columns = _by_column(np.add, ir.IRBuilder.fadd)
minus_columns = _by_column(np.subtract, ir.IRBuilder.fsub)
times_columns = _by_column(np.multiply, ir.IRBuilder.fmul)
sloped_columns = _by_column(lambda tile, slope: np.where(tile < 0, tile * slope, tile), _sloped)  # NaN, -0.0 stay


@twin(lambda tile: np.where(tile < 0, np.float32(0), tile))
def not_below_zero(context: Any, tile: Any) -> Any:
    """max(value, 0), where NaN stays NaN."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        zero = ir.Constant(FLOATS.llvm_type, [0.0] * LANES)

        def change(value: Any, row: int, v: int) -> Any:
            return builder.select(_below_zero(builder, value), zero, value)

        return changed(builder, sig.args[0], args[0], change)

    return tile(tile), build


@twin(lambda tile: np.where(tile < 0, np.float32(-1), np.float32(1)))
def signs(context: Any, tile: Any) -> Any:
    """-1 where a value is below zero, else +1."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        ones = [ir.Constant(FLOATS.llvm_type, [one] * LANES) for one in (-1.0, 1.0)]

        def change(value: Any, row: int, v: int) -> Any:
            return builder.select(_below_zero(builder, value), *ones)

        return changed(builder, sig.args[0], args[0], change)

    return tile(tile), build


# ------------------------------------------------------------------ the program


@inlined
def run_epilogue(tile, steps, table, place, columns, residual, first, last, step, channel):
    """Run the codes ``steps`` on a tile; ``place`` is that of the first row they read from ``table``."""
    # Interpreted for each tile: compiled combinations would be faster by a few instructions, for 1.5 s of compiling
    # each (ADR 0017).
    for code in steps:
        if code == NORM:  # three roundings, as in batch_norm_inference
            tile = minus_columns(tile, table, place)
            tile = times_columns(tile, table, place + columns)
            tile = plus_columns(tile, table, place + 2 * columns)
            place += NORM_ROWS * columns
        elif code == RELU:
            tile = not_below_zero(tile)
        elif code == SIGN:
            tile = signs(tile)
        elif code == ADD:
            tile = plus_pixels(tile, residual, first, last, step, channel)
        else:
            tile = sloped_columns(tile, table, place)
            place += columns
    return tile
