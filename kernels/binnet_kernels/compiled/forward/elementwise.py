"""ReLU, its gradient, and sums of maps, compiled: one pass each. The last array is written, and may be another one."""

from __future__ import annotations

from numba import prange

from ...checks import Float
from ...simd.jit import Kernel, kernel
from ...simd.lanes import ALL, WIDTH, first_lanes, load_lanes, negative, positive, store_lanes, zero_unless

_RUN = 1 << 13  # values that go to one thread at a time
_WORTH_SHARING = 1 << 16  # values, some 10 µs of work: twice as long as it takes to wake the other threads


def relu(x: Float, y: Float) -> None:
    """``y = max(x, 0)``; NaN stays NaN."""
    _run(_relu, x, y)


def relu_grad(grad: Float, y: Float, grad_x: Float) -> None:
    """``grad_x = grad`` where ``y > 0``, else 0."""
    _run(_relu_grad, grad, y, grad_x)


def add(x: Float, y: Float, total: Float) -> None:
    """``total = x + y``."""
    _run(_add, x, y, total)


def _run(work: Kernel, *arrays: Float) -> None:
    n = arrays[0].size
    if n:
        (work if n > _WORTH_SHARING else work.serial)(*(a.ravel() for a in arrays), -(-n // _RUN), n)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _relu(x, y, runs, n):
    for run in prange(runs):
        for i in range(run * _RUN, min((run + 1) * _RUN, n), WIDTH):
            lanes = first_lanes(n - i)
            value = load_lanes(x, i, lanes)
            # What is negative becomes 0, not: what is positive stays. So NaN stays NaN.
            store_lanes(y, i, zero_unless(value, negative(value) ^ ALL), lanes)


@kernel
def _relu_grad(grad, y, grad_x, runs, n):
    for run in prange(runs):
        for i in range(run * _RUN, min((run + 1) * _RUN, n), WIDTH):
            lanes = first_lanes(n - i)
            passed = positive(load_lanes(y, i, lanes))
            store_lanes(grad_x, i, zero_unless(load_lanes(grad, i, lanes), passed), lanes)


@kernel
def _add(x, y, total, runs, n):
    for run in prange(runs):
        for i in range(run * _RUN, min((run + 1) * _RUN, n), WIDTH):
            lanes = first_lanes(n - i)
            store_lanes(total, i, load_lanes(x, i, lanes) + load_lanes(y, i, lanes), lanes)
