"""Gradients of few levels, as bit planes or bytes, in the orders in which the backward convolutions sum over them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numba import prange

from ...checks import Float, Halves
from ...lowbit.counter_rng import keys
from ...lowbit.rounding import MAGNITUDES, SIGNS, QuantisedGradient, Rounding
from ...simd.jit import helper, kernel
from ...simd.lanes import (
    WIDTH,
    all_lanes,
    first_lanes,
    load_all,
    load_lanes,
    negative,
    positive,
    prefetch,
    store_all,
    zero_unless,
)
from ...simd.threads import get_num_threads
from ...simd.tile import XNOR_ROWS
from ...simd.tiling import share
from .bit_lanes import raise_to, set_bit
from .level_lanes import plane_half
from .lookup.gradient import signed_bytes
from .lookup.sums import by_table
from .rounding import draw, levels_of_kind

_QUADS = WIDTH // XNOR_ROWS  # tiles of channels in a half word


def quantise_gradient(
    grad: Float, alpha: Float, y: Float | None, rounding: Rounding, start: int, peaks: Float | None
) -> QuantisedGradient:
    """A gradient (N, OH, OW, O), where ``y`` is above 0, times alpha and as it is, rounded to levels.

    The first element uses random number ``start``; ``peaks`` (O,) replace the largest magnitudes of the channels.
    """
    of_samples, masked, y = sample_peaks(grad, y), y is not None, grad if y is None else y
    # Maxima where they are free: a window of the gradient of the input never leaves its sample (ADR 0018).
    row_unit, row_factor = rounding.scales((of_samples * np.abs(alpha)).max(axis=1, initial=0))
    # The product for the weights sums over all samples, so its unit must be one for all of them: the maximum of a
    # channel.
    column_unit, column_factor = rounding.scales(of_samples.max(axis=0, initial=0) if peaks is None else peaks)
    arrays = grad.ravel(), y.ravel(), alpha, np.repeat(row_factor, math.prod(grad.shape[1:3])), column_factor
    options = masked, start, rounding.kind, np.float32(rounding.top), *keys(rounding.seed)
    pack = signed_bytes if by_table(rounding) else partial(_in_planes, rounding.planes)
    rows, columns = pack(grad.shape, arrays, options)
    return QuantisedGradient(grad.shape, rows, row_unit, columns, column_unit)


def _in_planes(
    planes: int, shape: tuple[int, ...], arrays: tuple[Any, ...], options: tuple[Any, ...]
) -> tuple[Halves, Halves]:
    n, oh, ow, o = shape
    pixels, halves = n * oh * ow, -(-o // WIDTH)
    rows = np.empty((planes, n, oh, ow, halves, 2), np.uint32)
    pitch = -(-pixels // WIDTH) | 1  # odd, so that the quads of a block are not all in one set of the cache
    columns = np.empty((planes, halves * _QUADS, pitch, 2, XNOR_ROWS), np.uint32)
    columns[:, :, -1:] = 0
    if rows.size:
        workers = get_num_threads()
        scratch = np.empty(workers * planes * 2 * WIDTH, np.uint32)
        _quantise(*arrays, scratch, rows.ravel(), columns.ravel(), pixels, o, *options, planes, pitch, workers)
    return rows, columns


def sample_peaks(grad: Float, y: Float | None) -> Float:
    """The largest magnitude of each sample and channel (N, O), where ``y`` is above 0."""
    n, oh, ow, o = grad.shape
    peaks = np.zeros((n, o), np.float32)
    if grad.size:
        seen = grad if y is None else y
        _peaks(grad.ravel(), seen.ravel(), peaks.ravel(), n, oh * ow, o, y is not None)
    return peaks


@kernel
def _peaks(grad, y, peaks, n, pixels, o, masked):
    """``peaks[sample, channel] = max over pixels of |grad|``."""
    for sample in prange(n):
        for q in range(sample * pixels, (sample + 1) * pixels):
            for channel in range(0, o, WIDTH):
                lanes = first_lanes(o - channel)
                g = load_lanes(grad, q * o + channel, lanes)
                if masked:
                    g = zero_unless(g, positive(load_lanes(y, q * o + channel, lanes)))
                raise_to(peaks, sample * o + channel, g, o - channel)


@helper
def _plane(levels, below, valid, kind, plane):
    """The half words of signs and masks of one plane."""
    bits = plane_half(levels, plane)
    if kind == MAGNITUDES:
        return np.uint32(bits & below), bits
    return np.uint32(bits & valid), valid


@kernel
def _quantise(
    grad, y, alpha, row_factor, column_factor, scratch, rows, columns, pixels, o,
    masked, start, kind, top, key, second_key, planes, pitch, workers,
):  # fmt: skip
    halves, blocks = (o + WIDTH - 1) // WIDTH, (pixels + WIDTH - 1) // WIDTH
    for worker in prange(workers):
        square, (begin, end) = worker * planes * 2 * WIDTH, share(worker, workers, blocks)
        for item in range(begin * halves, end * halves):
            block, half = item // halves, item % halves
            channel, valid = half * WIDTH, first_lanes(o - half * WIDTH)
            scale, of_column = load_lanes(alpha, channel, valid), load_lanes(column_factor, channel, valid)
            for i in range(square, square + planes * 2 * WIDTH, WIDTH):
                store_all(scratch, i, all_lanes(np.uint32(0)))
            for q in range(block * WIDTH, min((block + 1) * WIDTH, pixels)):
                g, u = load_lanes(grad, q * o + channel, valid), all_lanes(np.float32(0))
                prefetch(grad, (q + WIDTH) * o + channel)
                if masked:
                    g = zero_unless(g, positive(load_lanes(y, q * o + channel, valid)))
                    prefetch(y, (q + WIDTH) * o + channel)
                if kind != SIGNS:
                    # Number i of the seed belongs to element i, so threads change nothing, and one number serves both
                    # roundings (ADR 0018).
                    u = draw(start + q * o + channel, key, second_key)
                scaled = g * scale
                of_row = levels_of_kind(scaled, all_lanes(row_factor[q]), u, kind, top)
                in_column = levels_of_kind(g, of_column, u, kind, top)
                scaled_below, grad_below = negative(scaled), negative(g)
                for plane in range(planes):
                    target, at = ((plane * pixels + q) * halves + half) * 2, square + plane * 2 * WIDTH
                    rows[target], rows[target + 1] = _plane(of_row, scaled_below, valid, kind, plane)
                    signs, masks = _plane(in_column, grad_below, valid, kind, plane)
                    # The product for the weights sums over pixels, so their planes are packed along the pixels: a
                    # square of 32 pixels x 32 channels is transposed here.
                    store_all(scratch, at, set_bit(load_all(scratch, at), signs, q % WIDTH))
                    at += WIDTH
                    store_all(scratch, at, set_bit(load_all(scratch, at), masks, q % WIDTH))
            for i in range(planes * 2 * _QUADS):
                side, quad = i // _QUADS % 2, (i // (2 * _QUADS) * halves + half) * _QUADS + i % _QUADS
                target = ((quad * pitch + block) * 2 + side) * XNOR_ROWS
                for lane in range(XNOR_ROWS):
                    columns[target + lane] = scratch[square + i * XNOR_ROWS + lane]
