"""Operations on 32 lanes that only rounded gradients need: maxima of magnitudes, and the transpose of 32 x 32 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ...simd.jit import inlined
from ...simd.lanes import SINGLES, WIDTH, all_lanes
from ...simd.vector import Vector, call, masked_load, masked_store, pointer, spread, suffix, twin

HALF_WORDS = Vector(types.uint32, WIDTH)

_FLOATS, _INTS = SINGLES.llvm_type, HALF_WORDS.llvm_type


def _raise_to(array: Any, index: int, value: Any, keep: int) -> None:
    place = array[index : index + min(keep, WIDTH)].view(np.uint32)
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
        masked_store(builder, most, address, keep)
        return context.get_dummy_value()

    return types.void(array, types.intp, SINGLES, types.intp), build


def _set_bit(lanes: Any, word: Any, place: int) -> Any:
    chosen = np.unpackbits(np.array([word], "<u4").view(np.uint8), bitorder="little").astype(bool)
    return np.where(chosen, lanes | np.uint32(1 << place), lanes)


@twin(_set_bit)
def set_bit(context: Any, lanes: Any, word: Any, place: Any) -> Any:
    """Bit ``place`` becomes 1 in the lanes whose bit is 1 in ``word``: 32 words in turn make a transposed square."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes, word, place = args
        one = builder.shl(ir.Constant(ir.IntType(32), 1), builder.trunc(place, ir.IntType(32)))
        # The word is the mask of one `or`: 32 of them transpose a square of 32 x 32 bits without a shuffle.
        chosen = builder.bitcast(word, ir.VectorType(ir.IntType(1), WIDTH))
        return builder.select(chosen, builder.or_(lanes, spread(builder, one, WIDTH)), lanes)

    return HALF_WORDS(HALF_WORDS, types.uint32, types.intp), build


@inlined
def pixels_in_lanes(bits, starts, offset, begin, end):
    """Up to 32 half words of channels, those at ``starts[begin:end] + offset``: bit q of a lane is that of pixel q."""
    lanes = all_lanes(np.uint32(0))
    for q in range(begin, end):
        lanes = set_bit(lanes, bits[starts[q] + offset], q - begin)
    return lanes


@inlined
def filters_in_lanes(signs, place, pitch, begin, end):
    """Up to 32 half words of channels, those of filters ``begin`` to ``end``: bit f of a lane is that of filter f."""
    lanes = all_lanes(np.uint32(0))
    for f in range(begin, end):
        lanes = set_bit(lanes, signs[f * pitch + place], f - begin)
    return lanes


@twin(lambda word: int(np.bitwise_count(np.uint32(word))))
def ones(context: Any, word: Any) -> Any:
    """How many bits of a half word are 1."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        count = call(builder, "llvm.ctpop.i32", ir.IntType(32), [args[0]])
        return builder.zext(count, ir.IntType(64))

    return types.intp(types.uint32), build
