"""Binary weights in training: α·sign(W), and the gradients of it (arXiv:1603.05279, section 3.1). α is in scale.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from . import checks
from ._jit import kernel
from .checks import Float
from .simd import DOUBLE_LANES, add_signed, no_total, sum_lanes


def weight_hat(weight: Any, alpha: Any) -> Float:
    """The weights a binary layer computes with, W̃ = α sign(W) (Eq. 1), for the backward pass.

    Parameters
    ----------
    weight : array (O, ...) of real numbers
    alpha : array (O,)

    Returns
    -------
    float32 (O, ...)
        sign(0) = +1, NaN counts as +1.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    weight = checks.filters(weight)
    alpha = checks.floats(alpha, "alpha", shape=(len(weight),))
    hat: Float = np.empty_like(weight)
    if len(weight):
        _weight_hat(weight.ravel(), alpha, hat.ravel(), len(weight), weight[0].size)
    return hat


def grad_alpha(grad_hat: Any, weight: Any) -> Float:
    """The gradient of the scales, ∂C/∂α = Σⱼ gⱼ sign(Wⱼ) for each filter.

    Parameters
    ----------
    grad_hat, weight : array (O, ...) of real numbers
        g = ∂C/∂W̃, and the real weights.

    Returns
    -------
    float32 (O,)
        Summed in float64.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    weight = checks.filters(weight)
    grad_hat = checks.floats(grad_hat, "grad_hat", shape=weight.shape)
    grad = np.empty(len(weight), np.float32)
    if len(weight):
        _sums_with_signs(grad_hat.ravel(), weight.ravel(), grad, len(weight), weight[0].size)
    return grad


def straight_through(grad_hat: Any, weight: Any, alpha: Any, through_alpha: Any, factor: float = 0.0) -> Float:
    """``α m g + factor · g + through_alpha · s`` with m = 1[|W| <= 1], s = sign(W), in one pass over the weights.

    All three gradients of α·sign(W) have this form: ``exact`` with through_alpha = grad_alpha / n, ``paper`` with
    factor = 1/n, and a constant α with neither.

    Parameters
    ----------
    grad_hat, weight : array (O, ...) of real numbers
        g = ∂C/∂W̃, and the real weights.
    alpha, through_alpha : array (O,)
    factor : float

    Returns
    -------
    float32 (O, ...)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    weight = checks.filters(weight)
    grad_hat = checks.floats(grad_hat, "grad_hat", shape=weight.shape)
    alpha = checks.floats(alpha, "alpha", shape=(len(weight),))
    through_alpha = checks.floats(through_alpha, "through_alpha", shape=(len(weight),))
    grad: Float = np.empty_like(weight)
    if len(weight):
        rows = (grad_hat.ravel(), weight.ravel(), alpha, through_alpha, np.float32(factor), grad.ravel())
        _straight_through(*rows, len(weight), weight[0].size)
    return grad


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _weight_hat(weight, alpha, hat, filters, n):
    for o in prange(filters):
        for i in range(o * n, (o + 1) * n):
            hat[i] = -alpha[o] if weight[i] < 0 else alpha[o]


@kernel
def _sums_with_signs(grad, weight, sums, filters, n):
    for o in prange(filters):
        total = no_total()
        for i in range(0, n, DOUBLE_LANES):
            total = add_signed(total, grad, weight, o * n + i, n - i)
        sums[o] = np.float32(sum_lanes(total))


@kernel
def _straight_through(grad_hat, weight, alpha, through_alpha, factor, grad, filters, n):
    for o in prange(filters):
        for i in range(o * n, (o + 1) * n):
            g, w = grad_hat[i], weight[i]
            within = g * alpha[o] if abs(w) <= np.float32(1) else np.float32(0)
            shared = -through_alpha[o] if w < 0 else through_alpha[o]
            grad[i] = within + g * factor + shared
