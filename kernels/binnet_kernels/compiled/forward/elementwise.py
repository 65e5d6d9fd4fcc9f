"""ReLU, its gradient, and sums of maps: one pass each, in place if ``out`` says so."""

from __future__ import annotations

from typing import Any

from numba import prange

from ... import checks
from ...checks import Float
from ...simd.jit import Kernel, kernel
from ...simd.lanes import ALL, WIDTH, first_lanes, load_lanes, negative, positive, store_lanes, zero_unless

_RUN = 1 << 13  # values that go to one thread at a time
_WORTH_SHARING = 1 << 16  # values, some 10 µs of work: twice as long as it takes to wake the other threads


def relu(x: Any, out: Any = None) -> Float:
    """``max(x, 0)``.

    Parameters
    ----------
    x : array of real numbers, any shape
    out : float32, C-contiguous, optional
        Where to write; it may be ``x`` itself.

    Returns
    -------
    float32, the shape of ``x``
        NaN stays NaN.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x = checks.floats(x, "x")
    return _run(_relu, checks.output(out, x.shape), x)


def relu_grad(grad: Any, y: Any, out: Any = None) -> Float:
    """Gradient of :func:`relu`: ``grad`` where ``y > 0``, else 0.

    Parameters
    ----------
    grad, y : arrays of real numbers of one shape
        Gradient of the result, and the result.
    out : float32, C-contiguous, optional
        Where to write; it may be ``grad`` itself.

    Returns
    -------
    float32, the shape of ``y``

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    y = checks.floats(y, "y")
    return _run(_relu_grad, checks.output(out, y.shape), checks.floats(grad, "grad", shape=y.shape), y)


def add(x: Any, y: Any, out: Any = None) -> Float:
    """``x + y``, without broadcasting.

    Parameters
    ----------
    x, y : arrays of real numbers of one shape
    out : float32, C-contiguous, optional
        Where to write; it may be ``x`` or ``y``.

    Returns
    -------
    float32, the shape of ``x``

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x = checks.floats(x, "x")
    return _run(_add, checks.output(out, x.shape), x, checks.floats(y, "y", shape=x.shape))


def _run(work: Kernel, out: Float, *arrays: Float) -> Float:
    if out.size:
        flat = (a.ravel() for a in (*arrays, out))
        (work if out.size > _WORTH_SHARING else work.alone)(*flat, -(-out.size // _RUN), out.size)
    return out


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
