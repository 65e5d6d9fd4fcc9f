"""Register tiles of the products of quantised gradients: signs that differ, counted only where a mask has a bit.

Values of few levels are a sum of planes, plane j with weight 2^j; a plane has a sign and a mask bit for each value. A
product with signs is then ``kept - 2 popcount((g ^ w) & mask)``: exclusive-or and "and" are one instruction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ...simd.counts import plus_ones
from ...simd.tile import CHANNELS, VECTORS, XNOR_ROWS, at_vector, tile_weights
from ...simd.vector import FLOATS, HALVES, LANES, masked_store, pointer, spread, twin


def _count_masked(recent: Any, x: Any, starts: Any, i: int, w: Any, j: int, gap: int) -> Any:
    signs, masks = (x[starts + place][:, None] for place in (i, i + gap))
    return recent + np.bitwise_count((signs ^ w[j : j + CHANNELS]) & masks)


@twin(_count_masked)
def count_masked(context: Any, recent: Any, x: Any, starts: Any, i: Any, w: Any, j: Any, gap: Any) -> Any:
    """``recent[p, o] + popcount((x[starts[p] + i] ^ w[j + o]) & x[starts[p] + i + gap])``: 32 more values."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        total, x, starts, i, _, _, gap = args
        kind = HALVES.llvm_type
        weights = tile_weights(context, builder, sig, args, at=4)
        for row in range(XNOR_ROWS):
            place = builder.add(builder.extract_value(starts, row), i)
            sign, mask = (
                spread(builder, builder.load(pointer(context, builder, sig.args[1], x, index, kind.element)), LANES)
                for index in (place, builder.add(place, gap))
            )
            for v, weight in enumerate(weights):
                # XOR and AND are one `vpternlogd` with AVX-512: three instructions for 32 values a lane, as without a
                # mask.
                differing = builder.and_(builder.xor(sign, weight), mask)
                number = row * VECTORS + v
                count = plus_ones(context, builder, builder.extract_value(total, number), differing)
                total = builder.insert_value(total, count, number)
        return total

    return recent(recent, x, starts, types.intp, w, types.intp, types.intp), build


def _store_products(
    tile: Any, out: Any, rows: Any, left: int, step: int, channel: int, kept: Any, unit: Any, first: int
) -> None:
    keep = min(step - channel, CHANNELS)
    for row in range(min(left, XNOR_ROWS)):
        dots = (kept[first + row] - 2 * tile[row, :keep].astype(np.int32)).astype(np.float32)
        index = rows[row] * step + channel
        out[index : index + keep] = dots * unit[first + row]


@twin(_store_products)
def store_products(
    context: Any,
    tile: Any,
    out: Any,
    rows: Any,
    left: Any,
    step: Any,
    channel: Any,
    kept: Any,
    unit: Any,
    first: Any,
) -> Any:
    """``out[rows[p], channel + o] = (kept[first + p] - 2 * tile[p, o]) * unit[first + p]`` for the first ``left`` rows.

    ``out`` has ``step`` columns; those past them are not written. ``kept`` is int32, ``unit`` float32.
    """

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, out, rows, left, step, channel, kept, unit, first = args
        floats, one = FLOATS.llvm_type, ir.Constant(HALVES.llvm_type, [1] * LANES)
        for row in range(XNOR_ROWS):
            here = ir.Constant(left.type, row)
            wanted = builder.icmp_signed("<", here, left)
            place = builder.select(wanted, builder.add(first, here), first)
            most, scale = (
                spread(builder, builder.load(pointer(context, builder, kind, array, place)), LANES)
                for kind, array in ((sig.args[6], kept), (sig.args[7], unit))
            )
            for v in range(VECTORS):
                column = builder.add(channel, at_vector(channel, v, LANES))
                count = builder.shl(builder.extract_value(tile, row * VECTORS + v), one)
                value = builder.fmul(builder.sitofp(builder.sub(most, count), floats), scale)
                index = builder.add(builder.mul(builder.extract_value(rows, row), step), column)
                # Rows past the last write no column.
                keep = builder.select(wanted, builder.sub(step, column), ir.Constant(step.type, 0))
                masked_store(builder, value, pointer(context, builder, sig.args[1], out, index, floats), keep)
        return context.get_dummy_value()

    return types.void(tile, out, rows, *(types.intp,) * 3, kept, unit, types.intp), build
