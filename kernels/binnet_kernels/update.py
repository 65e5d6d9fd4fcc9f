"""The rules of optimisers, each in one pass over weights, gradients and moments (Algorithm 1, its last step)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from . import checks
from ._jit import kernel
from .checks import Float

_RUN = 1 << 14  # weights that go to one thread at a time


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
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step!r}")
    grad = checks.floats(grad, "grad", shape=np.shape(weight))
    arrays = [checks.in_place(a, n, grad.shape) for a, n in ((weight, "weight"), (mean, "mean"), (square, "square"))]
    corrections = lr / (1 - betas[0] ** step), 1 / (1 - betas[1] ** step)
    numbers = (betas[0], 1 - betas[0], betas[1], 1 - betas[1], *corrections, eps, decay, clip)
    flat = [a.ravel() for a in (arrays[0], grad, *arrays[1:])]
    _adam(*flat, *map(np.float32, numbers), -(-grad.size // _RUN), grad.size)


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
    grad = checks.floats(grad, "grad", shape=np.shape(weight))
    arrays = [checks.in_place(a, n, grad.shape) for a, n in ((weight, "weight"), (velocity, "velocity"))]
    numbers = map(np.float32, (lr, momentum, decay, clip))
    flat = (arrays[0].ravel(), grad.ravel(), arrays[1].ravel())
    _sgd(*flat, *numbers, bool(nesterov), -(-grad.size // _RUN), grad.size)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _adam(weight, grad, mean, square, b1, rest1, b2, rest2, rate, unbias, eps, decay, clip, runs, n):
    for run in prange(runs):
        for i in range(run * _RUN, min((run + 1) * _RUN, n)):
            w = weight[i]
            g = grad[i] + w * decay
            m = mean[i] * b1 + g * rest1
            v = square[i] * b2 + g * g * rest2
            mean[i], square[i] = m, v
            w -= m / (np.sqrt(v * unbias) + eps) * rate
            w = -clip if w < -clip else w
            weight[i] = clip if w > clip else w


@kernel
def _sgd(weight, grad, velocity, lr, momentum, decay, clip, nesterov, runs, n):
    for run in prange(runs):
        for i in range(run * _RUN, min((run + 1) * _RUN, n)):
            w = weight[i]
            g = grad[i] + w * decay
            v = velocity[i] * momentum + g
            velocity[i] = v
            w -= (v * momentum + g if nesterov else v) * lr
            w = -clip if w < -clip else w
            weight[i] = clip if w > clip else w
