"""Tiles and the pixels that their rows belong to: into the registers, by pixel, and out again as floats or bits.

Rows of a tile go to consecutive pixels ``first``, ``first + 1``, ... of a map; rows past the pixel ``last`` repeat it.
A tile's columns are the channels from ``channel`` on. Tiles here have any number of rows: one for
passes over a map, the tiles of sums and counts have theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .epilogue import each_row
from .jit import inlined
from .tile import CHANNELS, ROW, VECTORS, XNOR_ROWS, Tile, at_vector
from .vector import FLOATS, LANES, masked_load, masked_store, pointer, spread, twin

DOTS = Tile(FLOATS, XNOR_ROWS)  # counts that have become floats


def changed(builder: ir.IRBuilder, kind: Tile, tile: Any, change: Callable[[Any, int, int], Any]) -> Any:
    """The tile with ``change(vector, row, number of the vector)`` in the place of each vector."""
    for v in range(VECTORS):
        for row in range(kind.rows):
            place = row * VECTORS + v
            tile = builder.insert_value(tile, change(builder.extract_value(tile, place), row, v), place)
    return tile


# ------------------------------------------------------------------ into the registers, and by pixel


def _as_floats(tile: Any, base: Any, border_class: Any, columns: int, first: int, last: int, channel: int) -> Any:
    floats = np.empty(tile.shape, np.float32)
    for row in range(len(tile)):
        start = border_class[min(first + row, last)] * columns + channel
        floats[row] = base[start : start + CHANNELS] - 2 * tile[row].astype(np.int32)
    return floats


@twin(_as_floats)
def as_floats(
    context: Any, tile: Any, base: Any, border_class: Any, columns: Any, first: Any, last: Any, channel: Any
) -> Any:
    """Counts to dot products: ``base[border_class[q], c] - 2 * count``, both tables as in ``store_dots``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        counts, base, border_class, columns, first, last, channel = args
        ints = ir.VectorType(ir.IntType(32), LANES)
        result = ir.Constant(context.get_value_type(DOTS), None)
        for row, pixel in each_row(builder, sig.args[0], first, last):
            border = builder.load(pointer(context, builder, sig.args[2], border_class, pixel), align=8)
            start = builder.add(builder.mul(border, columns), channel)
            for v in range(VECTORS):
                place = builder.add(start, at_vector(start, v, LANES))
                most = builder.load(pointer(context, builder, sig.args[1], base, place, ints), align=4)
                count = builder.extract_value(counts, row * VECTORS + v)
                dots = builder.sub(most, builder.shl(count, ir.Constant(ints, [1] * LANES)))
                result = builder.insert_value(result, builder.sitofp(dots, FLOATS.llvm_type), row * VECTORS + v)
        return result

    return DOTS(tile, base, border_class, types.intp, types.intp, types.intp, types.intp), build


def _times_pixels(tile: Any, K: Any, first: int, last: int) -> Any:
    pixels = np.arange(first, first + len(tile)).clip(max=last)
    return tile * K[pixels][:, None]


@twin(_times_pixels)
def times_pixels(context: Any, tile: Any, K: Any, first: Any, last: Any) -> Any:
    """Each row times ``K`` of its pixel."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, K, first, last = args
        rows = []
        for _, pixel in each_row(builder, sig.args[0], first, last):
            k = builder.load(pointer(context, builder, sig.args[1], K, pixel), align=4)
            rows.append(spread(builder, k, LANES))
        return changed(builder, sig.args[0], tile, lambda value, row, v: builder.fmul(value, rows[row]))

    return tile(tile, K, types.intp, types.intp), build


def _plus_pixels(tile: Any, array: Any, first: int, last: int, step: int, channel: int) -> Any:
    result, keep = tile.copy(), min(step - channel, CHANNELS)
    for row in range(len(tile)):
        index = min(first + row, last) * step + channel
        result[row, :keep] += array[index : index + keep]
    return result


@twin(_plus_pixels)
def plus_pixels(context: Any, tile: Any, array: Any, first: Any, last: Any, step: Any, channel: Any) -> Any:
    """Each row plus the pixel of ``array`` (pixels, step) that it belongs to."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, array, first, last, step, channel = args
        pixels = [pixel for _, pixel in each_row(builder, sig.args[0], first, last)]

        def change(value: Any, row: int, v: int) -> Any:
            column = builder.add(channel, at_vector(channel, v, LANES))
            index, left = builder.add(builder.mul(pixels[row], step), column), builder.sub(step, column)
            other = masked_load(context, builder, sig.args[1], array, index, left, FLOATS.llvm_type)
            return builder.fadd(value, other)

        return changed(builder, sig.args[0], tile, change)

    return tile(tile, array, types.intp, types.intp, types.intp, types.intp), build


def _load_pixel(array: Any, index: int, keep: int) -> Any:
    tile, count = np.zeros((1, CHANNELS), np.float32), min(keep, CHANNELS)
    tile[0, :count] = array[index : index + count]
    return tile


@twin(_load_pixel)
def load_pixel(context: Any, array: Any, index: Any, keep: Any) -> Any:
    """A tile of one row: ``array[index:]``, zeros from ``keep`` on."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, index, keep = args
        tile = ir.Constant(context.get_value_type(ROW), None)
        for v in range(VECTORS):
            offset = at_vector(index, v, LANES)
            place, left = builder.add(index, offset), builder.sub(keep, offset)
            value = masked_load(context, builder, sig.args[0], array, place, left, FLOATS.llvm_type)
            tile = builder.insert_value(tile, value, v)
        return tile

    return ROW(array, types.intp, types.intp), build


def _load_rows(array: Any, starts: Any, place: int) -> Any:
    return np.stack([array[start + place : start + place + CHANNELS] for start in starts])


@twin(_load_rows)
def load_rows(context: Any, array: Any, starts: Any, place: Any) -> Any:
    """A tile whose rows are ``array[start + place:]``, one for each start."""
    tile = Tile(FLOATS, len(starts))

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, starts, place = args
        result = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for row in range(tile.rows):
            first = builder.add(builder.extract_value(starts, row), place)
            for v in range(VECTORS):
                index = builder.add(first, at_vector(first, v, LANES))
                address = pointer(context, builder, sig.args[0], array, index, FLOATS.llvm_type)
                result = builder.insert_value(result, builder.load(address, align=4), row * VECTORS + v)
        return result

    return tile(array, starts, types.intp), build


@twin(lambda tile, other: np.where((other > tile) | np.isnan(other), other, tile))
def larger(context: Any, tile: Any, other: Any) -> Any:
    """The larger of two values, NaN when one is."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        def change(value: Any, row: int, v: int) -> Any:
            candidate = builder.extract_value(args[1], row * VECTORS + v)
            # A maximum instruction returns its second operand for NaN; here NaN must win on either side.
            above = builder.fcmp_ordered(">", candidate, value)
            wins = builder.or_(above, builder.fcmp_unordered("uno", candidate, candidate))
            return builder.select(wins, candidate, value)

        return changed(builder, sig.args[0], args[0], change)

    return tile(tile, tile), build


# ------------------------------------------------------------------ out of the registers


def _store_pixels(tile: Any, out: Any, first: int, last: int, step: int, channel: int) -> None:
    keep = min(step - channel, CHANNELS)
    for row in range(len(tile)):
        index = min(first + row, last) * step + channel
        out[index : index + keep] = tile[row, :keep]


@twin(_store_pixels)
def store_pixels(context: Any, tile: Any, out: Any, first: Any, last: Any, step: Any, channel: Any) -> Any:
    """Write the rows to their pixels of ``out`` (pixels, step); columns past ``step`` are not written."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, out, first, last, step, channel = args
        for row, pixel in each_row(builder, sig.args[0], first, last):
            for v in range(VECTORS):
                column = builder.add(channel, at_vector(channel, v, LANES))
                index = builder.add(builder.mul(pixel, step), column)
                address = pointer(context, builder, sig.args[1], out, index, FLOATS.llvm_type)
                value = builder.extract_value(tile, row * VECTORS + v)
                masked_store(builder, value, address, builder.sub(step, column))
        return context.get_dummy_value()

    return types.void(tile, out, types.intp, types.intp, types.intp, types.intp), build


def _word(builder: ir.IRBuilder, masks: list[Any]) -> Any:
    """The truth values of the vectors of a row as one integer of CHANNELS bits, the first channel lowest."""
    # The comparisons of all vectors are joined to one integer, so that a row is one store and no bit is set by itself.
    both = ir.Constant(ir.VectorType(ir.IntType(32), CHANNELS), list(range(CHANNELS)))
    return builder.bitcast(builder.shuffle_vector(masks[0], masks[1], both), ir.IntType(CHANNELS))


def _write_bits(bits: Any, place: int, truth: Any) -> None:
    bits[place : place + CHANNELS // 8] = np.packbits(truth, bitorder="little")


def _store_word(context: Any, builder: ir.IRBuilder, bits_type: Any, bits: Any, place: Any, word: Any) -> None:
    builder.store(word, pointer(context, builder, bits_type, bits, place, word.type), align=1)


def _in_bytes(builder: ir.IRBuilder, channel: Any) -> Any:
    return builder.lshr(channel, ir.Constant(channel.type, 3))


def _store_between(
    tile: Any, low: Any, high: Any, table: Any, bits: Any, places: Any, first: int, last: int, channel: int
) -> None:
    for row in range(len(tile)):
        truth = (tile[row] >= table[low : low + CHANNELS]) & (tile[row] <= table[high : high + CHANNELS])
        _write_bits(bits, places[min(first + row, last)] + channel // 8, truth)


@twin(_store_between)
def store_between(
    context: Any,
    tile: Any,
    low: Any,
    high: Any,
    table: Any,
    bits: Any,
    places: Any,
    first: Any,
    last: Any,
    channel: Any,
) -> Any:
    """Write a bit for each value, 1 where ``table[low + c] <= value <= table[high + c]`` (never for NaN).

    The bits of pixel q begin at byte ``places[q]`` of ``bits``.
    """

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, low, high, table, bits, places, first, last, channel = args
        vector, limits = FLOATS.llvm_type, []
        for v in range(VECTORS):
            both = (builder.add(start, at_vector(start, v, LANES)) for start in (low, high))
            limits.append(
                [builder.load(pointer(context, builder, sig.args[3], table, b, vector), align=4) for b in both]
            )
        for row, pixel in each_row(builder, sig.args[0], first, last):
            masks = []
            for v, (least, most) in enumerate(limits):
                value = builder.extract_value(tile, row * VECTORS + v)
                # Ordered comparisons: NaN lies in no interval and becomes bit 0, which is +1, as sign(NaN) is.
                above, below = (
                    builder.fcmp_ordered(sign, value, limit) for sign, limit in ((">=", least), ("<=", most))
                )
                masks.append(builder.and_(above, below))
            place = builder.load(pointer(context, builder, sig.args[5], places, pixel), align=8)
            place = builder.add(place, _in_bytes(builder, channel))
            _store_word(context, builder, sig.args[4], bits, place, _word(builder, masks))
        return context.get_dummy_value()

    ints = (types.intp,) * 3
    return types.void(tile, types.intp, types.intp, table, bits, places, *ints), build


def _store_reached(
    tile: Any,
    least: Any,
    border_class: Any,
    columns: int,
    flips: Any,
    bits: Any,
    places: Any,
    first: int,
    last: int,
    channel: int,
) -> None:
    flip = np.unpackbits(flips[channel // 8 : (channel + CHANNELS) // 8], bitorder="little").astype(bool)
    for row in range(len(tile)):
        pixel = min(first + row, last)
        start = border_class[pixel] * columns + channel
        reached = tile[row].astype(np.int32) >= least[start : start + CHANNELS]
        _write_bits(bits, places[pixel] + channel // 8, reached ^ flip)


@twin(_store_reached)
def store_reached(
    context: Any,
    tile: Any,
    least: Any,
    border_class: Any,
    columns: Any,
    flips: Any,
    bits: Any,
    places: Any,
    first: Any,
    last: Any,
    channel: Any,
) -> Any:
    """Write a bit for each count: ``count >= least[border_class[q], c]``, turned round where ``flips`` has a 1."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, least, border_class, columns, flips, bits, places, first, last, channel = args
        ints, offset = ir.VectorType(ir.IntType(32), LANES), _in_bytes(builder, channel)
        word = pointer(context, builder, sig.args[4], flips, offset, ir.IntType(CHANNELS))
        flip = builder.load(word, align=1)
        for row, pixel in each_row(builder, sig.args[0], first, last):
            border = builder.load(pointer(context, builder, sig.args[2], border_class, pixel), align=8)
            start, masks = builder.add(builder.mul(border, columns), channel), []
            for v in range(VECTORS):
                place = builder.add(start, at_vector(start, v, LANES))
                limit = builder.load(pointer(context, builder, sig.args[1], least, place, ints), align=4)
                # Signed, as the limit may lie below 0, where every count reaches it.
                masks.append(builder.icmp_signed(">=", builder.extract_value(tile, row * VECTORS + v), limit))
            place = builder.load(pointer(context, builder, sig.args[6], places, pixel), align=8)
            value = builder.xor(_word(builder, masks), flip)
            _store_word(context, builder, sig.args[5], bits, builder.add(place, offset), value)
        return context.get_dummy_value()

    ints = (types.intp,) * 3
    return types.void(tile, least, border_class, types.intp, flips, bits, places, *ints), build


@inlined
def store(tile, low, columns, table, out, floats, bits, places, between, first, last, step, channel):
    """Write floats, or bits, or both; the limits of the bits are the two rows of ``table`` from ``low`` on."""
    # Branches on what is the same for a whole call. A kernel for each combination would save a few instructions and
    # take 1.5 s each to compile (ADR 0017).
    if floats:
        store_pixels(tile, out, first, last, step, channel)
    if between:
        store_between(tile, low + channel, low + columns + channel, table, bits, places, first, last, channel)
