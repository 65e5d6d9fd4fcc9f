"""Levels of several bits, compiled; what they are stands in :mod:`binnet_kernels.lowbit.levels`."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Float, Words
from ...lowbit.weight_ranges import RANGES
from ...simd.jit import kernel
from ...simd.lanes import WIDTH, all_lanes, first_lanes, store_lanes
from .level_lanes import filter_stretch, levels_at, pack_levels

_RUN = 4096  # values that one thread takes at a time


def quantise_input(x: Float, bits: int, y: Float) -> None:
    """``y``: the level of each value."""
    if x.size:
        _quantise(x.ravel(), y.ravel(), -(-x.size // _RUN), x.size, (1 << bits) - 1)


def pack_planes(x: Float, planes: Words) -> None:
    """``planes`` (k, ..., ceil(n / 64)) of the levels of an array (..., n)."""
    if planes.size:
        k, n = len(planes), x.shape[-1]
        _pack_rows(x.ravel(), planes.ravel().view(np.uint32), x.size // n, n, k, (1 << k) - 1)


def scaled_levels(weight: Float, alpha: Float, bits: int, y: Float) -> None:
    """``y = alpha q_k(W / r)`` with the range r of each filter."""
    if len(weight):
        sizes = len(weight), weight[0].size, (1 << bits) - 1, ratio_of(bits)
        _scaled_levels(weight.ravel(), alpha, y.ravel(), *sizes)


def ratio_of(bits: int) -> np.float32:
    """The range of weights divided by their mean |W|, for compiled code; 0 for one bit, which needs none."""
    return np.float32(RANGES[bits - 1] if bits > 1 else 0)


def weight_planes(weight: Float, planes: Words) -> None:
    """``planes`` (k, O, ..., ceil(C / 64)) of the levels of filters (O, ..., C)."""
    if planes.size:
        k, c = len(planes), weight.shape[-1]
        sizes = len(weight), weight[0].size // c, c, k, (1 << k) - 1, ratio_of(k)
        _pack_filters(weight.ravel(), planes.ravel().view(np.uint32), *sizes)


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
