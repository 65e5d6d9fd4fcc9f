"""The register tile: a block of sums, rows x channels, that stays in registers while a kernel runs over the depth.

Row p of a tile belongs to one pixel (or one tap), its vectors to consecutive output channels. Each step of the inner
loop reads one value per row, copies it to all lanes, and combines it with the weights of all channels: no horizontal
sums, no im2col buffer. ``Tile`` is a Numba type whose LLVM form is an array of vectors; LLVM splits it into registers.
Without the JIT a tile is an array (rows, channels).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from .vector import (
    FLOATS,
    LANES,
    VECTOR_BITS,
    Vector,
    call,
    pointer,
    spread,
    suffix,
    twin,
)

# Tiles whose sums, weights and broadcast values fit the registers, 32 with AVX-512 and 16 otherwise: LLVM likes to load
# all broadcast values of a step at once, so there must be room for one a row.
XNOR_ROWS = 4
# 12 rows should fit as well, but LLVM spilled sums with them: 28 GMAC/s for the weight gradient, 50 with 10 (ADR 0010).
FLOAT_ROWS = 10 if VECTOR_BITS == 512 else 4
SHORT_ROWS = 8 if VECTOR_BITS == 512 else 4  # of a tile for few pixels, or for channels, of which there are 64 or 256
VECTORS = 2  # vectors of channels in a row of any tile
CHUNK = 16  # at most so many tiles of pixels go through all channels before the next, so that they stay cached
CHANNELS = VECTORS * LANES  # in a row of any tile


class Tile(types.Type):
    """``rows`` x ``VECTORS`` vectors."""

    def __init__(self, vector: Vector, rows: int) -> None:
        self.vector, self.rows = vector, rows
        super().__init__(name=f"Tile<{rows} x {VECTORS} x {vector.name}>")


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, tile: Tile) -> None:
        super().__init__(manager, tile, ir.ArrayType(tile.vector.llvm_type, tile.rows * VECTORS))


SUMS = Tile(FLOATS, FLOAT_ROWS)
SHORT = Tile(FLOATS, SHORT_ROWS)
ROW = Tile(FLOATS, 1)


def empty(tile: Tile) -> Any:
    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(tile), None)

    return tile(), build


@twin(lambda: np.zeros((FLOAT_ROWS, CHANNELS), np.float32))
def no_sums(context: Any) -> Any:
    """A tile of sums (FLOAT_ROWS, CHANNELS), float32 zeros."""
    return empty(SUMS)


@twin(lambda: np.zeros((SHORT_ROWS, CHANNELS), np.float32))
def no_short_sums(context: Any) -> Any:
    """A tile of sums (SHORT_ROWS, CHANNELS), float32 zeros."""
    return empty(SHORT)


@twin(lambda: np.zeros((1, CHANNELS), np.float32))
def no_row(context: Any) -> Any:
    """A tile of sums (1, CHANNELS), float32 zeros."""
    return empty(ROW)


# ------------------------------------------------------------------ where the rows start


def _starts_of(rows: int) -> Any:
    def python(table: Any, first: int) -> Any:
        return table[first : first + rows]

    @twin(python)
    def starts(context: Any, table: Any, first: Any) -> Any:
        result = types.UniTuple(types.intp, rows)

        def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            address = pointer(context, builder, sig.args[0], args[0], args[1], ir.ArrayType(ir.IntType(64), rows))
            return builder.load(address, align=8)

        return result(table, types.intp), build

    return starts


xnor_starts = _starts_of(XNOR_ROWS)
float_starts = _starts_of(FLOAT_ROWS)
short_starts = _starts_of(SHORT_ROWS)
row_starts = _starts_of(1)


# ------------------------------------------------------------------ one step of the depth


def at_vector(index: Any, vector: int, lanes: int) -> Any:
    """The offset of a vector in a row of a tile, as a constant of the type of ``index``."""
    return ir.Constant(index.type, vector * lanes)


def each_sum(context: Any, builder: ir.IRBuilder, sig: Any, args: Any, weights: list[Any], combine: Any) -> Any:
    """``sum = combine(sum, x[start + i], weight)`` for every row and vector of a tile."""
    starts = [builder.extract_value(args[2], row) for row in range(sig.args[0].rows)]
    return _combined(context, builder, sig, args, [builder.add(start, args[3]) for start in starts], weights, combine)


def _combined(
    context: Any, builder: ir.IRBuilder, sig: Any, args: Any, indices: list[Any], weights: list[Any], combine: Any
) -> Any:
    """``sum = combine(sum, x[index of the row], weight)`` for every row and vector of a tile."""
    tile, total = sig.args[0], args[0]
    element = tile.vector.llvm_type.element
    for row, index in enumerate(indices):
        # Four bytes at a time lie anywhere in an array of bytes.
        align = sig.args[1].dtype.bitwidth // 8
        scalar = builder.load(pointer(context, builder, sig.args[1], args[1], index, element), align=align)
        # Load and spread become one broadcast from memory, which serves all vectors of the row.
        value = spread(builder, scalar, tile.vector.lanes)
        for v, weight in enumerate(weights):
            place = row * VECTORS + v
            total = builder.insert_value(total, combine(builder.extract_value(total, place), value, weight), place)
    return total


def tile_weights(context: Any, builder: ir.IRBuilder, sig: Any, args: Any, at: int = -2) -> list[Any]:
    """The vectors of weights at ``w[j:]``, one row of the tile wide; w and j are arguments ``at`` and ``at + 1``."""
    vector: Vector = sig.args[0].vector
    w, j = args[at], args[at + 1]
    addresses = (
        pointer(context, builder, sig.args[at], w, builder.add(j, at_vector(j, v, vector.lanes)))
        for v in range(VECTORS)
    )
    return [builder.load(a, align=vector.scalar.bitwidth // 8, typ=vector.llvm_type) for a in addresses]


def _fma(builder: ir.IRBuilder) -> Any:
    """A fused multiply-add where the CPU has one; ``llvm.fma`` would call the C library for each lane elsewhere."""
    # `llvm.fma` on SSE reached 0.5 GMAC/s, without the demand to fuse it is 6.9 (ADR 0010).
    vector = FLOATS.llvm_type
    return lambda total, value, weight: call(builder, f"llvm.fmuladd.{suffix(vector)}", vector, [value, weight, total])


@twin(lambda tile, x, starts, i, w, j: tile + x[starts + i][:, None] * w[j : j + CHANNELS])
def multiply_add(context: Any, tile: Any, x: Any, starts: Any, i: Any, w: Any, j: Any) -> Any:
    """``tile[p, o] + x[starts[p] + i] * w[j + o]``, with one rounding where the CPU has fused multiply-adds."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        weights = tile_weights(context, builder, sig, args)
        return each_sum(context, builder, sig, args, weights, _fma(builder))

    return tile(tile, x, starts, types.intp, w, types.intp), build


def _add_outer(tile: Any, a: Any, i: int, b: Any, j: int) -> Any:
    return tile + a[i : i + len(tile)][:, None] * b[j : j + CHANNELS]


@twin(_add_outer)
def add_outer(context: Any, tile: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """``tile[p, o] + a[i + p] * b[j + o]``: :func:`multiply_add` for rows that lie side by side."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        weights = tile_weights(context, builder, sig, args)
        rows = [builder.add(args[2], ir.Constant(args[2].type, row)) for row in range(sig.args[0].rows)]
        return _combined(context, builder, sig, args, rows, weights, _fma(builder))

    return tile(tile, a, types.intp, b, types.intp), build


@twin(lambda left, right: left + right)
def add_tiles(context: Any, left: Any, right: Any) -> Any:
    """``left + right``, number by number."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        total = args[0]
        for place in range(left.rows * VECTORS):
            value = builder.fadd(*(builder.extract_value(tile, place) for tile in args))
            total = builder.insert_value(total, value, place)
        return total

    return left(left, right), build


def _signs(bits: Any, j: int) -> Any:
    group = bits[j * CHANNELS // 8 : (j + 1) * CHANNELS // 8]
    return np.where(np.unpackbits(group, bitorder="little"), np.float32(-1), np.float32(1))


def _sign_vectors(
    context: Any, builder: ir.IRBuilder, bits_type: Any, bits: Any, j: Any, value: Any = None
) -> list[Any]:
    """The j-th group of CHANNELS bits (an array of bytes holds them), as vectors of ±value: minus where the bit is 1.

    The value is 1 when it is not given.
    """
    group = ir.IntType(CHANNELS)
    index = builder.mul(j, ir.Constant(j.type, CHANNELS // 8))
    word = builder.load(pointer(context, builder, bits_type, bits, index, group), align=1)
    # The bits are used as the mask of a select between +value and -value: no arithmetic on single bits.
    negative = builder.bitcast(word, ir.VectorType(ir.IntType(1), CHANNELS))
    plus = spread(builder, ir.Constant(ir.FloatType(), 1.0) if value is None else value, LANES)
    minus = builder.fsub(ir.Constant(FLOATS.llvm_type, [-0.0] * LANES), plus)
    vectors = []
    for v in range(VECTORS):
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(range(v * LANES, (v + 1) * LANES)))
        mask = builder.shuffle_vector(negative, ir.Constant(negative.type, ir.Undefined), lanes)
        vectors.append(builder.select(mask, minus, plus))
    return vectors


@twin(lambda tile, x, starts, i, bits, j: tile + x[starts + i][:, None] * _signs(bits, j))
def add_signed(context: Any, tile: Any, x: Any, starts: Any, i: Any, bits: Any, j: Any) -> Any:
    """``tile[p, o] ± x[starts[p] + i]``, minus where bit o of the j-th group of CHANNELS bits is 1."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        # A product with ±1 is exact, so this has the rounding of an addition.
        weights = _sign_vectors(context, builder, sig.args[4], args[4], args[5])
        return each_sum(context, builder, sig, args, weights, _fma(builder))

    return tile(tile, x, starts, types.intp, bits, types.intp), build


@twin(lambda tile, x, starts, i, bits, j, value: tile + x[starts + i][:, None] * (_signs(bits, j) * value))
def multiply_signed(context: Any, tile: Any, x: Any, starts: Any, i: Any, bits: Any, j: Any, value: Any) -> Any:
    """:func:`multiply_add` with the weights that :func:`expand_signs` would write."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        weights = _sign_vectors(context, builder, sig.args[4], *args[4:])
        return each_sum(context, builder, sig, args, weights, _fma(builder))

    return tile(tile, x, starts, types.intp, bits, types.intp, types.float32), build


def _expand_signs(out: Any, index: int, bits: Any, j: int, value: Any) -> None:
    out[index : index + CHANNELS] = _signs(bits, j) * value


@twin(_expand_signs)
def expand_signs(context: Any, out: Any, index: Any, bits: Any, j: Any, value: Any) -> Any:
    """``out[index + o]`` = -value where bit o of the j-th group of CHANNELS bits is 1, otherwise the value."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        out, index, bits, j, value = args
        for v, signs in enumerate(_sign_vectors(context, builder, sig.args[2], bits, j, value)):
            place = builder.add(index, at_vector(index, v, LANES))
            builder.store(signs, pointer(context, builder, sig.args[0], out, place, FLOATS.llvm_type), align=4)
        return context.get_dummy_value()

    return types.void(out, types.intp, bits, types.intp, types.float32), build


def _add_signs(out: Any, index: int, bits: Any, j: int, value: Any) -> None:
    out[index : index + CHANNELS] += _signs(bits, j) * value


@twin(_add_signs)
def add_signs(context: Any, out: Any, index: Any, bits: Any, j: Any, value: Any) -> Any:
    """Add to ``out`` the values that :func:`expand_signs` would write."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        out, index, bits, j, value = args
        for v, signs in enumerate(_sign_vectors(context, builder, sig.args[2], bits, j, value)):
            place = builder.add(index, at_vector(index, v, LANES))
            address = pointer(context, builder, sig.args[0], out, place, FLOATS.llvm_type)
            builder.store(builder.fadd(builder.load(address, align=4), signs), address, align=4)
        return context.get_dummy_value()

    return types.void(out, types.intp, bits, types.intp, types.float32), build
