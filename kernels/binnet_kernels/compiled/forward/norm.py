"""Batch normalisation over the last axis, forward and backward, in as few passes over the map as there can be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ...checks import Affine, Doubles, Float, Halves
from ...simd.jit import Kernel, inlined, kernel
from ...simd.lanes import (
    ALL,
    WIDTH,
    fetch_ahead,
    first_lanes,
    load_lanes,
    multiply_add,
    negative,
    positive,
    store_lanes,
    widened,
    zero_unless,
)

Grads = tuple[Float, Float, Float]

_PARTS = 32  # rows are summed in at most this many parts, then the parts in order: the same bits for any thread count
_PART = 1 << 15  # values that a part has at least
_GROUP = 8  # rows that go through all channels before the next: their sums stay in registers, their lines in order
_RUN = 64  # rows that one thread takes at a time
_WORTH_SHARING = 1 << 16  # values, some 10 µs of work: twice as long as it takes to wake the other threads
_NO_BITS = np.zeros(1, np.uint32)


def batch_statistics(x: Float, mean: Float, var: Float) -> None:
    """``mean`` and ``var`` (C,) of ``x`` (..., C), in one pass: sums in float64 of distances from the first row."""
    rows, centre, distance, square = _from_first_row(x)
    mean[...] = centre
    with np.errstate(invalid="ignore"):  # infinities: their difference is no number
        var[...] = np.maximum(square / rows - distance, 0)


def batch_moments(x: Float, mean: Doubles, square: Doubles) -> None:
    """``mean`` (C,) of ``x`` (..., C), and the sum of squared distances from it."""
    rows, mean[...], distance, about_first = _from_first_row(x)
    # By the parallel axis theorem. Rounding may leave a constant channel just below 0.
    with np.errstate(invalid="ignore"):
        square[...] = np.maximum(about_first - rows * distance, 0)


def _from_first_row(x: Float) -> tuple[int, Doubles, Doubles, Doubles]:
    """Rows, their mean, its squared distance from the first row, and the sum of all rows' squared distances from it."""
    c = x.shape[-1]
    rows = x.size // c
    total, square = _totals(_moments, x.size, rows, c, x.ravel())
    mean = total / rows
    with np.errstate(invalid="ignore"):  # infinities: their distance is no number
        return rows, mean, np.square(mean - x.reshape(rows, c)[0]), square


def normalise(x: Float, affine: Affine, y: Float) -> None:
    """``y = (x - mean) factor + shift``"""
    _write(x, affine, y, _NO_BITS)


def norm_relu(x: Float, affine: Affine, y: Float, passed: Halves) -> None:
    """The same and a ReLU; ``passed`` are the bits of y > 0."""
    _write(x, affine, y, passed)


def _write(x: Float, affine: Affine, y: Float, passed: Halves) -> None:
    """Normalise, and apply a ReLU if ``passed`` has room for its bits."""
    if not x.size:
        return
    c, relu = x.shape[-1], passed is not _NO_BITS
    rows = x.size // c
    _sharing(_normalise, x.size)(x.ravel(), *affine, relu, y.ravel(), passed.ravel(), -(-rows // _RUN), rows, c)


def batch_norm_grad_sums(grad: Float, within: Halves | None, x: Float, mean: Float) -> tuple[Doubles, Doubles]:
    """Sums of g and g (x - mean) over rows; ``grad`` passes where ``within`` is 1."""
    c = x.shape[-1]
    return _totals(_grad_sums, x.size, x.size // c, c, grad.ravel(), x.ravel(), mean, *_mask(within))


def batch_norm_grad_apply(
    grad: Float,
    within: Halves | None,
    x: Float,
    norm: tuple[Float, Float, Float],
    sums: tuple[Doubles, Doubles],
    rows: int,
    grads: Grads,
) -> None:
    """Gradients of x, gamma and beta from sums over ``rows`` rows; ``norm`` is gamma, mean, 1 / sqrt(var + eps).

    ``grad_x = factor (g - mean g - x_hat mean(g x_hat))``.
    """
    (gamma, mean, inverse), (grad_x, grad_gamma, grad_beta) = norm, grads
    grad_beta[...], grad_gamma[...] = sums[0], sums[1] * inverse
    if not x.size:
        return
    c = x.shape[-1]
    here = x.size // c
    vectors = (mean, grad_beta / np.float32(rows), inverse * (grad_gamma / np.float32(rows)), gamma * inverse)
    write = _sharing(_norm_grad, x.size)
    write(grad.ravel(), x.ravel(), *vectors, *_mask(within), grad_x.ravel(), -(-here // _RUN), here, c)


def _mask(within: Halves | None) -> tuple[Halves, int, np.uint32]:
    """Bits, the step between them, and lanes that are always on: one kernel with bits and without."""
    return (_NO_BITS, 0, ALL) if within is None else (within.ravel(), 1, np.uint32(0))


def _totals(sums_of: Kernel, size: int, rows: int, c: int, *arrays: Any) -> tuple[Doubles, Doubles]:
    """Run a kernel that makes two sums over rows in parts, and add the parts."""
    parts = parts_of(size, rows)
    first, second = np.zeros((parts, c), np.float64), np.zeros((parts, c), np.float64)
    _sharing(sums_of, size)(*arrays, first.ravel(), second.ravel(), parts, rows, c)
    return first.sum(axis=0), second.sum(axis=0)


def parts_of(size: int, rows: int) -> int:
    """In how many parts rows are summed: the same for any number of threads."""
    return max(1, min(_PARTS, size // _PART, rows))


def _sharing(work: Kernel, size: int) -> Any:
    """The kernel, or its serial form for arrays too small to share among threads."""
    return work if size > _WORTH_SHARING else work.serial


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _moments(x, sums, squares, parts, rows, c):
    for part in prange(parts):
        start, end = part * rows // parts, (part + 1) * rows // parts
        for first in range(start, end, _GROUP):
            for i in range(0, c, WIDTH):
                lanes, place = first_lanes(c - i), part * c + i
                # Distances from the first row: Σx² − (Σx)²/n loses all digits where the mean is large.
                centre = widened(load_lanes(x, i, lanes))
                total, square = load_lanes(sums, place, lanes), load_lanes(squares, place, lanes)
                for row in range(first, min(first + _GROUP, end)):
                    fetch_ahead(x, row * c + i)
                    value = widened(load_lanes(x, row * c + i, lanes))
                    total = total + value
                    square = multiply_add(value - centre, value - centre, square)
                store_lanes(sums, place, total, lanes)
                store_lanes(squares, place, square, lanes)


@kernel
def _grad_sums(grad, x, mean, within, step, always, sums, products, parts, rows, c):
    halves = (c + 31) // 32
    for part in prange(parts):
        start, end = part * rows // parts, (part + 1) * rows // parts
        for first in range(start, end, _GROUP):
            for i in range(halves):
                lanes, place = first_lanes(c - i * WIDTH), part * c + i * WIDTH
                centre = load_lanes(mean, i * WIDTH, lanes)
                total, product = load_lanes(sums, place, lanes), load_lanes(products, place, lanes)
                for row in range(first, min(first + _GROUP, end)):
                    here, passed = row * c + i * WIDTH, within[(row * halves + i) * step] | always
                    fetch_ahead(grad, here)
                    fetch_ahead(x, here)
                    g = zero_unless(load_lanes(grad, here, lanes), passed)
                    total = total + widened(g)
                    # Products are float32, their sum float64: many rows lose no digits.
                    product = product + widened(g * (load_lanes(x, here, lanes) - centre))
                store_lanes(sums, place, total, lanes)
                store_lanes(products, place, product, lanes)


# These two write a map and add nothing up, so they go through it in the order of memory. With the constant ``ALL`` LLVM
# builds plain loads and stores; the last channels of a row go through the same code with a mask.


@inlined
def _normalise_lanes(x, mean, factor, beta, relu, y, passed, row, c, i, lanes):
    here = row * c + i
    fetch_ahead(x, here)
    fetch_ahead(y, here)  # to be written
    # Three roundings, as in the epilogues of fused layers: folded to x a + b, values near 0 could get another sign.
    value = (load_lanes(x, here, lanes) - load_lanes(mean, i, lanes)) * load_lanes(factor, i, lanes)
    value = value + load_lanes(beta, i, lanes)
    if relu:
        passed[row * ((c + WIDTH - 1) // WIDTH) + i // WIDTH] = positive(value)
        value = zero_unless(value, negative(value) ^ ALL)
    store_lanes(y, here, value, lanes)


@kernel
def _normalise(x, mean, factor, beta, relu, y, passed, runs, rows, c):
    whole = c // WIDTH * WIDTH
    for run in prange(runs):
        for row in range(run * _RUN, min((run + 1) * _RUN, rows)):
            for i in range(0, whole, WIDTH):
                _normalise_lanes(x, mean, factor, beta, relu, y, passed, row, c, i, ALL)
            if whole < c:
                _normalise_lanes(x, mean, factor, beta, relu, y, passed, row, c, whole, first_lanes(c - whole))


@inlined
def _norm_grad_lanes(grad, x, vectors, within, step, always, grad_x, row, c, i, lanes):
    here, passed = row * c + i, within[(row * ((c + WIDTH - 1) // WIDTH) + i // WIDTH) * step] | always
    fetch_ahead(grad, here)
    fetch_ahead(x, here)
    mean, base, slope, factor = vectors
    g = zero_unless(load_lanes(grad, here, lanes), passed) - load_lanes(base, i, lanes)
    g = g - (load_lanes(x, here, lanes) - load_lanes(mean, i, lanes)) * load_lanes(slope, i, lanes)
    store_lanes(grad_x, here, g * load_lanes(factor, i, lanes), lanes)


@kernel
def _norm_grad(grad, x, mean, mean_grad, slope, factor, within, step, always, grad_x, runs, rows, c):
    whole, vectors = c // WIDTH * WIDTH, (mean, mean_grad, slope, factor)
    for run in prange(runs):
        for row in range(run * _RUN, min((run + 1) * _RUN, rows)):
            for i in range(0, whole, WIDTH):
                _norm_grad_lanes(grad, x, vectors, within, step, always, grad_x, row, c, i, ALL)
            if whole < c:
                lanes = first_lanes(c - whole)
                _norm_grad_lanes(grad, x, vectors, within, step, always, grad_x, row, c, whole, lanes)
