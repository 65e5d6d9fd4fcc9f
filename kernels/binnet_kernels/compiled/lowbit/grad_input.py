"""Gradient of a binary convolution with respect to its input: a quantised gradient with signs of weights.

Signed bytes are multiplied by table look-up (``lookup``), bit planes by popcounts, here. What is summed over, the
output channels, lies in one half word. The weights are packed along their input channels, so squares of 32 x 32 bits of
them are transposed in registers.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ...checks import NO_BORDER, Float, Halves, Ints, Window, Words
from ...lowbit.rounding import QuantisedGradient
from ...simd.counts import RECENT_STEPS, add_recent, no_counts, settle, twice
from ...simd.geometry import framed
from ...simd.jit import kernel
from ...simd.lanes import WIDTH, store_all
from ...simd.tile import XNOR_ROWS, xnor_starts
from ...simd.tiling import items_of, part_of
from .bit_lanes import filters_in_lanes, ones
from .lookup import grad_input as by_lookup
from .masked_popcount import count_masked, store_products
from .transposed_conv import Axis, Part, parts_of_input


def quantised_grad_input(gradient: QuantisedGradient, weight_signs: Words, window: Window, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C) of filters of signs (O, KH, KW, words)."""
    signs = weight_signs.view(np.uint32).reshape(len(weight_signs), math.prod(window.size), 2 * weight_signs.shape[3])
    (n, h, w, c), (o, size, _) = grad_x.shape, signs.shape
    if window == Window((h, w), window.stride, NO_BORDER) and c % 64 == 0:
        # One pixel, as in a dense layer: without this, most of what its windows meet would be border.
        signs, grad_x = signs.reshape(o, 1, signs[0].size), grad_x.reshape(n, 1, 1, size * c)
        window = Window((1, 1), (1, 1), NO_BORDER)
    if window.stride[0] > window.size[0] or window.stride[1] > window.size[1] or not gradient.rows.size:
        grad_x[...] = 0 * gradient.row_unit[:, None, None, None]  # what meets no tap is 0, or NaN in a sample of NaN
    if grad_x.size and gradient.rows.size:
        convolve = by_lookup.convolve_signs if gradient.in_bytes else _convolve_signs
        convolve(gradient, signs, window, grad_x)


def _convolve_signs(gradient: QuantisedGradient, signs: Halves, window: Window, grad_x: Float) -> None:
    (n, h, w, _), (kh, kw), halves = grad_x.shape, window.size, gradient.rows.shape[4]
    (sh, sw), (ph, pw) = window.stride, window.padding
    rows, cols = Axis(h, kh, sh, ph), Axis(w, kw, sw, pw)
    maps = gradient.rows.reshape(gradient.planes * n, *gradient.shape[1:3], 2 * halves)
    frame = framed(maps.view(np.float32), rows.frame, cols.frame).view(np.uint32)
    kept = np.empty(len(frame) // (gradient.planes * 2 * halves), np.int32)
    _count_kept(frame, kept, len(kept), halves, gradient.planes)
    for part in parts_of_input(n, rows, cols, 2 * halves):
        _one_part(part, (frame, kept, cols.frame[1] - cols.frame[0]), gradient, signs, grad_x)


def _one_part(
    part: Part, frame: tuple[Halves, Ints, int], gradient: QuantisedGradient, signs: Halves, grad_x: Float
) -> None:
    """The pixels of x that meet the same taps."""
    (planes, kept, wide), (o, size, words), c = frame, signs.shape, grad_x.shape[3]
    halves, per_sample = gradient.rows.shape[4], part.pixels // len(grad_x)
    transposed = np.empty(-(-c // WIDTH) * len(part.taps) * halves * WIDTH, np.uint32)
    _transpose_signs(signs.ravel(), part.taps, transposed, o, size, words, -(-c // WIDTH))
    most, unit = np.empty(part.pixels, np.int32), np.repeat(gradient.row_unit, per_sample)
    _sum_kept(kept, part.starts, most, part.pixels, 2 * halves, part.rows, part.cols, wide)
    arrays = planes, part.starts, part.targets, transposed, most, unit, grad_x.ravel()
    steps = part.rows, part.cols * 2 * halves, wide * 2 * halves
    _convolve(*arrays, part.pixels, c, *steps, gradient.planes, planes.size // gradient.planes)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _count_kept(frame, kept, pixels, halves, planes):
    """``kept[pixel] = sum over planes of 2^plane popcount(masks)``."""
    for q in prange(pixels):
        total = 0
        for plane in range(planes):
            for half in range(halves):
                total += ones(frame[((plane * pixels + q) * halves + half) * 2 + 1]) << plane
        kept[q] = total


@kernel
def _sum_kept(kept, starts, most, pixels, step, rows, cols, wide):
    """``most[q]``: the kept values under the window that starts at ``starts[q] / step``."""
    for q in prange(pixels):
        total = 0
        for r in range(rows):
            for s in range(cols):
                # What a product starts from: the kept values, as if all signs agreed.
                total += kept[starts[q] // step + r * wide + s]
        most[q] = total


@kernel
def _transpose_signs(signs, places, transposed, o, size, words, groups):
    """Signs (O, size, half words of C) as (group of 32 channels, place, half word of O, 32 channels)."""
    halves, count = (o + WIDTH - 1) // WIDTH, len(places)
    for item in prange(halves * count):  # the same filters for all taps and groups, so that they stay cached
        half, place = item // count, item % count
        for group in range(groups):
            at, pitch = places[place] * words + group, size * words
            lanes = filters_in_lanes(signs, at, pitch, half * WIDTH, min((half + 1) * WIDTH, o))
            store_all(transposed, ((group * count + place) * halves + half) * WIDTH, lanes)


@kernel
def _convolve(planes, starts, targets, weight, most, unit, out, pixels, c, rows, span, pitch, count, plane_size):
    depth = rows * span // 2
    for item in prange(items_of(pixels, c, XNOR_ROWS)):
        channel, begin, end = part_of(item, pixels, c, XNOR_ROWS)
        for first in range(begin, end, XNOR_ROWS):
            counts, start = no_counts(), xnor_starts(starts, first)
            for plane in range(count - 1, -1, -1):
                # Horner's rule, from the highest plane to the lowest: one shift of the tile between planes, no
                # multiplication.
                counts, recent, left = twice(counts), no_counts(), RECENT_STEPS
                place = channel // WIDTH * depth * WIDTH + channel % WIDTH
                for r in range(rows):
                    row = plane * plane_size + r * pitch
                    for i in range(row, row + span, 2):
                        recent = count_masked(recent, planes, start, i, weight, place, 1)
                        counts, recent, left = settle(counts, recent, left)
                        place += WIDTH
                counts = add_recent(counts, recent)
            store_products(counts, out, xnor_starts(targets, first), pixels - first, c, channel, most, unit, first)
