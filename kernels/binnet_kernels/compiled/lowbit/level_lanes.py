"""Levels of k bits in vectors of 32 lanes: their codes, their values and their planes (see ``lowbit/levels.py``)."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ...simd.jit import helper
from ...simd.lanes import SINGLES, WIDTH, all_lanes, first_lanes, load_lanes, widened
from ...simd.vector import Vector, spread, sum_lanes, twin
from ..forward.scale import filter_alpha

CODES = Vector(types.uint32, WIDTH)


def _codes_of(value: Any, levels: int) -> Any:
    within = np.where(value < 1, value, np.float32(1))  # NaN becomes 1
    within = np.where(within > -1, within, np.float32(-1))
    return (levels // 2 - (np.floor(within * np.float32(levels)).astype(np.int32) >> 1)).astype(np.uint32)


@twin(_codes_of)
def codes_of(context: Any, value: Any, levels: Any) -> Any:
    """The code of each lane, from 0 for the highest level to L, ``levels``, for the lowest."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        y, levels = args
        floats, ints = SINGLES.llvm_type, CODES.llvm_type
        one, minus_one, shift = (ir.Constant(t, [v] * WIDTH) for t, v in ((floats, 1.0), (floats, -1.0), (ints, 1)))
        y = builder.select(builder.fcmp_ordered("<", y, one), y, one)  # NaN becomes 1
        y = builder.select(builder.fcmp_ordered(">", y, minus_one), y, minus_one)
        y = builder.fmul(y, spread(builder, builder.sitofp(levels, ir.FloatType()), WIDTH))
        whole = builder.fptosi(y, ints)  # towards 0: one too many where that is above
        above = builder.sext(builder.fcmp_ordered(">", builder.sitofp(whole, floats), y), ints)
        half = builder.ashr(builder.add(whole, above), shift)
        middle = builder.trunc(builder.lshr(levels, ir.Constant(levels.type, 1)), ir.IntType(32))
        return builder.sub(spread(builder, middle, WIDTH), half)

    return CODES(SINGLES, types.intp), build


def _levels_of(codes: Any, levels: int) -> Any:
    return (levels - 2 * codes.astype(np.int32)).astype(np.float32) / np.float32(levels)


@twin(_levels_of)
def levels_of(context: Any, codes: Any, levels: Any) -> Any:
    """The level of each code, (L - 2 c) / L."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        codes, levels = args
        floats, whole = SINGLES.llvm_type, spread(builder, builder.trunc(levels, ir.IntType(32)), WIDTH)
        twice = builder.shl(codes, ir.Constant(CODES.llvm_type, [1] * WIDTH))
        return builder.fdiv(builder.sitofp(builder.sub(whole, twice), floats), builder.sitofp(whole, floats))

    return SINGLES(CODES, types.intp), build


def _plane_half(codes: Any, plane: int) -> Any:
    return np.packbits((codes >> np.uint32(plane)) & 1 == 1, bitorder="little").view("<u4")[0]


@twin(_plane_half)
def plane_half(context: Any, codes: Any, plane: Any) -> Any:
    """Bit ``plane`` of each code, as a half word."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        codes, plane = args
        bit = builder.shl(ir.Constant(ir.IntType(32), 1), builder.trunc(plane, ir.IntType(32)))
        chosen = builder.and_(codes, spread(builder, bit, WIDTH))
        zeros = ir.Constant(CODES.llvm_type, [0] * WIDTH)
        return builder.bitcast(builder.icmp_unsigned("!=", chosen, zeros), ir.IntType(WIDTH))

    return types.uint32(CODES, types.intp), build


# ---------------------------------------------------------------------------------------------- helpers


@helper
def levels_at(x, start, lanes, factor, levels):
    """q_k(x · factor) of the floats at ``start`` in the lanes chosen by :func:`first_lanes`."""
    return levels_of(codes_of(load_lanes(x, start, lanes) * all_lanes(factor), levels), levels)


@helper
def pack_levels(x, start, n, factor, planes, levels, halves, target, step):
    """Pack the levels of ``x[start:start + n] · factor``: ceil(n / 32) half words of each plane from ``target`` on.

    Planes are ``step`` half words apart.
    """
    for i in range((n + WIDTH - 1) // WIDTH):
        lanes = first_lanes(n - i * WIDTH)
        codes = codes_of(load_lanes(x, start + i * WIDTH, lanes) * all_lanes(factor), levels)
        for plane in range(planes):
            halves[target + plane * step + i] = plane_half(codes, plane) & lanes


@helper
def inverse(alpha):
    """1 / alpha, the factor of weights before q_k; 0 for filters of zeros."""
    return np.float32(1) / alpha if alpha > 0 else np.float32(0)


@helper
def filter_stretch(weight, start, n, ratio):
    """:func:`inverse` of the range of a filter, its mean of |W| times ``ratio``; 1 for one bit, of ratio 0."""
    if ratio == 0:  # only signs count: products may vanish, and their sign with them
        return np.float32(1)
    return inverse(filter_alpha(weight, start, n) * ratio)


@helper
def sum_with_levels(grad, weight, start, n, factor, levels):
    """Σⱼ gⱼ q_k(Wⱼ · factor) over ``n`` weights from ``start`` on, in float64, in an order that depends on n alone."""
    total = all_lanes(np.float64(0))
    for i in range(0, n, WIDTH):
        lanes = first_lanes(n - i)
        q = levels_at(weight, start + i, lanes, factor, levels)
        # Widened before the product, which is exact in float64.
        total = total + widened(load_lanes(grad, start + i, lanes)) * widened(q)
    return np.float32(sum_lanes(total))
