"""Tables of sums of four products, and the register tile of what is looked up in them.

An entry is ``sum of ±g + 60``, a byte without a sign: |g| is at most 15. The index of an entry has bit j set where sign
j is negative. Two entries fit a byte; the tile adds them up in 16 bits, and memory in 32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ....lowbit.rounding import Rounding
from ....simd.counts import BYTE_COUNTS
from ....simd.lanes import SINGLES, WIDTH
from ....simd.tile import XNOR_ROWS, Tile, empty
from ....simd.vector import VECTOR_BITS, Vector, call, pointer, spread, twin
from ..bit_lanes import HALF_WORDS

PSHUFB = VECTOR_BITS >= 256  # only x86 has such vectors, and looks up 32 bytes at once there
TABLE = 16  # bytes
STEP = 2 * TABLE  # bytes of tables, and of signs of 32 lanes, that one step of 8 values reads
MOST = 15  # |g|
BIAS = 2 * 4 * MOST  # of a step
STEPS = 65535 // (2 * BIAS)  # of which 16 bits hold the sums

ENTRIES = Tile(Vector(types.uint16, WIDTH // 2), XNOR_ROWS)  # of each row the even lanes, then the odd ones
_BYTES, _NUMBERS = ir.VectorType(ir.IntType(8), WIDTH), HALF_WORDS.llvm_type
_BYTES_OF_TABLE = ir.VectorType(ir.IntType(8), TABLE)
_NEGATIVE = np.arange(TABLE)[:, None] >> np.arange(4) & 1  # (16, 4): which signs are negative


def by_table(rounding: Rounding) -> bool:
    """Whether this is how gradients of such a rounding are multiplied here; one plane is faster by popcount."""
    return BYTE_COUNTS and PSHUFB and 1 < rounding.top <= MOST


def _constant(vector: ir.VectorType, value: int) -> ir.Constant:
    return ir.Constant(vector, [value] * vector.count)


def _chosen(builder: ir.IRBuilder, vector: Any, lanes: list[int]) -> Any:
    """The lanes of a vector with these numbers, in this order."""
    places = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), places)


# ------------------------------------------------------------------ tables


def _store_tables(tables: Any, starts: Any, place: int, words: Any, index: int) -> None:
    for start, four in zip(starts, words[index : index + XNOR_ROWS].reshape(-1, 1).view(np.int8), strict=True):
        tables[start + place : start + place + TABLE] = (1 - 2 * _NEGATIVE) @ four.astype(np.int32) + BIAS // 2


@twin(_store_tables)
def store_tables(context: Any, tables: Any, starts: Any, place: Any, words: Any, index: Any) -> Any:
    """Write a table a row, at ``tables[starts[p] + place:]``: of the four signed bytes of ``words[index + p]``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tables, starts, place, words, index = args
        whole = builder.load(pointer(context, builder, sig.args[3], words, index, _BYTES_OF_TABLE), align=4)
        both = _chosen(builder, whole, [*range(TABLE)] * 2)
        for pair in range(0, XNOR_ROWS, 2):
            # Two tables at a time, one in each half: `pshufb` copies a value to all entries of its half. -g is ~g + 1,
            # and the ones are there from the start, one for each negative sign.
            total = ir.Constant(_BYTES, [int(n) + BIAS // 2 for n in _NEGATIVE.sum(1)] * 2)
            for j in range(4):
                g = _chosen(builder, both, [half * TABLE + 4 * (pair + half) + j for half in (0, 1) for _ in _NEGATIVE])
                total = builder.add(total, builder.xor(g, ir.Constant(_BYTES, [-int(n) for n in _NEGATIVE[:, j]] * 2)))
            for half in (0, 1):
                at = builder.add(builder.extract_value(starts, pair + half), place)
                address = pointer(context, builder, sig.args[0], tables, at, _BYTES_OF_TABLE)
                table = _chosen(builder, total, [half * TABLE + entry for entry in range(TABLE)])
                builder.store(table, address, align=1)
        return context.get_dummy_value()

    return types.void(tables, starts, types.intp, words, types.intp), build


# ------------------------------------------------------------------ sums


@twin(lambda: np.zeros((XNOR_ROWS, WIDTH), np.uint16))
def no_entries(context: Any) -> Any:
    """A tile of sums (XNOR_ROWS, 32), zeros."""
    return empty(ENTRIES)


def _look_up(sums: Any, tables: Any, starts: Any, i: int, signs: Any, j: int) -> Any:
    index = signs[j : j + WIDTH].astype(np.int64)
    places = (np.asarray(starts) + i)[:, None]
    return sums + tables[places + index % 16] + tables[places + TABLE + index // 16].astype(np.uint16)


@twin(_look_up)
def look_up(context: Any, sums: Any, tables: Any, starts: Any, i: Any, signs: Any, j: Any) -> Any:
    """Add a step: in row p the tables at ``tables[starts[p] + i:]``, for the signs of 8 values, a byte a lane."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        total, tables, starts, i, signs, j = args
        halves = sums.vector.llvm_type
        whole = builder.load(pointer(context, builder, sig.args[4], signs, j, _BYTES), align=1)
        index = (
            builder.and_(whole, _constant(_BYTES, 15)),
            builder.lshr(whole, _constant(_BYTES, 4)),
        )
        for row in range(XNOR_ROWS):
            start, found = builder.add(builder.extract_value(starts, row), i), []
            for number, four in enumerate(index):
                place = builder.add(start, ir.Constant(start.type, number * TABLE))
                found.append(_entries(context, builder, sig.args[1], tables, place, four))
            both = builder.bitcast(builder.add(*found), halves)
            parts = builder.and_(both, _constant(halves, 255)), builder.lshr(both, _constant(halves, 8))
            for v, part in enumerate(parts):
                place = 2 * row + v
                total = builder.insert_value(total, builder.add(builder.extract_value(total, place), part), place)
        return total

    return sums(sums, tables, starts, types.intp, signs, types.intp), build


def _entries(context: Any, builder: ir.IRBuilder, kind: Any, tables: Any, place: Any, index: Any) -> Any:
    """The entries of a table at the indices of 32 lanes."""
    table = builder.load(pointer(context, builder, kind, tables, place, _BYTES_OF_TABLE), align=1)
    both = _chosen(builder, table, [*range(TABLE)] * 2)  # `pshufb` has a table for each half
    return call(builder, "llvm.x86.avx2.pshuf.b", _BYTES, [both, index])


def _add_sums(sums: Any, out: Any, index: int, pitch: int) -> None:
    for row in range(XNOR_ROWS):
        out[index + row * pitch : index + row * pitch + WIDTH] += sums[row].astype(np.int32)


@twin(_add_sums)
def add_sums(context: Any, sums: Any, out: Any, index: Any, pitch: Any) -> Any:
    """``out[index + p * pitch + lane] += sums[p, lane]``, int32."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, out, index, pitch = args
        for row in range(XNOR_ROWS):
            even, odd = (
                builder.zext(builder.extract_value(tile, 2 * row + v), ir.VectorType(ir.IntType(32), WIDTH // 2))
                for v in range(2)
            )
            order = [lane // 2 + lane % 2 * (WIDTH // 2) for lane in range(WIDTH)]
            value = builder.shuffle_vector(even, odd, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), order))
            place = builder.add(index, builder.mul(pitch, ir.Constant(pitch.type, row)))
            address = pointer(context, builder, sig.args[1], out, place, _NUMBERS)
            builder.store(builder.add(builder.load(address, align=4), value), address, align=4)
        return context.get_dummy_value()

    return types.void(sums, out, types.intp, types.intp), build


@twin(lambda sums, index, base, unit: (sums[index : index + WIDTH] - np.int32(base)).astype(np.float32) * unit)
def scaled(context: Any, sums: Any, index: Any, base: Any, unit: Any) -> Any:
    """``(sums[index + lane] - base) * unit`` in 32 lanes of float32."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        sums, index, base, unit = args
        value = builder.load(pointer(context, builder, sig.args[0], sums, index, _NUMBERS), align=4)
        value = builder.sub(value, spread(builder, builder.trunc(base, ir.IntType(32)), WIDTH))
        return builder.fmul(builder.sitofp(value, SINGLES.llvm_type), spread(builder, unit, WIDTH))

    return SINGLES(sums, types.intp, types.intp, types.float32), build


# ------------------------------------------------------------------ bytes of 32 lanes


def _store_byte(array: Any, index: int, lanes: Any, shift: int) -> None:
    array[index : index + WIDTH] = (lanes >> np.uint32(shift)).astype(np.uint8).view(array.dtype)


@twin(_store_byte)
def store_byte(context: Any, array: Any, index: Any, lanes: Any, shift: Any) -> Any:
    """Write the byte that starts at bit ``shift`` of each lane: 32 bytes at ``index``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, index, lanes, shift = args
        moved = builder.lshr(lanes, spread(builder, builder.trunc(shift, ir.IntType(32)), WIDTH))
        address = pointer(context, builder, sig.args[0], array, index, _BYTES)
        builder.store(builder.trunc(moved, _BYTES), address, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, HALF_WORDS, types.intp), build


@twin(lambda lanes, number, shift: lanes | (number & np.uint32(255)) << np.uint32(shift))
def with_byte(context: Any, lanes: Any, number: Any, shift: Any) -> Any:
    """Lanes whose byte at bit ``shift`` was 0, with the low byte of each number there."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        lanes, number, shift = args
        low = builder.and_(number, _constant(_NUMBERS, 255))
        moved = builder.shl(low, spread(builder, builder.trunc(shift, ir.IntType(32)), WIDTH))
        return builder.or_(lanes, moved)

    return HALF_WORDS(HALF_WORDS, HALF_WORDS, types.intp), build
