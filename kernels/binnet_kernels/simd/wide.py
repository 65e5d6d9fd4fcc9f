"""Vectors of 32 lanes, whatever the CPU has: the channels of one half word, so that a comparison is a half word.

LLVM splits them into as many registers as it takes. ``WIDE`` holds float32, ``LEVELS`` uint32. Each operation has an
LLVM form and a NumPy form, as in :mod:`vector`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .vector import Vector, call, lane_mask, masked_load, pointer, spread, suffix, twin

BITS = 32  # of a half word, and lanes of these vectors
WIDE = Vector(types.float32, BITS)
LEVELS = Vector(types.uint32, BITS)

_FLOATS, _INTS = WIDE.llvm_type, LEVELS.llvm_type


def _same(vector: ir.VectorType, value: float) -> Any:
    return ir.Constant(vector, [value] * BITS)


def _to_bits(mask: Any) -> Any:
    """Lanes of booleans as a half word."""
    word: int = np.packbits(mask, bitorder="little").view("<u4")[0]
    return word


def _to_mask(word: Any) -> Any:
    return np.unpackbits(np.array([word], "<u4").view(np.uint8), bitorder="little").astype(bool)


# ------------------------------------------------------------------ into the registers and out


def _load_wide(array: Any, index: int, keep: int) -> Any:
    vector = np.zeros(BITS, np.float32)
    vector[: min(keep, BITS)] = array[index : index + min(keep, BITS)]
    return vector


@twin(_load_wide)
def load_wide(context: Any, array: Any, index: Any, keep: Any) -> Any:
    """The first ``keep`` floats at ``index``, zeros in the lanes after them."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return masked_load(context, builder, sig.args[0], args[0], args[1], args[2], _FLOATS)

    return WIDE(array, types.intp, types.intp), build


@twin(lambda array, index: None)
def will_load(context: Any, array: Any, index: Any) -> Any:
    """Ask for the 32 floats at ``index`` to be brought into the cache; they may lie past the end."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        line = ir.Constant(args[1].type, 16)
        number = ir.IntType(32)
        for index in (args[1], builder.add(args[1], line)):
            address = pointer(context, builder, sig.args[0], args[0], index, ir.IntType(8))
            call(builder, "llvm.prefetch.p0", ir.VoidType(), [address, *(ir.Constant(number, i) for i in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), build


@twin(lambda value: np.full(BITS, value, np.float32))
def in_all_lanes(context: Any, value: Any) -> Any:
    """A float32 in every lane."""
    return WIDE(types.float32), lambda context, builder, sig, args: spread(builder, args[0], BITS)


@twin(lambda array, index: array[index : index + BITS].copy())
def load_halves(context: Any, array: Any, index: Any) -> Any:
    """The 32 half words at ``index``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.load(pointer(context, builder, sig.args[0], args[0], args[1], _INTS), align=4)

    return LEVELS(array, types.intp), build


@twin(lambda: np.zeros(BITS, np.uint32))
def no_bits(context: Any) -> Any:
    """32 half words without a bit."""
    return LEVELS(), lambda context, builder, sig, args: _same(_INTS, 0)


def _store_halves(array: Any, index: int, value: Any) -> None:
    array[index : index + BITS] = value


@twin(_store_halves)
def store_halves(context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write all lanes at ``index``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, index, value = args
        builder.store(value, pointer(context, builder, sig.args[0], array, index, _INTS), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, LEVELS), build


def _raise_to(array: Any, index: int, value: Any, keep: int) -> None:
    place = array[index : index + min(keep, BITS)].view(np.uint32)
    np.maximum(place, np.abs(value[: len(place)]).view(np.uint32), out=place)


@twin(_raise_to)
def raise_to(context: Any, array: Any, index: Any, value: Any, keep: Any) -> Any:
    """``array[index + lane] = max(array[index + lane], |value|)`` in the first ``keep`` lanes; what is there is >= 0.

    The floats are compared as integers, so infinity is larger than every number, and NaN larger than that.
    """

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, index, value, keep = args
        old = masked_load(context, builder, sig.args[0], array, index, keep, _FLOATS)
        size = call(builder, f"llvm.fabs.{suffix(_FLOATS)}", _FLOATS, [value])
        both = [builder.bitcast(v, _INTS) for v in (old, size)]
        most = builder.bitcast(call(builder, f"llvm.umax.{suffix(_INTS)}", _INTS, both), _FLOATS)
        address = pointer(context, builder, sig.args[0], array, index, _FLOATS)
        arguments = [most, address, ir.Constant(ir.IntType(32), 4), lane_mask(builder, keep, BITS)]
        call(builder, f"llvm.masked.store.{suffix(_FLOATS)}.p0", ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(array, types.intp, WIDE, types.intp), build


# ------------------------------------------------------------------ floats


@twin(np.multiply)
def product(context: Any, a: Any, b: Any) -> Any:
    """a * b of each lane."""
    return WIDE(WIDE, WIDE), lambda context, builder, sig, args: builder.fmul(*args)


@twin(lambda a, y: np.where(y > 0, a, np.float32(0)))
def where_positive(context: Any, a: Any, y: Any) -> Any:
    """``a`` where y > 0, otherwise 0."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        positive = builder.fcmp_ordered(">", args[1], _same(_FLOATS, 0.0))
        return builder.select(positive, args[0], _same(_FLOATS, 0.0))

    return WIDE(WIDE, WIDE), build


@twin(lambda a: _to_bits(a < 0))
def negative_bits(context: Any, a: Any) -> Any:
    """A half word: bit i is 1 where lane i is below 0."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.bitcast(builder.fcmp_ordered("<", args[0], _same(_FLOATS, 0.0)), ir.IntType(BITS))

    return types.uint32(WIDE), build


# ------------------------------------------------------------------ bits


@twin(lambda levels, plane: _to_bits(levels >> np.uint32(plane) & 1))
def plane_bits(context: Any, levels: Any, plane: Any) -> Any:
    """A half word: bit i is bit ``plane`` of lane i."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        one = builder.shl(ir.Constant(ir.IntType(32), 1), builder.trunc(args[1], ir.IntType(32)))
        chosen = builder.and_(args[0], spread(builder, one, BITS))
        return builder.bitcast(builder.icmp_unsigned("!=", chosen, _same(_INTS, 0)), ir.IntType(BITS))

    return types.uint32(LEVELS, types.intp), build


@twin(lambda lanes, word, place: np.where(_to_mask(word), lanes | np.uint32(1 << place), lanes))
def set_bit(context: Any, lanes: Any, word: Any, place: Any) -> Any:
    """Bit ``place`` becomes 1 in the lanes whose bit is 1 in ``word``: 32 words in turn make a transposed square."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes, word, place = args
        one = builder.shl(ir.Constant(ir.IntType(32), 1), builder.trunc(place, ir.IntType(32)))
        # The word is the mask of one `or`: 32 of them transpose a square of 32 x 32 bits without a shuffle.
        chosen = builder.bitcast(word, ir.VectorType(ir.IntType(1), BITS))
        return builder.select(chosen, builder.or_(lanes, spread(builder, one, BITS)), lanes)

    return LEVELS(LEVELS, types.uint32, types.intp), build


@twin(lambda word: int(np.bitwise_count(np.uint32(word))))
def ones(context: Any, word: Any) -> Any:
    """How many bits of a half word are 1."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        count = call(builder, "llvm.ctpop.i32", ir.IntType(32), [args[0]])
        return builder.zext(count, ir.IntType(64))

    return types.intp(types.uint32), build
