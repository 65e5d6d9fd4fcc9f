"""Float convolution, a slab of weights at a time: some taps of a block of channels, over many pixels.

A tile reads one vector of weights for each tap: CHANNELS neighbouring output channels. Filters lie one after the other
in memory, or are one bit for each weight, or belong to the transposed convolution. So a slab of them is first brought
into the order (tap, channel) in a buffer so small that it stays in the cache.
"""

from __future__ import annotations

import numpy as np

from ...checks import Float
from ...simd.epilogue import load_sums_at, store_sums_at
from ...simd.geometry import aligned
from ...simd.jit import helper
from ...simd.tile import CHANNELS, FLOAT_ROWS, expand_signs, float_starts, multiply_add, no_sums
from ...simd.vector import LANES, load_first, store_first
from .transpose import transpose

SLAB = 576  # taps, all of a 3x3 filter of 64 channels: 72 KB with vectors of 512 bits
NO_FLOATS = np.zeros(0, np.float32)  # in the place of the one of two forms that an array does not have
NO_BITS = np.zeros(0, np.uint8)
CHUNK = 48  # at most so many tiles go over a slab before the next chunk: x stays in the second-level cache


def room(workers: int) -> Float:
    """A buffer for one slab for each worker."""
    return aligned(workers * SLAB * CHANNELS)


@helper
def add_taps(image, slab, target, taps, pixels):
    """``out[numbers[q], channel + lane] += sum over taps of x[starts[q] + tap] * weight[tap, lane]``, then scaled.

    Parameters
    ----------
    image : x, starts, span, pitch
        Taps lie side by side in rows of ``span``, the rows ``pitch`` values apart.
    slab : weight, place
        From ``place`` on, CHANNELS weights for each of these taps.
    target : out, numbers, o, channel, scale
    taps : first, end
        The very first tap overwrites what is in ``out``.
    pixels : first, end
        Of q, in tiles of FLOAT_ROWS.
    """
    (x, starts, span, pitch), (weight, place), (out, numbers, o, channel, scale) = image, slab, target
    first, end = taps
    for pixel in range(pixels[0], pixels[1], FLOAT_ROWS):
        start, at, sums = float_starts(starts, pixel), place, no_sums()
        if first > 0:
            sums = load_sums_at(out, float_starts(numbers, pixel), o, channel)
        for r in range(first // span, (end - 1) // span + 1):
            row = r * (pitch - span)  # from the number of a tap to its place in x
            # Taps in ascending order, slab after slab: one order of the sum for every way of sharing the work.
            for tap in range(max(r * span, first), min((r + 1) * span, end)):
                sums = multiply_add(sums, x, start, row + tap, weight, at)
                at += CHANNELS
        # The sums leave the registers once a slab, 576 taps at most, not once a tap.
        store_sums_at(sums, out, float_starts(numbers, pixel), o, channel, scale)


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
def transpose_slab(weight, slab, channel, filters, places, taps):
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
def transpose_signs(bits, alpha, slab, block, filters, places, taps):
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
