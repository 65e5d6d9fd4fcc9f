"""Stores of register tiles: scaled sums, scaled dot products of signs, or plain integers.

Rows of a tile go to consecutive pixels ``first``, ``first + 1``, ... of ``out``, an array of ``step`` columns; a tile's
columns go to ``channel`` and after. Rows past the pixel ``last`` repeat it, columns past ``step`` are not written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .tile import CHANNELS, FLOAT_ROWS, SHORT, SHORT_ROWS, SUMS, VECTORS, XNOR_ROWS, Tile, at_vector
from .vector import FLOATS, LANES, masked_load, masked_store, pointer, spread, twin


def each_row(builder: ir.IRBuilder, tile: Tile, first: Any, last: Any) -> Any:
    """Pairs (row of the tile, pixel). Rows past the last pixel get the last pixel."""
    for row in range(tile.rows):
        pixel = builder.add(first, ir.Constant(first.type, row))
        # A select, not a branch: a tile is always full, and its surplus rows write the last pixel again, with the same
        # values.
        yield row, builder.select(builder.icmp_signed("<", pixel, last), pixel, last)


def _store_sums(tile: Any, out: Any, first: int, last: int, step: int, channel: int, scale: Any) -> None:
    keep = min(step - channel, CHANNELS)
    for row in range(len(tile)):
        index = min(first + row, last) * step + channel
        out[index : index + keep] = tile[row, :keep] * scale[channel : channel + keep]


@twin(_store_sums)
def store_sums(context: Any, tile: Any, out: Any, first: Any, last: Any, step: Any, channel: Any, scale: Any) -> Any:
    """``out[min(first + p, last), channel + o] = tile[p, o] * scale[channel + o]``, where ``out`` has ``step`` columns.

    ``scale`` holds whole blocks of channels; columns past ``step`` are not written.
    """

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, out, first, last, step, channel, scale = args
        vector = FLOATS.llvm_type
        for v in range(VECTORS):
            column = builder.add(channel, at_vector(channel, v, LANES))
            # Vectors are the outer loop, so that a scale is loaded once for all rows.
            factor = builder.load(pointer(context, builder, sig.args[6], scale, column, vector), align=4)
            for row, pixel in each_row(builder, sig.args[0], first, last):
                value = builder.fmul(builder.extract_value(tile, row * VECTORS + v), factor)
                address = pointer(
                    context, builder, sig.args[1], out, builder.add(builder.mul(pixel, step), column), vector
                )
                masked_store(builder, value, address, builder.sub(step, column))
        return context.get_dummy_value()

    return types.void(tile, out, types.intp, types.intp, types.intp, types.intp, scale), build


def _store_sums_at(tile: Any, out: Any, pixels: Any, step: int, channel: int, scale: Any) -> None:
    keep = min(step - channel, CHANNELS)
    for row, pixel in enumerate(pixels):
        index = pixel * step + channel
        out[index : index + keep] = tile[row, :keep] * scale[channel : channel + keep]


@twin(_store_sums_at)
def store_sums_at(context: Any, tile: Any, out: Any, pixels: Any, step: Any, channel: Any, scale: Any) -> Any:
    """``out[pixels[p], channel + o] = tile[p, o] * scale[channel + o]``: :func:`store_sums` to pixels anywhere."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, out, pixels, step, channel, scale = args
        vector = FLOATS.llvm_type
        for v in range(VECTORS):
            column = builder.add(channel, at_vector(channel, v, LANES))
            factor = builder.load(pointer(context, builder, sig.args[5], scale, column, vector), align=4)
            for row in range(sig.args[0].rows):
                value = builder.fmul(builder.extract_value(tile, row * VECTORS + v), factor)
                index = builder.add(builder.mul(builder.extract_value(pixels, row), step), column)
                address = pointer(context, builder, sig.args[1], out, index, vector)
                masked_store(builder, value, address, builder.sub(step, column))
        return context.get_dummy_value()

    return types.void(tile, out, pixels, types.intp, types.intp, scale), build


def _load_sums_at(array: Any, pixels: Any, step: int, channel: int) -> Any:
    tile, keep = np.zeros((FLOAT_ROWS, CHANNELS), np.float32), min(step - channel, CHANNELS)
    for row, pixel in enumerate(pixels):
        tile[row, :keep] = array[pixel * step + channel : pixel * step + channel + keep]
    return tile


@twin(_load_sums_at)
def load_sums_at(context: Any, array: Any, pixels: Any, step: Any, channel: Any) -> Any:
    """Load the tile that :func:`store_sums_at` wrote with a scale of 1, to add more to it."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, pixels, step, channel = args
        # Weights are read in slabs; between slabs the sums are kept in the output. So sums go tap by tap for any slab
        # size.
        tile = ir.Constant(context.get_value_type(SUMS), None)
        for v in range(VECTORS):
            column = builder.add(channel, at_vector(channel, v, LANES))
            for row in range(FLOAT_ROWS):
                index = builder.add(builder.mul(builder.extract_value(pixels, row), step), column)
                left = builder.sub(step, column)
                value = masked_load(context, builder, sig.args[0], array, index, left, FLOATS.llvm_type)
                tile = builder.insert_value(tile, value, row * VECTORS + v)
        return tile

    return SUMS(array, pixels, types.intp, types.intp), build


def _load_block(array: Any, first: int, end: int, step: int, column: int, keep: int) -> Any:
    tile, keep = np.zeros((SHORT_ROWS, CHANNELS), np.float32), min(keep, CHANNELS)
    for row in range(min(end - first, SHORT_ROWS)):
        index = (first + row) * step + column
        tile[row, :keep] = array[index : index + keep]
    return tile


def _addresses(builder: ir.IRBuilder, first: Any, end: Any, step: Any, column: Any, keep: Any) -> Any:
    """For each vector of a tile: its place in the tile, its index in the array, and how many columns are left."""
    none = ir.Constant(keep.type, 0)
    for row in range(SHORT_ROWS):
        pixel = builder.add(first, ir.Constant(first.type, row))
        # Rows past the end keep 0 columns: their memory is neither read nor written.
        wanted = builder.select(builder.icmp_signed("<", pixel, end), keep, none)
        index = builder.add(builder.mul(pixel, step), column)
        for v in range(VECTORS):
            left = builder.sub(wanted, at_vector(keep, v, LANES))
            yield row * VECTORS + v, builder.add(index, at_vector(index, v, LANES)), left


@twin(_load_block)
def load_block(context: Any, array: Any, first: Any, end: Any, step: Any, column: Any, keep: Any) -> Any:
    """Rows ``first`` to ``end`` of an array of ``step`` columns, ``keep`` of them from ``column`` on, as a tile."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile = ir.Constant(context.get_value_type(SHORT), None)
        for place, index, left in _addresses(builder, *args[1:]):
            value = masked_load(context, builder, sig.args[0], args[0], index, left, FLOATS.llvm_type)
            tile = builder.insert_value(tile, value, place)
        return tile

    return SHORT(array, *(types.intp,) * 5), build


def _store_block(tile: Any, out: Any, first: int, end: int, step: int, column: int, keep: int) -> None:
    keep = min(keep, CHANNELS)
    for row in range(min(end - first, SHORT_ROWS)):
        index = (first + row) * step + column
        out[index : index + keep] = tile[row, :keep]


@twin(_store_block)
def store_block(context: Any, tile: Any, out: Any, first: Any, end: Any, step: Any, column: Any, keep: Any) -> Any:
    """Write a tile to where :func:`load_block` reads one."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        for place, index, left in _addresses(builder, *args[2:]):
            address = pointer(context, builder, sig.args[1], args[1], index, FLOATS.llvm_type)
            masked_store(builder, builder.extract_value(args[0], place), address, left)
        return context.get_dummy_value()

    return types.void(SHORT, out, *(types.intp,) * 5), build


@twin(_store_block)
def stream_block(context: Any, tile: Any, out: Any, first: Any, end: Any, step: Any, column: Any, keep: Any) -> Any:
    """:func:`store_block` with non-temporal stores, for whole vectors aligned to cache lines."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        # A result that is larger than the second-level cache would only displace what the next tile reads.
        past = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        for place, index, left in _addresses(builder, *args[2:]):
            # A store past the caches takes no mask: it writes a whole vector or none.
            with builder.if_then(builder.icmp_signed(">", left, ir.Constant(left.type, 0))):
                address = pointer(context, builder, sig.args[1], args[1], index, FLOATS.llvm_type)
                store = builder.store(builder.extract_value(args[0], place), address, align=4 * LANES)
                store.set_metadata("nontemporal", past)
        return context.get_dummy_value()

    return types.void(SHORT, out, *(types.intp,) * 5), build


def _dots(tile: Any, row: int, base: Any, place: int, keep: int) -> Any:
    return base[place : place + keep] - 2 * tile[row, :keep].astype(np.int32)


def _each_dot(
    context: Any, builder: ir.IRBuilder, tile: Any, v: int, row: int, base_type: Any, base: Any, place: Any
) -> Any:
    """``base[place + o] - 2 * tile[row, o]`` as <LANES x i32>."""
    ints = ir.VectorType(ir.IntType(32), LANES)
    most = builder.load(pointer(context, builder, base_type, base, place, ints), align=4)
    counts = builder.extract_value(tile, row * VECTORS + v)
    return builder.sub(most, builder.shl(counts, ir.Constant(ints, [1] * LANES)))


def _store_ints(tile: Any, out: Any, first: int, last: int, step: int, channel: int, base: Any) -> None:
    keep = min(step - channel, CHANNELS)
    for row in range(XNOR_ROWS):
        index = min(first + row, last) * step + channel
        out[index : index + keep] = _dots(tile, row, base, channel, keep)


@twin(_store_ints)
def store_ints(context: Any, tile: Any, out: Any, first: Any, last: Any, step: Any, channel: Any, base: Any) -> Any:
    """``out[min(first + p, last), channel + o] = base[channel + o] - 2 * tile[p, o]``, int32."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, out, first, last, step, channel, base = args
        for v in range(VECTORS):
            column = builder.add(channel, at_vector(channel, v, LANES))
            for row, pixel in each_row(builder, sig.args[0], first, last):
                value = _each_dot(context, builder, tile, v, row, sig.args[6], base, column)
                index = builder.add(builder.mul(pixel, step), column)
                address = pointer(context, builder, sig.args[1], out, index, value.type)
                masked_store(builder, value, address, builder.sub(step, column))
        return context.get_dummy_value()

    return types.void(tile, out, types.intp, types.intp, types.intp, types.intp, base), build


def _store_dots(
    tile: Any,
    out: Any,
    first: int,
    last: int,
    step: int,
    channel: int,
    base: Any,
    border_class: Any,
    columns: Any,
    alpha: Any,
    K: Any,
    k_step: int,
    bias: Any,
    least: Any,
) -> None:
    keep = min(step - channel, CHANNELS)
    for row in range(XNOR_ROWS):
        pixel = min(first + row, last)
        dots = _dots(tile, row, base, border_class[pixel] * columns + channel, keep).astype(np.float32)
        index = pixel * step + channel
        scaled = dots * alpha[channel : channel + keep] * K[pixel * k_step]
        value = scaled + bias[channel : channel + keep]
        out[index : index + keep] = np.where(value < least, least, value)


@twin(_store_dots)
def store_dots(
    context: Any,
    tile: Any,
    out: Any,
    first: Any,
    last: Any,
    step: Any,
    channel: Any,
    base: Any,
    border_class: Any,
    columns: Any,
    alpha: Any,
    K: Any,
    k_step: Any,
    bias: Any,
    least: Any,
) -> Any:
    """``out[q, c] = (base[border_class[q], c] - 2 * tile[p, c - channel]) * alpha[c] * K[q * k_step] + bias[c]``.

    Values below ``least`` are set to ``least`` (0: ReLU; -inf: none). Row p of the tile is written to the pixel
    q = min(first + p, last); c counts from ``channel``. ``base`` holds n less the border correction, a row of
    ``columns`` for each border class; ``columns`` is a whole number of blocks of channels.
    """

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, out, first, last, step, channel, base, border_class, columns, alpha, K, k_step, bias, least = args
        floats, integer, real = FLOATS.llvm_type, ir.IntType(64), ir.FloatType()
        for row, pixel in each_row(builder, sig.args[0], first, last):
            k = builder.load(pointer(context, builder, sig.args[10], K, builder.mul(pixel, k_step), real), align=4)
            # The border is a look-up of one row of `base`, not a branch in the inner loop.
            border = builder.load(pointer(context, builder, sig.args[7], border_class, pixel, integer), align=8)
            start = builder.mul(border, columns)
            for v in range(VECTORS):
                column = builder.add(channel, at_vector(channel, v, LANES))
                dots = _each_dot(context, builder, tile, v, row, sig.args[6], base, builder.add(start, column))
                a = builder.load(pointer(context, builder, sig.args[9], alpha, column, floats), align=4)
                b = builder.load(pointer(context, builder, sig.args[12], bias, column, floats), align=4)
                # The dot product is exact below 2^24; then α, K and the bias are rounded in the order of the NumPy
                # form.
                value = builder.fmul(builder.fmul(builder.sitofp(dots, floats), a), spread(builder, k, LANES))
                value = builder.fadd(value, b)
                floor = spread(builder, least, LANES)
                # Ordered comparisons are false for NaN, which therefore stays.
                value = builder.select(builder.fcmp_ordered("<", value, floor), floor, value)
                index = builder.add(builder.mul(pixel, step), column)
                address = pointer(context, builder, sig.args[1], out, index, floats)
                masked_store(builder, value, address, builder.sub(step, column))
        return context.get_dummy_value()

    ints, tables = (types.intp,) * 4, (base, border_class, types.intp, alpha, K, types.intp, bias)
    return types.void(tile, out, *ints, *tables, types.float32), build
