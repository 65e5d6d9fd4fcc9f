"""The rules of optimisers, each in one pass over weights, gradients and moments (Algorithm 1, its last step)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .backend import WEIGHTS, Late, front_door, in_numpy
from .checks import Float

if TYPE_CHECKING:
    from .compiled import update as compiled
    from .reference import training as reference
else:
    reference = Late("binnet_kernels.reference.training")
    compiled = Late("binnet_kernels.compiled.update")


@front_door(WEIGHTS)
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
    for array, name in ((weight, "weight"), (mean, "mean"), (square, "square")):
        checks.in_place(array, name, grad.shape)
    corrections = lr / (1 - betas[0] ** step), 1 / (1 - betas[1] ** step)
    rule = np.array((betas[0], 1 - betas[0], betas[1], 1 - betas[1], *corrections, eps, decay, clip), np.float32)
    (reference.adam_update if in_numpy() else compiled.adam_update)(grad, rule, weight, mean, square)


@front_door(WEIGHTS)
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
    for array, name in ((weight, "weight"), (velocity, "velocity")):
        checks.in_place(array, name, grad.shape)
    rule = np.array((lr, momentum, bool(nesterov), decay, clip), np.float32)
    (reference.sgd_update if in_numpy() else compiled.sgd_update)(grad, rule, weight, velocity)
