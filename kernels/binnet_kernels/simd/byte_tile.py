"""Tiles of whole numbers: four bytes from 0 to 255 times four weights of a byte, added to the 32 bits of each lane.

Sums are exact on every CPU; how the products are formed differs, and LLVM is asked what there is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .epilogue import each_row
from .tile import CHANNELS, FLOAT_ROWS, VECTORS, Tile, at_vector, each_sum, tile_weights
from .vector import FLOATS, HALVES, JIT, LANES, VECTOR_BITS, assembly, call, pointer, spread, suffix, twin

GROUP = 4  # bytes that a lane takes at once
_SUM = """declare i32 @llvm.vector.reduce.add.v16i32(<16 x i32>)
define i32 @dot(<16 x i8> %a, <16 x i8> %b) {{
  %c = {first}ext <16 x i8> %a to <16 x i32>
  %d = sext <16 x i8> %b to <16 x i32>
  %e = mul <16 x i32> %c, %d
  %f = call i32 @llvm.vector.reduce.add.v16i32(<16 x i32> %e)
  ret i32 %f
}}"""


def _instruction() -> str:
    """The instruction of the CPU for sums of four products of bytes: vpdpbusd, usdot, sdot, or none."""
    mixed = assembly(_SUM.format(first="z"))
    found = next((name for name in ("vpdpbusd", "usdot") if name in mixed), "")
    return found or ("sdot" if "sdot" in assembly(_SUM.format(first="s")) else "")


INSTRUCTION = _instruction() if JIT else ""
# Where both factors must be signed, 128 is taken from each number, and sums begin with 128 times the weights.
SHIFT = 128 if INSTRUCTION == "sdot" else 0
SUMS = Tile(HALVES, FLOAT_ROWS)
ROW = Tile(HALVES, 1)


# ------------------------------------------------------------------ sums begin


def _begin(tile: Tile) -> Any:
    @twin(lambda base, channel: np.tile(base[channel : channel + CHANNELS].view(np.uint32), (tile.rows, 1)))
    def sums(context: Any, base: Any, channel: Any) -> Any:
        def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            total = ir.Constant(context.get_value_type(tile), ir.Undefined)
            for v in range(VECTORS):
                place = builder.add(args[1], at_vector(args[1], v, LANES))
                address = pointer(context, builder, sig.args[0], args[0], place, HALVES.llvm_type)
                value = builder.load(address, align=4)
                for row in range(tile.rows):
                    total = builder.insert_value(total, value, row * VECTORS + v)
            return total

        return tile(base, types.intp), build

    return sums


begin_sums = _begin(SUMS)  # a tile whose rows all are ``base[channel:]``, int32
begin_row = _begin(ROW)


# ------------------------------------------------------------------ products


def _dot_bytes(tile: Any, x: Any, starts: Any, i: int, w: Any, j: int) -> Any:
    q = x[np.asarray(starts)[:, None] + i + np.arange(GROUP)].astype(np.int32)
    weights = w[j : j + CHANNELS].view(np.int8).reshape(CHANNELS, GROUP).astype(np.int32)
    return tile + (q @ weights.T).view(np.uint32)


@twin(_dot_bytes)
def dot_bytes(context: Any, tile: Any, x: Any, starts: Any, i: Any, w: Any, j: Any) -> Any:
    """``tile[p, o] + Σ x[starts[p] + i + k] * w[j + o, k]`` over the four bytes k of a weight word."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        weights = tile_weights(context, builder, sig, args)
        return each_sum(context, builder, sig, args, weights, _combine(builder))

    return tile(tile, x, starts, types.intp, w, types.intp), build


def _combine(builder: ir.IRBuilder) -> Any:
    """``(sums, four bytes of x, four weights) -> sums``, each a vector of 32-bit lanes."""
    whole, four = HALVES.llvm_type, ir.VectorType(ir.IntType(8), GROUP * LANES)
    name = {
        "vpdpbusd": f"llvm.x86.avx512.vpdpbusd.{VECTOR_BITS}",
        "usdot": "llvm.aarch64.neon.usdot.v4i32.v16i8",
        "sdot": "llvm.aarch64.neon.sdot.v4i32.v16i8",
    }.get(INSTRUCTION, "")

    def instruction(total: Any, value: Any, weight: Any) -> Any:
        if SHIFT:
            value = builder.xor(value, ir.Constant(whole, [0x80808080] * LANES))  # as signed bytes: less 128
        return call(builder, name, whole, [total, builder.bitcast(value, four), builder.bitcast(weight, four)])

    def pairs(total: Any, value: Any, weight: Any) -> Any:
        # Saturating instructions would lose sums: 2 * 255 * 127 is beyond 16 bits. So bytes become numbers of 16
        # bits, the even ones and the odd ones, and products are added in 32: `pmaddwd` on x86.
        halves = ir.VectorType(ir.IntType(16), 2 * LANES)
        eight, low = ir.Constant(halves, [8] * halves.count), ir.Constant(halves, [255] * halves.count)
        q, w = builder.bitcast(value, halves), builder.bitcast(weight, halves)
        odd = _sum_of_pairs(builder, builder.lshr(q, eight), builder.ashr(w, eight))
        even = _sum_of_pairs(builder, builder.and_(q, low), builder.ashr(builder.shl(w, eight), eight))
        return builder.add(builder.add(total, odd), even)

    return instruction if name else pairs


def _sum_of_pairs(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    """Products of 16-bit lanes, each two neighbours added up in 32 bits."""
    wide = ir.VectorType(ir.IntType(32), 2 * LANES)
    product = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
    undef = ir.Constant(wide, ir.Undefined)
    first, second = (
        ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(range(side, 2 * LANES, 2))) for side in (0, 1)
    )
    return builder.add(builder.shuffle_vector(product, undef, first), builder.shuffle_vector(product, undef, second))


# ------------------------------------------------------------------ to floats


def _as_values(
    tile: Any, table: Any, offsets: Any, border_class: Any, columns: int, first: int, last: int, channel: int
) -> Any:
    values = tile.view(np.int32).astype(np.float32) * table[channel : channel + CHANNELS]
    for row in range(len(tile)):
        start = border_class[min(first + row, last)] * columns + channel
        values[row] += offsets[start : start + CHANNELS]
    return values


@twin(_as_values)
def as_values(
    context: Any,
    tile: Any,
    table: Any,
    offsets: Any,
    border_class: Any,
    columns: Any,
    first: Any,
    last: Any,
    channel: Any,
) -> Any:
    """Sums to values: ``sum * table[c] + offsets[border_class[q], c]``, three float32 roundings."""
    values = Tile(FLOATS, tile.rows)

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        sums, table, offsets, border_class, columns, first, last, channel = args
        result = ir.Constant(context.get_value_type(values), ir.Undefined)

        def fetch(kind: Any, array: Any, start: Any, v: int) -> Any:
            place = builder.add(start, at_vector(start, v, LANES))
            return builder.load(pointer(context, builder, kind, array, place, FLOATS.llvm_type), align=4)

        scales = [fetch(sig.args[1], table, channel, v) for v in range(VECTORS)]
        for row, pixel in each_row(builder, sig.args[0], first, last):
            border = builder.load(pointer(context, builder, sig.args[3], border_class, pixel), align=8)
            start = builder.add(builder.mul(border, columns), channel)
            for v, scale in enumerate(scales):
                place = row * VECTORS + v
                value = builder.sitofp(builder.extract_value(sums, place), FLOATS.llvm_type)
                value = builder.fadd(builder.fmul(value, scale), fetch(sig.args[2], offsets, start, v))
                result = builder.insert_value(result, value, place)
        return result

    ints = (types.intp,) * 4
    return values(tile, table, offsets, border_class, *ints), build


# ------------------------------------------------------------------ from floats

WIDTH = 32  # floats that are rounded at once


def _store_rounded(out: Any, place: int, x: Any, index: int, factor: Any, zero: Any) -> None:
    y = np.rint(x[index : index + WIDTH] * factor) + zero
    y = np.where(y > 0, y, np.float32(0))
    out[place : place + WIDTH] = np.where(y < 255, y, np.float32(255))


@twin(_store_rounded)
def store_rounded(context: Any, out: Any, place: Any, x: Any, index: Any, factor: Any, zero: Any) -> Any:
    """``out[place + i] = clip(round(x[index + i] * factor) + zero, 0, 255)`` for WIDTH numbers; NaN becomes 0."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        out, place, x, index, factor, zero = args
        floats, ints = ir.VectorType(ir.FloatType(), WIDTH), ir.VectorType(ir.IntType(32), WIDTH)
        least, most = (ir.Constant(floats, [end] * WIDTH) for end in (0.0, 255.0))
        value = builder.load(pointer(context, builder, sig.args[2], x, index, floats), align=4)
        product = builder.fmul(value, spread(builder, factor, WIDTH))
        y = builder.fadd(call(builder, f"llvm.rint.{suffix(floats)}", floats, [product]), spread(builder, zero, WIDTH))
        y = builder.select(builder.fcmp_ordered(">", y, least), y, least)  # ordered: false for NaN
        y = builder.select(builder.fcmp_ordered("<", y, most), y, most)
        number = builder.trunc(builder.fptosi(y, ints), ir.VectorType(ir.IntType(8), WIDTH))
        builder.store(number, pointer(context, builder, sig.args[0], out, place, number.type), align=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, x, types.intp, types.float32, types.float32), build
