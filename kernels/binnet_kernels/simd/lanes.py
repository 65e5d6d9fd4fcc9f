"""Vectors of 32 lanes, as many as a half word has signs: what the element-wise kernels of a training step work with.

``+ - * /`` work lane by lane. Whatever asks about lanes gives one uint32 whose bit i is the answer of lane i, and
whatever acts on some lanes takes one. LLVM splits these vectors into the registers that there are. As in :mod:`vector`,
every operation has a NumPy form for when the JIT is off, where a vector is an array of 32.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .jit import helper
from .vector import JIT, Vector, call, pointer, spread, store_where, suffix, twin

WIDTH = 32
SINGLES, DOUBLES = Vector(types.float32, WIDTH), Vector(types.float64, WIDTH)
NUMBERS = Vector(types.uint16, WIDTH)  # of a tap in its window
ALL = np.uint32(0xFFFFFFFF)
_ONE_EACH = ir.VectorType(ir.IntType(1), WIDTH)


def _constant(vector: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(vector, [value] * vector.count)


def _truth(bits: Any) -> npt.NDArray[np.bool_]:
    """The bits of a uint32 as an array, for the NumPy forms."""
    return np.unpackbits(np.array([bits], "<u4").view(np.uint8), bitorder="little").astype(bool)


def _bits(truth: npt.NDArray[np.bool_]) -> np.uint32:
    return np.uint32(np.packbits(truth, bitorder="little").view("<u4")[0])


# ------------------------------------------------------------------ arithmetic


def _by_lane(symbol: Callable[..., Any], instruction: str) -> None:
    """Let a Python operator work on two vectors of one type."""

    @intrinsic
    def combine(context: Any, a: Any, b: Any) -> Any:
        return a(a, a), lambda context, builder, sig, args: getattr(builder, instruction)(*args)

    @overload(symbol, strict=False)  # strict: a lambda would need annotations
    def vectors(a: Any, b: Any) -> Any:
        return (lambda a, b: combine(a, b)) if isinstance(a, Vector) and a == b else None


if JIT:
    _by_lane(operator.add, "fadd")
    _by_lane(operator.sub, "fsub")
    _by_lane(operator.mul, "fmul")
    _by_lane(operator.truediv, "fdiv")


@twin(lambda a, b, c: a * b + c)
def multiply_add(context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the CPU can."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return call(builder, f"llvm.fmuladd.{suffix(a.llvm_type)}", a.llvm_type, list(args))

    return a(a, a, a), build


def _one_argument(python: Callable[[Any], Any], name: str) -> Any:
    """An operation of each lane that LLVM has an intrinsic for."""

    @twin(python)
    def operation(context: Any, a: Any) -> Any:
        def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            return call(builder, f"llvm.{name}.{suffix(a.llvm_type)}", a.llvm_type, list(args))

        return a(a), build

    return operation


square_root = _one_argument(np.sqrt, "sqrt")
magnitude = _one_argument(np.abs, "fabs")


@twin(lambda a, limit: np.where(a < -limit, -limit, np.where(a > limit, limit, a)))
def clamped(context: Any, a: Any, limit: Any) -> Any:
    """Each lane of ``a`` within ±the lane of ``limit``; NaN stays."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        a, limit = args
        low = builder.fneg(limit)
        # Two ordered comparisons leave NaN as it is, which minimum and maximum instructions do not.
        a = builder.select(builder.fcmp_ordered("<", a, low), low, a)
        return builder.select(builder.fcmp_ordered(">", a, limit), limit, a)

    return a(a, a), build


@twin(lambda scalar: np.full(WIDTH, scalar))
def all_lanes(context: Any, scalar: Any) -> Any:
    """A number in every lane."""
    vector = Vector(scalar, WIDTH)
    return vector(scalar), lambda context, builder, sig, args: spread(builder, args[0], WIDTH)


@twin(lambda a: a.astype(np.float64))
def widened(context: Any, a: Any) -> Any:
    """float32 lanes as float64, for sums in double precision."""
    return DOUBLES(SINGLES), lambda context, builder, sig, args: builder.fpext(args[0], DOUBLES.llvm_type)


# ------------------------------------------------------------------ memory


@helper
def first_lanes(keep):
    """The bits of the first ``keep`` lanes, of all of them when it is larger."""
    # Constants are wrapped, as `uint64 - 1` is int64 in Numba; a shift by 64 and more has no defined result.
    return ALL if keep >= WIDTH else np.uint32((np.uint64(1) << np.uint64(keep)) - np.uint64(1))


def _load_lanes(array: Any, index: int, lanes: Any) -> Any:
    vector, count = np.zeros(WIDTH, array.dtype), int(lanes).bit_length()
    vector[:count] = array[index : index + count]
    return vector


@twin(_load_lanes)
def load_lanes(context: Any, array: Any, index: Any, lanes: Any) -> Any:
    """The floats at ``index`` in the lanes of :func:`first_lanes`, zeros elsewhere, where no memory is read."""
    vector = Vector(array.dtype, WIDTH)

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, index, lanes = args
        address = pointer(context, builder, sig.args[0], array, index, vector.llvm_type)
        align = ir.Constant(ir.IntType(32), vector.scalar.bitwidth // 8)
        arguments = [address, align, builder.bitcast(lanes, _ONE_EACH), _constant(vector.llvm_type, 0.0)]
        return call(builder, f"llvm.masked.load.{suffix(vector.llvm_type)}.p0", vector.llvm_type, arguments)

    return vector(array, types.intp, types.uint32), build


def _store_lanes(array: Any, index: int, value: Any, lanes: Any) -> None:
    count = int(lanes).bit_length()
    array[index : index + count] = value[:count]


@twin(_store_lanes)
def store_lanes(context: Any, array: Any, index: Any, value: Any, lanes: Any) -> Any:
    """Write the lanes chosen by :func:`first_lanes` at ``index``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, index, value, lanes = args
        address = pointer(context, builder, sig.args[0], array, index, value.type)
        every = builder.icmp_unsigned("==", lanes, ir.Constant(lanes.type, int(ALL)))
        store_where(builder, value, address, every, lambda: builder.bitcast(lanes, _ONE_EACH))
        return context.get_dummy_value()

    return types.void(array, types.intp, value, types.uint32), build


@twin(lambda array, index: array[index : index + WIDTH].copy())
def load_all(context: Any, array: Any, index: Any) -> Any:
    """The 32 values at ``index``, without the cost of a mask; the array must be long enough."""
    vector = Vector(array.dtype, WIDTH)

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        address = pointer(context, builder, sig.args[0], args[0], args[1], vector.llvm_type)
        return builder.load(address, align=vector.scalar.bitwidth // 8)

    return vector(array, types.intp), build


def _store_all(array: Any, index: int, value: Any) -> None:
    array[index : index + WIDTH] = value


@twin(_store_all)
def store_all(context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write all 32 lanes at ``index``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        address = pointer(context, builder, sig.args[0], args[0], args[1], args[2].type)
        builder.store(args[2], address, align=sig.args[2].scalar.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), build


@twin(lambda array, index: None)
def prefetch(context: Any, array: Any, index: Any) -> Any:
    """Ask for the 32 floats at ``index`` to be brought into the cache; they may lie past the end of the array."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        read, keep, data = (ir.Constant(ir.IntType(32), flag) for flag in (0, 2, 1))
        for line in range(0, WIDTH, 16):  # a cache line has 64 bytes, 16 floats
            index = builder.add(args[1], ir.Constant(args[1].type, line))
            address = pointer(context, builder, sig.args[0], args[0], index, ir.IntType(8))
            call(builder, "llvm.prefetch.p0", ir.VoidType(), [address, read, keep, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), build


_AHEAD = 2048  # floats, 8 KB: of 1024 to 8192 about the best for a map of 50 MB, 6.7 ms without and 4.5 with


@helper
def fetch_ahead(array, index):
    """Prefetch what lies 8 KB after ``index``.

    The CPU does not see groups of rows as one long sequence, and fetches nothing of a map that is only written.
    """
    prefetch(array, index + _AHEAD)


# ------------------------------------------------------------------ questions, and lanes that are chosen


def _question(python: Callable[[Any], Any], ask: Callable[[ir.IRBuilder, Any], Any]) -> Any:
    """An intrinsic that gives one bit for each lane of float32."""

    @twin(lambda a: _bits(python(a)))
    def question(context: Any, a: Any) -> Any:
        def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            return builder.bitcast(ask(builder, args[0]), ir.IntType(WIDTH))

        return types.uint32(SINGLES), build

    return question


def _compare(sign: str, limit: float) -> Callable[[ir.IRBuilder, Any], Any]:
    return lambda builder, a: builder.fcmp_ordered(sign, a, _constant(a.type, limit))


def _at_most_one(builder: ir.IRBuilder, a: Any) -> Any:
    return _compare("<=", 1.0)(builder, call(builder, f"llvm.fabs.{suffix(a.type)}", a.type, [a]))


# NaN: never.
negative = _question(lambda a: a < 0, _compare("<", 0.0))
positive = _question(lambda a: a > 0, _compare(">", 0.0))
within_one = _question(lambda a: np.abs(a) <= 1, _at_most_one)


@twin(lambda a, chosen: np.where(_truth(chosen), a, a.dtype.type(0)))
def zero_unless(context: Any, a: Any, chosen: Any) -> Any:
    """The lanes whose bit is 1, zeros in the others."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.select(builder.bitcast(args[1], _ONE_EACH), args[0], ir.Constant(args[0].type, None))

    return a(a, types.uint32), build


@twin(lambda a, chosen: np.where(_truth(chosen), -a, a))
def negated_where(context: Any, a: Any, chosen: Any) -> Any:
    """``-a`` in the lanes whose bit is 1, ``a`` in the others."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.select(builder.bitcast(args[1], _ONE_EACH), builder.fneg(args[0]), args[0])

    return a(a, types.uint32), build


@twin(lambda a, b, chosen: np.where(_truth(chosen), a, b))
def either(context: Any, a: Any, b: Any, chosen: Any) -> Any:
    """``a`` in the lanes whose bit is 1, ``b`` in the others."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.select(builder.bitcast(args[2], _ONE_EACH), args[0], args[1])

    return a(a, a, types.uint32), build


@twin(lambda a, b: _bits((a > b) | (np.isnan(a) & ~np.isnan(b))))
def beats(context: Any, a: Any, b: Any) -> Any:
    """The lanes where ``a`` is larger than ``b``, or is NaN and ``b`` is not."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        a, b = args
        first = builder.and_(builder.fcmp_unordered("uno", a, a), builder.fcmp_ordered("ord", b, b))
        return builder.bitcast(builder.or_(builder.fcmp_ordered(">", a, b), first), ir.IntType(WIDTH))

    return types.uint32(SINGLES, SINGLES), build


@twin(lambda a, number: _bits(a == number))
def equal(context: Any, a: Any, number: Any) -> Any:
    """The lanes that equal ``number``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        same = builder.icmp_unsigned("==", args[0], spread(builder, args[1], WIDTH))
        return builder.bitcast(same, ir.IntType(WIDTH))

    return types.uint32(NUMBERS, types.uint16), build
