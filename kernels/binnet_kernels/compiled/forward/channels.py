"""RPReLU, its gradient, and sums of channels, compiled: one pass over the map each."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Doubles, Float
from ...simd.jit import inlined, kernel
from ...simd.lanes import (
    ALL,
    WIDTH,
    either,
    fetch_ahead,
    first_lanes,
    load_lanes,
    negative,
    store_lanes,
    widened,
    zero_unless,
)
from .norm import _GROUP, _RUN, _sharing, parts_of


def rprelu(x: Float, before: Float, slope: Float, after: Float, y: Float) -> None:
    """``y = prelu(x + before) + after``"""
    if x.size:
        c = x.shape[-1]
        rows = x.size // c
        write = _sharing(_rprelu, x.size)
        write(x.ravel(), before, slope, after, y.ravel(), -(-rows // _RUN), rows, c)


def rprelu_grad(grad: Float, x: Float, before: Float, slope: Float, grad_x: Float) -> tuple[Doubles, Doubles, Doubles]:
    """The gradient of x; and sums over rows of it, of ``grad`` times the negative part, and of ``grad``."""
    c = x.shape[-1]
    rows = x.size // c
    parts = parts_of(x.size, rows)
    sums = np.zeros((3, parts, c), np.float64)
    write = _sharing(_rprelu_grad, x.size)
    write(grad.ravel(), x.ravel(), before, slope, grad_x.ravel(), *(s.ravel() for s in sums), parts, rows, c)
    shifted, sloped, plain = sums.sum(axis=1)
    return shifted, sloped, plain


def channel_sums(x: Float) -> Doubles:
    """Sums over rows."""
    c = x.shape[-1]
    rows = x.size // c
    parts = parts_of(x.size, rows)
    sums = np.zeros((parts, c), np.float64)
    _sharing(_channel_sums, x.size)(x.ravel(), sums.ravel(), parts, rows, c)
    total: Doubles = sums.sum(axis=0)
    return total


# ---------------------------------------------------------------------------------------------- kernels


@inlined
def _rprelu_lanes(x, before, slope, after, y, here, i, lanes):
    fetch_ahead(x, here)
    fetch_ahead(y, here)  # to be written
    value = load_lanes(x, here, lanes) + load_lanes(before, i, lanes)
    value = either(value * load_lanes(slope, i, lanes), value, negative(value))  # NaN is not negative, and stays
    store_lanes(y, here, value + load_lanes(after, i, lanes), lanes)


@kernel
def _rprelu(x, before, slope, after, y, runs, rows, c):
    whole = c // WIDTH * WIDTH
    for run in prange(runs):
        for row in range(run * _RUN, min((run + 1) * _RUN, rows)):
            for i in range(0, whole, WIDTH):
                _rprelu_lanes(x, before, slope, after, y, row * c + i, i, ALL)
            if whole < c:
                _rprelu_lanes(x, before, slope, after, y, row * c + whole, whole, first_lanes(c - whole))


@kernel
def _rprelu_grad(grad, x, before, slope, grad_x, shifted, sloped, plain, parts, rows, c):
    for part in prange(parts):
        start, end = part * rows // parts, (part + 1) * rows // parts
        for first in range(start, end, _GROUP):
            for i in range(0, c, WIDTH):
                lanes, place = first_lanes(c - i), part * c + i
                shift, factor = load_lanes(before, i, lanes), load_lanes(slope, i, lanes)
                sum_x, sum_slope = load_lanes(shifted, place, lanes), load_lanes(sloped, place, lanes)
                total = load_lanes(plain, place, lanes)
                for row in range(first, min(first + _GROUP, end)):
                    here = row * c + i
                    fetch_ahead(grad, here)
                    fetch_ahead(x, here)
                    g, value = load_lanes(grad, here, lanes), load_lanes(x, here, lanes) + shift
                    below = negative(value)
                    total = total + widened(g)
                    sum_slope = sum_slope + widened(g * zero_unless(value, below))
                    g = either(g * factor, g, below)
                    sum_x = sum_x + widened(g)
                    store_lanes(grad_x, here, g, lanes)
                store_lanes(shifted, place, sum_x, lanes)
                store_lanes(sloped, place, sum_slope, lanes)
                store_lanes(plain, place, total, lanes)


@kernel
def _channel_sums(x, sums, parts, rows, c):
    for part in prange(parts):
        start, end = part * rows // parts, (part + 1) * rows // parts
        for first in range(start, end, _GROUP):
            for i in range(0, c, WIDTH):
                lanes, place = first_lanes(c - i), part * c + i
                total = load_lanes(sums, place, lanes)
                for row in range(first, min(first + _GROUP, end)):
                    fetch_ahead(x, row * c + i)
                    total = total + widened(load_lanes(x, row * c + i, lanes))
                store_lanes(sums, place, total, lanes)
