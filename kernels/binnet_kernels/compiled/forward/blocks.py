"""Float convolution, a slab of weights at a time: some taps of a block of channels, and all pixels over them.

A tile reads one vector of weights for each tap: CHANNELS neighbouring output channels. Filters lie one after the other
in memory, or are one bit for each weight, or belong to the transposed convolution. So a slab of them is first brought
into the order (tap, channel) in a buffer so small that it stays in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...checks import Float
from ...simd.epilogue import load_sums_at, store_sums_at
from ...simd.geometry import aligned
from ...simd.jit import helper
from ...simd.tile import CHANNELS, FLOAT_ROWS, expand_signs, float_starts, multiply_add, no_sums
from ...simd.transpose import transpose
from ...simd.vector import LANES, load_first, store_first

SLAB = 576  # taps, all of a 3x3 filter of 64 channels: 72 KB with vectors of 512 bits
NO_FLOATS = np.zeros(0, np.float32)  # in the place of the one of two forms that an array does not have
NO_BITS = np.zeros(0, np.uint8)
CHUNK = 48  # at most so many tiles go over a slab before the next chunk: x stays in the second-level cache


def room(workers: int) -> Float:
    """A buffer for one slab for each worker."""
    return aligned(workers * SLAB * CHANNELS)


@helper
def parts_of(pixels: Any, channels: Any) -> Any:
    """How many tiles of pixels, chunks of tiles and blocks of channels there are."""
    tiles = (pixels + FLOAT_ROWS - 1) // FLOAT_ROWS
    return tiles, (tiles + CHUNK - 1) // CHUNK, (channels + CHANNELS - 1) // CHANNELS


@helper
def share(part: Any, parts: Any, total: Any) -> Any:
    """Where one of several even parts of 0 ... total - 1 begins, and where it ends."""
    return part * total // parts, (part + 1) * total // parts


@helper
def add_taps(image, slab, target, taps, tiles):
    """``out[pixels[q], channel + lane] += sum over taps of x[starts[q] + tap] * weight[tap, lane]``, then scaled.

    Parameters
    ----------
    image : x, starts, span, pitch
        Taps lie side by side in rows of ``span``, the rows ``pitch`` values apart.
    slab : weight, place
        From ``place`` on, CHANNELS weights for each of these taps.
    target : out, pixels, o, channel, scale
    taps : first, end
        The very first tap overwrites what is in ``out``.
    tiles : first, end
        Of FLOAT_ROWS values of q each.
    """
    (x, starts, span, pitch), (weight, place), (out, pixels, o, channel, scale) = image, slab, target
    first, end = taps
    for tile in range(tiles[0] * FLOAT_ROWS, tiles[1] * FLOAT_ROWS, FLOAT_ROWS):
        start, at, sums = float_starts(starts, tile), place, no_sums()
        if first > 0:
            sums = load_sums_at(out, float_starts(pixels, tile), o, channel)
        for r in range(first // span, (end - 1) // span + 1):
            row = r * (pitch - span)  # from the number of a tap to its place in x
            # Taps in ascending order, slab after slab: one order of the sum for every way of sharing the work.
            for tap in range(max(r * span, first), min((r + 1) * span, end)):
                sums = multiply_add(sums, x, start, row + tap, weight, at)
                at += CHANNELS
        # The sums leave the registers once a slab, 576 taps at most, not once a tap.
        store_sums_at(sums, out, float_starts(pixels, tile), o, channel, scale)


@helper
def interleave(weight, slab, channel, o, depth, taps):
    """Some taps of the filters ``channel`` ... of (O, depth), as (tap, CHANNELS); the last filter is repeated."""
    (values, place), (first, end) = slab, taps
    if end - first >= LANES:
        for row in range(0, CHANNELS, LANES):
            for step in range(first, end, LANES):
                tap = min(step, end - LANES)  # the last vectors overlap those before
                target = place + (tap - first) * CHANNELS + row
                transpose(weight, channel + row, o - 1, depth, tap, values, target, CHANNELS)
    else:
        for tap in range(first, end):
            for lane in range(CHANNELS):
                values[place + (tap - first) * CHANNELS + lane] = weight[min(channel + lane, o - 1) * depth + tap]


@helper
def turn(weight, slab, channel, filters, places, taps):
    """Channels ``channel`` ... of filters (O, size, C) as (place, O, CHANNELS): what a transposed convolution reads.

    ``places`` are those of the filter's ``size`` that are wanted; place and filter together are the taps.
    """
    (values, target), (o, size, c), (first, end) = slab, filters, taps
    for i in range(first // o, (end - 1) // o + 1):
        for f in range(max(first - i * o, 0), min(end - i * o, o)):
            source = (f * size + places[i]) * c + channel
            for v in range(0, CHANNELS, LANES):
                store_first(values, target + v, load_first(weight, source + v, c - channel - v), LANES)
            target += CHANNELS


@helper
def turn_signs(bits, alpha, slab, block, filters, places, taps):
    """The same for filters that are alpha times a sign: (O, size, blocks), of which each block is CHANNELS bits."""
    (values, target), (o, size, blocks), (first, end) = slab, filters, taps
    for i in range(first // o, (end - 1) // o + 1):
        source = places[i] * blocks + block
        for f in range(max(first - i * o, 0), min(end - i * o, o)):
            expand_signs(values, target, bits, f * size * blocks + source, alpha[f])
            target += CHANNELS


@helper
def expand(bits, slab, block, depth, taps):
    """Some taps of a block of filters, of which each weight is one bit, as (tap, CHANNELS) of ±1."""
    (values, place), (first, end) = slab, taps
    for tap in range(first, end):
        expand_signs(values, place + (tap - first) * CHANNELS, bits, block * depth + tap, np.float32(1))
