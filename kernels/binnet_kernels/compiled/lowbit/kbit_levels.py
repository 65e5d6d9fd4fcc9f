"""The levels between -1 and +1 that take the place of signs: the paper's q_k, and their bits (end of section 3.2).

    q_k(x) = 2 ([(2^k - 1) (x + 1) / 2] / (2^k - 1) - 1/2),  x clipped to [-1, 1], halves rounded up

With L = 2^k - 1 there are the 2^k levels -L/L, (2 - L)/L, ..., L/L. The *code* c of a level counts from the top, 0
for +1 and L for -1, so that L q_k = L - 2 c. With the bits c_i of c, L = sum_i 2^i and c = sum_i 2^i c_i, that is
L q_k = sum_i 2^i (1 - 2 c_i), a sum of signs: *plane* i holds the bits c_i, packed like any signs, 1 for -1. Of one
bit, the only plane is the sign itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ... import checks
from ...checks import Float, Words
from ...kbit_ranges import RANGES
from ...simd.jit import kernel
from ...simd.lanes import WIDTH, all_lanes, first_lanes, store_lanes
from ..forward.scale import weight_alpha
from .level_lanes import filter_stretch, levels_at, pack_levels

_RUN = 4096  # values that one thread takes at a time


def quantise_input(x: Any, bits: int) -> Float:
    """The level of each value, q_k of arXiv:1603.05279, section 3.2, rounding halves up; q_1 is :func:`sign`.

    (2^k - 1) x is rounded to float32 before it is compared with the borders between levels, which are whole numbers, so
    that the float next to such a border may count as the border itself.

    Parameters
    ----------
    x : array of real numbers, any shape
    bits : int
        k, from 1 to 8.

    Returns
    -------
    float32, the shape of ``x``
        In [-1, 1], never 0: both zeros give 1 / (2^k - 1), and NaN gives +1.

    Raises
    ------
    TypeError, ValueError
        When ``x`` does not hold real numbers, or ``bits`` is out of range.
    """
    x, levels = checks.floats(x, "x"), checks.levels(bits, "bits")
    y: Float = np.empty_like(x)
    if x.size:
        _quantise(x.ravel(), y.ravel(), -(-x.size // _RUN), x.size, levels)
    return y


def weight_range(weight: Any, bits: int) -> Float:
    """The scale of each filter with k-bit weights: mean of |W| (Eq. 6) times a constant of k.

    W is taken as alpha q_k(W / alpha). The constant makes ‖W - alpha q_k(W / alpha)‖ smallest for Gaussian weights; for
    k = 1 it is 1, and alpha that of Eq. 6. The paper says nothing about other k.

    Parameters
    ----------
    weight : array (O, KH, KW, C) or (O, I) of real numbers
    bits : int
        k, from 1 to 8.

    Returns
    -------
    float32 (O,)

    Raises
    ------
    TypeError, ValueError
        As :func:`weight_alpha`, and when ``bits`` is out of range.
    """
    checks.levels(bits, "bits")
    weight = checks.filters(weight)
    alpha = np.empty(len(weight), np.float32)
    weight_alpha(weight, alpha)
    return alpha * np.float32(RANGES[bits - 1])


def quantise_weight(weight: Any, bits: int) -> Float:
    """The levels of weights, q_k(W / alpha) with alpha from :func:`weight_range`; their signs for one bit.

    Parameters
    ----------
    weight : array (O, KH, KW, C) or (O, I) of real numbers
    bits : int
        k, from 1 to 8.

    Returns
    -------
    float32, the shape of ``weight``

    Raises
    ------
    TypeError, ValueError
        As :func:`weight_range`.
    """
    weight = checks.filters(weight)
    return scaled_levels(weight, np.ones(len(weight), np.float32), bits)


def scaled_levels(weight: Float, alpha: Float, bits: int) -> Float:
    """``alpha q_k(W / r)`` with r from :func:`weight_range`."""
    levels, y = checks.levels(bits, "bits"), np.empty_like(weight)
    if len(weight):
        sizes = len(weight), weight[0].size, levels, ratio_of(bits)
        _scaled_levels(weight.ravel(), alpha, y.ravel(), *sizes)
    return y


def ratio_of(bits: int) -> np.float32:
    """The range of weights divided by their mean |W|, for compiled code; 0 for one bit, which needs none."""
    return np.float32(RANGES[bits - 1] if bits > 1 else 0)


def weight_planes(weight: Any, bits: int) -> Words:
    """The planes of the levels of weights, :func:`pack_planes` of :func:`quantise_weight` in one pass.

    Parameters
    ----------
    weight : array (O, KH, KW, C) or (O, I) of real numbers
    bits : int
        k, from 1 to 8.

    Returns
    -------
    uint64 (k, O, KH, KW, ceil(C / 64)) or (k, O, ceil(I / 64))

    Raises
    ------
    TypeError, ValueError
        As :func:`weight_range`.
    """
    weight, levels = checks.filters(weight), checks.levels(bits, "bits")
    c = weight.shape[-1]
    words = np.zeros((int(bits), *weight.shape[:-1], -(-c // 64)), np.uint64)
    if words.size:
        sizes = len(weight), weight[0].size // c, c, int(bits), levels, ratio_of(bits)
        _pack_filters(weight.ravel(), words.ravel().view(np.uint32), *sizes)
    return words


def pack_planes(x: Any, bits: int) -> Words:
    """Quantise and pack: the planes of q_k(x), 64 values to a word.

    Parameters
    ----------
    x : array (..., n) of real numbers
    bits : int
        k, from 1 to 8.

    Returns
    -------
    uint64 (k, ..., ceil(n / 64))
        Plane i, of weight 2^i, as :func:`pack_signs` packs signs.

    Raises
    ------
    TypeError, ValueError
        As :func:`quantise_input`.
    """
    x, levels = checks.floats(np.atleast_1d(x), "x"), checks.levels(bits, "bits")
    n = x.shape[-1]
    words = np.zeros((int(bits), *x.shape[:-1], -(-n // 64)), np.uint64)
    if words.size:
        _pack_rows(x.ravel(), words.ravel().view(np.uint32), x.size // n, n, int(bits), levels)
    return words


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _quantise(x, y, runs, size, levels):
    for run in prange(runs):
        for i in range(run * _RUN, min((run + 1) * _RUN, size), WIDTH):
            lanes = first_lanes(min((run + 1) * _RUN, size) - i)
            store_lanes(y, i, levels_at(x, i, lanes, np.float32(1), levels), lanes)


@kernel
def _scaled_levels(weight, alpha, y, filters, n, levels, ratio):
    """``alpha q_k(W / r)``; r is computed just before, so that the second pass over a filter finds it in the cache."""
    for o in prange(filters):
        factor, scale = filter_stretch(weight, o * n, n, ratio), all_lanes(alpha[o])
        for i in range(0, n, WIDTH):
            lanes = first_lanes(n - i)
            store_lanes(y, o * n + i, levels_at(weight, o * n + i, lanes, factor, levels) * scale, lanes)


@kernel
def _pack_rows(x, halves, rows, n, planes, levels):
    count = (n + 63) // 64 * 2
    for row in prange(rows):
        pack_levels(x, row * n, n, np.float32(1), planes, levels, halves, row * count, rows * count)


@kernel
def _pack_filters(weight, halves, filters, taps, c, planes, levels, ratio):
    count = (c + 63) // 64 * 2
    step = filters * taps * count
    for o in prange(filters):
        # The range comes just before the levels, so that the second pass over a filter finds it in the cache.
        factor = filter_stretch(weight, o * taps * c, taps * c, ratio)
        for tap in range(o * taps, (o + 1) * taps):
            pack_levels(weight, tap * c, c, factor, planes, levels, halves, tap * count, step)
