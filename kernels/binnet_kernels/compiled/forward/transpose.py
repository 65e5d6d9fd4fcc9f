"""Transposition of a square in registers: filters lie one after the other, and tiles read them side by side."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from ...simd.vector import FLOATS, LANES, pointer, twin


def _transpose(array: Any, first: int, last: int, step: int, column: int, out: Any, target: int, pitch: int) -> None:
    for lane in range(LANES):
        source = min(first + lane, last) * step + column
        out[target + lane : target + lane + LANES * pitch : pitch] = array[source : source + LANES]


@twin(_transpose)
def transpose(
    context: Any, array: Any, first: Any, last: Any, step: Any, column: Any, out: Any, target: Any, pitch: Any
) -> Any:
    """``out[target + i * pitch + lane] = array[min(first + lane, last) * step + column + i]`` for LANES i and lanes.

    LANES rows of a matrix are read as vectors, and each log2(LANES) times zipped with the one half of them further on.
    """

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, first, last, step, column, out, target, pitch = args
        rows = []
        for lane in range(LANES):
            row = builder.add(first, ir.Constant(first.type, lane))
            # Filters past the last repeat it: no row is read behind the array, and what is computed for them is not
            # stored.
            row = builder.select(builder.icmp_signed("<", row, last), row, last)
            index = builder.add(builder.mul(row, step), column)
            rows.append(builder.load(pointer(context, builder, sig.args[0], array, index, FLOATS.llvm_type), align=4))
        # Every load and store is a whole vector; a gather would read value by value.
        for _ in range(LANES.bit_length() - 1):
            rows = [half for pair in zip(rows, rows[LANES // 2 :]) for half in _zip(builder, *pair)]
        for i, row in enumerate(rows):
            index = builder.add(target, builder.mul(pitch, ir.Constant(pitch.type, i)))
            builder.store(row, pointer(context, builder, sig.args[5], out, index, FLOATS.llvm_type), align=4)
        return context.get_dummy_value()

    return types.void(array, *(types.intp,) * 4, out, types.intp, types.intp), build


def _zip(builder: ir.IRBuilder, a: Any, b: Any) -> tuple[Any, Any]:
    """Lanes of ``a`` and ``b`` in turn, as two vectors."""
    turns = [lane + side * LANES for lane in range(LANES) for side in (0, 1)]
    order = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), half) for half in (turns[:LANES], turns[LANES:])]
    return builder.shuffle_vector(a, b, order[0]), builder.shuffle_vector(a, b, order[1])
