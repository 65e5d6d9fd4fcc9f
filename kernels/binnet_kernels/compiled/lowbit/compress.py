"""Gradients of weights in few bits a weight, with error feedback, 32 weights at a time."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Float, Words
from ...lowbit.rounding import Rounding
from ...simd.jit import helper, kernel
from ...simd.lanes import WIDTH, all_lanes, first_lanes, load_lanes, negated_where, negative, store_lanes, zero_unless
from .bit_lanes import raise_to
from .level_lanes import plane_half
from .rounding import magnitude_levels


def compress_gradient(grad: Float, rounding: Rounding, share: np.float32, error: Float, packed: Words) -> Float:
    """The units (O,); planes go to ``packed`` (O, 1 + planes, words), what is left to ``error`` (O, n).

    The highest level is ``share`` of the largest magnitude of a filter.
    """
    peaks = np.zeros((len(error), WIDTH), np.float32)
    if len(error):
        _add(grad.ravel(), error.ravel(), peaks.ravel(), *error.shape)
    unit, factor = rounding.scales(peaks.max(axis=1, initial=0) * share)
    if len(error):
        halves, top = packed.ravel().view(np.uint32), np.float32(rounding.top)
        _compress(error.ravel(), unit, factor, top, rounding.planes, halves, *error.shape)
    return unit


def expand_gradient(packed: Words, unit: Float, grad: Float) -> None:
    """``grad`` (O, n) of planes (O, 1 + planes, words)."""
    if len(grad):
        _expand(packed.ravel().view(np.uint32), unit, packed.shape[1] - 1, grad.ravel(), *grad.shape)


# ---------------------------------------------------------------------------------------------- kernels


@helper
def _values(halves, place, step, planes, unit):
    """32 whole numbers times the unit, from the half words of their signs and planes, which are ``step`` apart."""
    level = zero_unless(all_lanes(np.float32(1)), halves[place + step])
    for plane in range(1, planes):
        # Sums of powers of two are exact: the one rounding is that of the product, as in the NumPy form.
        level = level + zero_unless(all_lanes(np.float32(1 << plane)), halves[place + (plane + 1) * step])
    return negated_where(level * all_lanes(unit), halves[place])


@kernel
def _add(grad, error, peaks, filters, n):
    """``error += grad``, and the largest magnitudes of each filter, in 32 lanes."""
    for o in prange(filters):
        for i in range(0, n, WIDTH):
            lanes, here = first_lanes(n - i), o * n + i
            value = load_lanes(grad, here, lanes) + load_lanes(error, here, lanes)
            store_lanes(error, here, value, lanes)
            raise_to(peaks, o * WIDTH, value, n - i)


@kernel
def _compress(error, unit, factor, top, planes, halves, filters, n):
    step = (n + 63) // 64 * 2
    for o in prange(filters):
        for plane in range(planes + 1):
            # The last half of a word may have no weights.
            halves[(o * (planes + 1) + plane + 1) * step - 1] = np.uint32(0)
        for i in range(0, n, WIDTH):
            lanes, place = first_lanes(n - i), o * (planes + 1) * step + i // WIDTH
            value = load_lanes(error, o * n + i, lanes)
            # A half instead of a random number: the nearest level.
            levels = magnitude_levels(value, all_lanes(factor[o]), all_lanes(np.float32(0.5)), top)
            halves[place] = negative(value)
            for plane in range(planes):
                halves[place + (plane + 1) * step] = plane_half(levels, plane) & lanes
            store_lanes(error, o * n + i, value - _values(halves, place, step, planes, unit[o]), lanes)


@kernel
def _expand(halves, unit, planes, grad, filters, n):
    step = (n + 63) // 64 * 2
    for o in prange(filters):
        for i in range(0, n, WIDTH):
            value = _values(halves, o * (planes + 1) * step + i // WIDTH, step, planes, unit[o])
            store_lanes(grad, o * n + i, value, first_lanes(n - i))
