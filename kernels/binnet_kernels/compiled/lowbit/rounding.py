"""Rounding to levels, 32 values at a time.

The random numbers are those of ``lowbit/counter_rng.py``, the rules those of ``lowbit/rounding.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ...checks import Float
from ...lowbit.counter_rng import FIRST, SECOND, STEP, mixed
from ...lowbit.rounding import EVEN, MAGNITUDES, even_levels_of, magnitudes_of, signs_of
from ...simd.jit import helper
from ...simd.lanes import SINGLES, WIDTH
from ...simd.vector import call, spread, suffix, twin
from .bit_lanes import HALF_WORDS

_FLOATS, _INTS = SINGLES.llvm_type, HALF_WORDS.llvm_type


def _draw(first: int, key: Any, second_key: Any) -> Float:
    return mixed((np.arange(first, first + WIDTH, dtype=np.uint64)).astype(np.uint32), key, second_key)


@twin(_draw)
def draw(context: Any, first: Any, key: Any, second_key: Any) -> Any:
    """Numbers ``first`` ... ``first + 31`` (counted modulo 2**32), one in each lane."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        first, key, second_key = args

        def same(value: int) -> Any:
            return ir.Constant(_INTS, [value] * WIDTH)

        def folded(x: Any, shift: int) -> Any:
            return builder.xor(x, builder.lshr(x, same(shift)))

        lanes = ir.Constant(_INTS, list(range(WIDTH)))
        x = builder.add(spread(builder, builder.trunc(first, ir.IntType(32)), WIDTH), lanes)
        x = builder.xor(x, spread(builder, key, WIDTH))
        x = builder.add(builder.mul(folded(x, 16), same(FIRST)), spread(builder, second_key, WIDTH))
        x = folded(builder.mul(folded(x, 15), same(SECOND)), 16)
        # 24 bits are exact in float32 and not negative, so the signed conversion will do, which every CPU has as a
        # vector instruction.
        number = builder.sitofp(builder.lshr(x, same(8)), _FLOATS)
        return builder.fmul(number, ir.Constant(_FLOATS, [float(STEP)] * WIDTH))

    return SINGLES(types.intp, types.uint32, types.uint32), build


def _least(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    """The smaller of two; ``b`` where ``a`` is NaN."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


@twin(magnitudes_of)
def magnitude_levels(context: Any, x: Any, factor: Any, u: Any, top: Any) -> Any:
    """:func:`magnitudes_of` lane by lane."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        x, factor, u, top = args
        size = call(builder, f"llvm.fabs.{suffix(_FLOATS)}", _FLOATS, [x])
        # The level is not negative, so the conversion below, which cuts off, is the floor.
        level = builder.fadd(builder.fmul(size, factor), u)
        return builder.fptosi(_least(builder, level, spread(builder, top, WIDTH)), _INTS)

    return HALF_WORDS(SINGLES, SINGLES, SINGLES, types.float32), build


@twin(even_levels_of)
def even_levels(context: Any, x: Any, factor: Any, u: Any, top: Any) -> Any:
    """:func:`even_levels_of` lane by lane."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        x, factor, u, top = args
        zero, one, half = (ir.Constant(_FLOATS, [value] * WIDTH) for value in (0.0, 1.0, 0.5))
        most = spread(builder, top, WIDTH)
        level = builder.fadd(builder.fmul(x, factor), builder.fsub(u, half))
        level = call(builder, f"llvm.floor.{suffix(_FLOATS)}", _FLOATS, [level])
        level = builder.fadd(level, builder.fmul(builder.fadd(most, one), half))
        level = _least(builder, level, most)
        level = builder.select(builder.fcmp_ordered(">", level, zero), level, zero)
        return builder.fptosi(builder.fsub(most, level), _INTS)

    return HALF_WORDS(SINGLES, SINGLES, SINGLES, types.float32), build


@twin(signs_of)
def sign_levels(context: Any, x: Any) -> Any:
    """:func:`signs_of` lane by lane."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        negative = builder.fcmp_ordered("<", args[0], ir.Constant(_FLOATS, [0.0] * WIDTH))
        return builder.zext(negative, _INTS)

    return HALF_WORDS(SINGLES), build


@helper
def levels_of_kind(x, factor, u, kind, top):
    """The levels of a :class:`binnet_kernels.lowbit.rounding.Rounding` of this kind, lane by lane."""
    if kind == MAGNITUDES:
        return magnitude_levels(x, factor, u, top)
    if kind == EVEN:
        return even_levels(x, factor, u, top)
    return sign_levels(x)
