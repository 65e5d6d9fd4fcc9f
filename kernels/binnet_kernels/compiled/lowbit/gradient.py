"""Gradients of few levels as bit planes, packed along both axes that the backward convolutions sum over."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Float
from ...lowbit.counter_rng import keys
from ...lowbit.rounding import EVEN, MAGNITUDES, SIGNS, QuantisedGradient, Rounding
from ...simd.jit import helper, kernel
from ...simd.threads import get_num_threads
from ...simd.tile import XNOR_ROWS
from ...simd.tiling import share
from ...simd.wide import (
    BITS,
    in_all_lanes,
    load_halves,
    load_wide,
    negative_bits,
    no_bits,
    plane_bits,
    product,
    raise_to,
    set_bit,
    store_halves,
    where_positive,
    will_load,
)
from .rounding import draw, even_levels, magnitude_levels, sign_levels

_QUADS = BITS // XNOR_ROWS  # tiles of channels in a half word


def quantise_gradient(grad: Float, alpha: Float, y: Float | None, rounding: Rounding) -> QuantisedGradient:
    """A gradient (N, OH, OW, O), where ``y`` is above 0, times alpha and as it is, rounded to levels."""
    n, oh, ow, o = grad.shape
    pixels, halves = n * oh * ow, -(-o // BITS)
    masked = y is not None
    y = grad if y is None else y
    peaks = np.zeros((n, o), np.float32)
    if grad.size:
        _peaks(grad.ravel(), y.ravel(), peaks.ravel(), n, oh * ow, o, masked)
    # Maxima where they are free: a window of the gradient of the input never leaves its sample (ADR 0018).
    row_unit, row_factor = rounding.scales((peaks * np.abs(alpha)).max(axis=1, initial=0))
    # The product for the weights sums over all samples, so its unit must be one for all of them: the maximum of a
    # channel.
    column_unit, column_factor = rounding.scales(peaks.max(axis=0, initial=0))
    rows = np.empty((rounding.planes, n, oh, ow, halves, 2), np.uint32)
    pitch = -(-pixels // BITS) | 1  # odd, so that the quads of a block are not all in one set of the cache
    columns = np.empty((rounding.planes, halves * _QUADS, pitch, 2, XNOR_ROWS), np.uint32)
    columns[:, :, -1:] = 0
    if grad.size:
        workers = get_num_threads()
        scratch = np.empty(workers * rounding.planes * 2 * BITS, np.uint32)
        factors = np.repeat(row_factor, oh * ow), column_factor
        options = rounding.kind, rounding.planes, np.float32(rounding.top), *keys(rounding.seed)
        arrays = grad.ravel(), y.ravel(), alpha, *factors, scratch, rows.ravel(), columns.ravel()
        _quantise(*arrays, pixels, o, masked, *options, pitch, workers)
    return QuantisedGradient(grad.shape, rows, row_unit, columns, column_unit)


@kernel
def _peaks(grad, y, peaks, n, pixels, o, masked):
    """``peaks[sample, channel] = max over pixels of |grad|``."""
    for sample in prange(n):
        for q in range(sample * pixels, (sample + 1) * pixels):
            for channel in range(0, o, BITS):
                g = load_wide(grad, q * o + channel, o - channel)
                if masked:
                    g = where_positive(g, load_wide(y, q * o + channel, o - channel))
                raise_to(peaks, sample * o + channel, g, o - channel)


@helper
def _levels(x, factor, u, kind, top):
    if kind == MAGNITUDES:
        return magnitude_levels(x, factor, u, top)
    if kind == EVEN:
        return even_levels(x, factor, u, top)
    return sign_levels(x)


@helper
def _plane(levels, negative, valid, kind, plane):
    """The half words of signs and masks of one plane."""
    bits = plane_bits(levels, plane)
    if kind == MAGNITUDES:
        return np.uint32(bits & negative), bits
    return np.uint32(bits & valid), valid


@kernel
def _quantise(
    grad, y, alpha, row_factor, column_factor, scratch, rows, columns, pixels, o, masked,
    kind, planes, top, key, second_key, pitch, workers,
):  # fmt: skip
    halves, blocks = (o + BITS - 1) // BITS, (pixels + BITS - 1) // BITS
    for worker in prange(workers):
        square, (begin, end) = worker * planes * 2 * BITS, share(worker, workers, blocks)
        for item in range(begin * halves, end * halves):
            block, half = item // halves, item % halves
            channel, keep = half * BITS, o - half * BITS
            valid = np.uint32(np.uint32(0xFFFFFFFF) >> np.uint32(BITS - min(keep, BITS)))
            scale, of_column = load_wide(alpha, channel, keep), load_wide(column_factor, channel, keep)
            for i in range(square, square + planes * 2 * BITS, BITS):
                store_halves(scratch, i, no_bits())
            for q in range(block * BITS, min((block + 1) * BITS, pixels)):
                g, u = load_wide(grad, q * o + channel, keep), in_all_lanes(np.float32(0))
                will_load(grad, (q + BITS) * o + channel)
                if masked:
                    g = where_positive(g, load_wide(y, q * o + channel, keep))
                    will_load(y, (q + BITS) * o + channel)
                if kind != SIGNS:
                    # Number i of the seed belongs to element i, so threads change nothing, and one number serves both
                    # roundings (ADR 0018).
                    u = draw(q * o + channel, key, second_key)
                scaled = product(g, scale)
                of_row = _levels(scaled, in_all_lanes(row_factor[q]), u, kind, top)
                in_column = _levels(g, of_column, u, kind, top)
                below, negative = negative_bits(scaled), negative_bits(g)
                for plane in range(planes):
                    target, at = ((plane * pixels + q) * halves + half) * 2, square + plane * 2 * BITS
                    rows[target], rows[target + 1] = _plane(of_row, below, valid, kind, plane)
                    signs, masks = _plane(in_column, negative, valid, kind, plane)
                    # The product for the weights sums over pixels, so their planes are packed along the pixels: a
                    # square of 32 pixels x 32 channels is transposed here.
                    store_halves(scratch, at, set_bit(load_halves(scratch, at), signs, q % BITS))
                    at += BITS
                    store_halves(scratch, at, set_bit(load_halves(scratch, at), masks, q % BITS))
            for i in range(planes * 2 * _QUADS):
                side, quad = i // _QUADS % 2, (i // (2 * _QUADS) * halves + half) * _QUADS + i % _QUADS
                target = ((quad * pitch + block) * 2 + side) * XNOR_ROWS
                for lane in range(XNOR_ROWS):
                    columns[target + lane] = scratch[square + i * XNOR_ROWS + lane]
