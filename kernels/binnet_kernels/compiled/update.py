"""The rules of optimisers, each in one pass over weights, gradients and moments (Algorithm 1, its last step)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import checks
from ..checks import Float
from ..simd.jit import Kernel, helper, kernel
from ..simd.lanes import WIDTH, all_lanes, clamped, first_lanes, load_lanes, square_root, store_lanes

_RUN = 1 << 14  # weights that go to one thread at a time
_WORTH_SHARING = 1 << 16  # weights, some 30 µs of work


def adam_update(
    weight: Float,
    grad: Any,
    mean: Float,
    square: Float,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decay: float = 0.0,
    clip: float = np.inf,
) -> None:
    """One step of Adam (arXiv:1412.6980) with bias correction, in place: ``w ← w − lr m̂ / (√v̂ + ε)``.

    Parameters
    ----------
    weight, mean, square : float32 (...), C-contiguous and writeable
        The real weights, and the moments m and v, all changed in place.
    grad : array of the same shape, real numbers
    step : int
        Number of this step, from 1 on.
    lr : float
    betas : pair of floats
        Of the two moments, in [0, 1).
    eps : float
    decay : float
        ``decay · w`` is added to the gradient.
    clip : float
        The new weights are clamped to ±clip.

    Raises
    ------
    TypeError, ValueError
        When an array has the wrong type or shape, or ``step`` is below 1.
    """
    _update(_adam, weight, grad, _adam_numbers(step, lr, betas, eps, decay, clip), mean=mean, square=square)


def sgd_update(
    weight: Float,
    grad: Any,
    velocity: Float,
    lr: float,
    momentum: float = 0.9,
    nesterov: bool = False,
    decay: float = 0.0,
    clip: float = np.inf,
) -> None:
    """One step of gradient descent, in place: ``v ← μ v + g``, ``w ← w − lr v``; Nesterov's along ``g + μ v``.

    Parameters
    ----------
    weight, velocity : float32 (...), C-contiguous and writeable
        Both changed in place.
    grad : array of the same shape, real numbers
    lr, momentum : float
    nesterov : bool
    decay, clip : float
        As in :func:`adam_update`.

    Raises
    ------
    TypeError, ValueError
        When an array has the wrong type or shape.
    """
    _update(_sgd, weight, grad, _sgd_numbers(lr, momentum, nesterov, decay, clip), velocity=velocity)


def _adam_numbers(step: int, lr: float, betas: tuple[float, float], eps: float, decay: float, clip: float) -> Float:
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step!r}")
    corrections = lr / (1 - betas[0] ** step), 1 / (1 - betas[1] ** step)
    return np.array((betas[0], 1 - betas[0], betas[1], 1 - betas[1], *corrections, eps, decay, clip), np.float32)


def _sgd_numbers(lr: float, momentum: float, nesterov: bool, decay: float, clip: float) -> Float:
    return np.array((lr, momentum, bool(nesterov), decay, clip), np.float32)


def _update(work: Kernel, weight: Float, grad: Any, numbers: Float, **moments: Float) -> None:
    grad = checks.floats(grad, "grad", shape=np.shape(weight))
    arrays = [checks.in_place(a, name, grad.shape) for name, a in (("weight", weight), *moments.items())]
    flat = [a.ravel() for a in (arrays[0], grad, *arrays[1:])]
    (work if grad.size > _WORTH_SHARING else work.alone)(*flat, numbers, -(-grad.size // _RUN), grad.size)


# ---------------------------------------------------------------------------------------------- kernels


@helper
def _adam_weights(weight, grad, mean, square, numbers, start, end):
    """Adam over the weights ``start`` to ``end``."""
    b1, rest1, b2, rest2 = numbers[0], numbers[1], numbers[2], numbers[3]
    rate, unbias, eps = all_lanes(numbers[4]), all_lanes(numbers[5]), all_lanes(numbers[6])
    decay, clip = all_lanes(numbers[7]), all_lanes(numbers[8])
    for i in range(start, end, WIDTH):
        lanes = first_lanes(end - i)
        w = load_lanes(weight, i, lanes)
        g = load_lanes(grad, i, lanes) + w * decay
        m = load_lanes(mean, i, lanes) * all_lanes(b1) + g * all_lanes(rest1)
        v = load_lanes(square, i, lanes) * all_lanes(b2) + g * g * all_lanes(rest2)
        store_lanes(mean, i, m, lanes)
        store_lanes(square, i, v, lanes)
        store_lanes(weight, i, clamped(w - m / (square_root(v * unbias) + eps) * rate, clip), lanes)


@helper
def _sgd_weights(weight, grad, velocity, numbers, start, end):
    """Descent over the weights ``start`` to ``end``, as :func:`_adam_weights`."""
    lr, momentum, nesterov = all_lanes(numbers[0]), all_lanes(numbers[1]), numbers[2] != 0
    decay, clip = all_lanes(numbers[3]), all_lanes(numbers[4])
    for i in range(start, end, WIDTH):
        lanes = first_lanes(end - i)
        w = load_lanes(weight, i, lanes)
        g = load_lanes(grad, i, lanes) + w * decay
        v = load_lanes(velocity, i, lanes) * momentum + g
        store_lanes(velocity, i, v, lanes)
        along = v
        if nesterov:
            along = v * momentum + g
        store_lanes(weight, i, clamped(w - along * lr, clip), lanes)


@kernel
def _adam(weight, grad, mean, square, numbers, runs, n):
    for run in prange(runs):
        _adam_weights(weight, grad, mean, square, numbers, run * _RUN, min((run + 1) * _RUN, n))


@kernel
def _sgd(weight, grad, velocity, numbers, runs, n):
    for run in prange(runs):
        _sgd_weights(weight, grad, velocity, numbers, run * _RUN, min((run + 1) * _RUN, n))
