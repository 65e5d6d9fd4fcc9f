"""ReLU, its gradient, the polynomial gradient of the sign, and sums of maps, compiled: one pass each.

The last array is written, and may be one of the others.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Float
from ...simd.jit import Kernel, inlined, kernel
from ...simd.lanes import (
    ALL,
    WIDTH,
    all_lanes,
    fetch_ahead,
    first_lanes,
    load_lanes,
    magnitude,
    negative,
    positive,
    store_lanes,
    zero_unless,
)

_RUN = 1 << 13  # values that go to one thread at a time
_WORTH_SHARING = 1 << 16  # values, some 10 µs of work: twice as long as it takes to wake the other threads


def relu(x: Float, y: Float) -> None:
    """``y = max(x, 0)``; NaN stays NaN."""
    _run(_relu, x, y)


def relu_grad(grad: Float, y: Float, grad_x: Float) -> None:
    """``grad_x = grad`` where ``y > 0``, else 0."""
    _run(_relu_grad, grad, y, grad_x)


def polynomial_grad(grad: Float, x: Float, grad_x: Float) -> None:
    """``grad_x = grad max(2 - 2|x|, 0)``"""
    _run(_polynomial_grad, grad, x, grad_x)


def add(x: Float, y: Float, total: Float) -> None:
    """``total = x + y``."""
    _run(_add, x, y, total)


def _run(work: Kernel, *arrays: Float) -> None:
    n = arrays[0].size
    if n:
        (work if n > _WORTH_SHARING else work.serial)(*(a.ravel() for a in arrays), -(-n // _RUN), n)


# ---------------------------------------------------------------------------------------------- kernels

# With the constant ``ALL`` LLVM builds plain loads and stores; the last values go through the same code with a mask.


@inlined
def _relu_lanes(x, y, i, lanes):
    value = load_lanes(x, i, lanes)
    fetch_ahead(y, i)  # to be written
    # What is negative becomes 0, not: what is positive stays. So NaN stays NaN.
    store_lanes(y, i, zero_unless(value, negative(value) ^ ALL), lanes)


@kernel
def _relu(x, y, runs, n):
    for run in prange(runs):
        end = min((run + 1) * _RUN, n)
        whole = end // WIDTH * WIDTH
        for i in range(run * _RUN, whole, WIDTH):
            _relu_lanes(x, y, i, ALL)
        if whole < end:
            _relu_lanes(x, y, whole, first_lanes(end - whole))


@inlined
def _relu_grad_lanes(grad, y, grad_x, i, lanes):
    fetch_ahead(grad_x, i)
    store_lanes(grad_x, i, zero_unless(load_lanes(grad, i, lanes), positive(load_lanes(y, i, lanes))), lanes)


@kernel
def _relu_grad(grad, y, grad_x, runs, n):
    for run in prange(runs):
        end = min((run + 1) * _RUN, n)
        whole = end // WIDTH * WIDTH
        for i in range(run * _RUN, whole, WIDTH):
            _relu_grad_lanes(grad, y, grad_x, i, ALL)
        if whole < end:
            _relu_grad_lanes(grad, y, grad_x, whole, first_lanes(end - whole))


@inlined
def _polynomial_lanes(grad, x, grad_x, i, lanes):
    fetch_ahead(grad_x, i)
    slope = all_lanes(np.float32(1)) - magnitude(load_lanes(x, i, lanes))
    slope = zero_unless(slope, negative(slope) ^ ALL)
    store_lanes(grad_x, i, (slope + slope) * load_lanes(grad, i, lanes), lanes)


@kernel
def _polynomial_grad(grad, x, grad_x, runs, n):
    for run in prange(runs):
        end = min((run + 1) * _RUN, n)
        whole = end // WIDTH * WIDTH
        for i in range(run * _RUN, whole, WIDTH):
            _polynomial_lanes(grad, x, grad_x, i, ALL)
        if whole < end:
            _polynomial_lanes(grad, x, grad_x, whole, first_lanes(end - whole))


@inlined
def _add_lanes(x, y, total, i, lanes):
    fetch_ahead(total, i)
    store_lanes(total, i, load_lanes(x, i, lanes) + load_lanes(y, i, lanes), lanes)


@kernel
def _add(x, y, total, runs, n):
    for run in prange(runs):
        end = min((run + 1) * _RUN, n)
        whole = end // WIDTH * WIDTH
        for i in range(run * _RUN, whole, WIDTH):
            _add_lanes(x, y, total, i, ALL)
        if whole < end:
            _add_lanes(x, y, total, whole, first_lanes(end - whole))
