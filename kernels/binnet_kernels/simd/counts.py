"""The register tile of counts: signs that differ, 32 of them in a lane.

Where the CPU counts the bits of 32-bit lanes in one instruction, a tile holds plain counts. Elsewhere only the bits of
bytes are cheap to count, by a table (``pshufb``) or in one instruction (``cnt``). There the *recent* counts of the last
few steps stay in bytes, four to a lane, and are added up before a byte could overflow.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .jit import inlined
from .tile import CHANNELS, VECTORS, XNOR_ROWS, Tile, each_sum, empty, tile_weights
from .vector import HALVES, LANES, assembly, call, suffix, twin

_POPCOUNT = f"""
declare <{LANES} x i32> @llvm.ctpop.v{LANES}i32(<{LANES} x i32>)
define <{LANES} x i32> @count(<{LANES} x i32> %a) {{
  %b = call <{LANES} x i32> @llvm.ctpop.v{LANES}i32(<{LANES} x i32> %a)
  ret <{LANES} x i32> %b
}}"""

BYTE_COUNTS = not re.search(r"vpopcnt[dw]\b", assembly(_POPCOUNT))  # no `vpopcntd` (x86), no `vpopcntw` (POWER)
RECENT_STEPS = 255 // 8  # of which a byte holds the counts
COUNTS = Tile(HALVES, XNOR_ROWS)

_WORDS = HALVES.llvm_type
_COUNTED = ir.VectorType(ir.IntType(8), 4 * LANES) if BYTE_COUNTS else _WORDS


@twin(lambda: np.zeros((XNOR_ROWS, CHANNELS), np.uint32))
def no_counts(context: Any) -> Any:
    """A tile of counts (XNOR_ROWS, CHANNELS), uint32 zeros."""
    return empty(COUNTS)


def plus_ones(context: Any, builder: ir.IRBuilder, recent: Any, bits: Any) -> Any:
    """One vector of recent counts, plus the number of ones in ``bits``: in bytes, or in lanes."""
    ones = call(builder, f"llvm.ctpop.{suffix(_COUNTED)}", _COUNTED, [builder.bitcast(bits, _COUNTED)])
    return builder.bitcast(builder.add(builder.bitcast(recent, _COUNTED), ones), _WORDS)


def _count_differing(recent: Any, x: Any, starts: Any, i: int, w: Any, j: int) -> Any:
    return recent + np.bitwise_count(x[starts + i][:, None] ^ w[j : j + CHANNELS])


@twin(_count_differing)
def count_differing(context: Any, recent: Any, x: Any, starts: Any, i: Any, w: Any, j: Any) -> Any:
    """``recent[p, o] + popcount(x[starts[p] + i] ^ w[j + o])``: adds the number of differing signs among 32."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        weights = tile_weights(context, builder, sig, args)

        def combine(total: Any, value: Any, weight: Any) -> Any:
            return plus_ones(context, builder, total, builder.xor(value, weight))

        return each_sum(context, builder, sig, args, weights, combine)

    return recent(recent, x, starts, types.intp, w, types.intp), build


@twin(lambda counts, recent: counts + recent)
def add_recent(context: Any, counts: Any, recent: Any) -> Any:
    """A tile of counts plus one of recent counts."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        def same(value: int) -> Any:
            return ir.Constant(_WORDS, [value] * LANES)

        total, recent = args
        for place in range(XNOR_ROWS * VECTORS):
            value = builder.extract_value(recent, place)
            if BYTE_COUNTS:
                # Neighbours are added: 4 counts of 8 bits, then 2 of 16.
                for bits, mask in ((8, 0x00FF00FF), (16, 0x0000FFFF)):
                    upper = builder.and_(builder.lshr(value, same(bits)), same(mask))
                    value = builder.add(builder.and_(value, same(mask)), upper)
            total = builder.insert_value(total, builder.add(builder.extract_value(total, place), value), place)
        return total

    return counts(counts, recent), build


@inlined
def settle(counts, recent, left):
    """``counts, recent, left`` after a step of counting; recent counts are added when there are no steps left."""
    if BYTE_COUNTS:  # a constant: no branch elsewhere
        if left == 1:
            return add_recent(counts, recent), no_counts(), RECENT_STEPS
        return counts, recent, left - 1
    return counts, recent, left


@twin(lambda tile: tile * np.uint32(2))
def twice(context: Any, tile: Any) -> Any:
    """Each count doubled, between a plane and the one below it."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        total, one = args[0], ir.Constant(_WORDS, [1] * LANES)
        for number in range(XNOR_ROWS * VECTORS):
            total = builder.insert_value(total, builder.shl(builder.extract_value(total, number), one), number)
        return total

    return tile(tile), build
