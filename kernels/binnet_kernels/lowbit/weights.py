"""Weights of several bits in training: alpha q_k(W), and the gradients of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import WEIGHTS, Late, front_door, in_numpy
from ..checks import Float
from ..weights import rule_factors
from .weight_ranges import RANGES

if TYPE_CHECKING:
    from ..compiled.lowbit import level_weights as compiled
    from ..reference.lowbit import weights as reference
else:
    reference = Late("binnet_kernels.reference.lowbit.weights")
    compiled = Late("binnet_kernels.compiled.lowbit.level_weights")


@front_door(WEIGHTS)
def level_weight_hat(weight: Any, alpha: Any, bits: int) -> Float:
    """:func:`weight_hat` with levels in the place of signs: W̃ = α q_k(W / r).

    Parameters
    ----------
    weight : array (O, ...) of real numbers
    alpha : array (O,)
    bits : int
        k, from 1 to 8. The range r of the levels is that of :func:`weight_range`, whatever α is.

    Returns
    -------
    float32 (O, ...)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or ``bits`` is out of range.
    """
    weight, hat = checks.filters(weight), np.empty(np.shape(weight), np.float32)
    alpha = checks.floats(alpha, "alpha", shape=(len(weight),))
    bits = checks.whole_bits(bits, "bits")
    (reference.level_weight_hat if in_numpy() else compiled.level_weight_hat)(weight, alpha, bits, hat)
    return hat


@front_door(WEIGHTS)
def level_grad_alpha(grad_hat: Any, weight: Any, bits: int) -> Float:
    """:func:`grad_alpha` with levels in the place of signs: Σⱼ gⱼ q_k(Wⱼ / r) for each filter.

    Parameters
    ----------
    grad_hat, weight : array (O, ...) of real numbers
        g = ∂C/∂W̃, and the real weights.
    bits : int
        k, from 1 to 8.

    Returns
    -------
    float32 (O,)
        Summed in float64.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or ``bits`` is out of range.
    """
    weight = checks.filters(weight)
    grad_hat, grad = checks.floats(grad_hat, "grad_hat", shape=weight.shape), np.empty(len(weight), np.float32)
    bits = checks.whole_bits(bits, "bits")
    (reference.level_grad_alpha if in_numpy() else compiled.level_grad_alpha)(grad_hat, weight, bits, grad)
    return grad


@front_door(WEIGHTS)
def level_weight_gradient(
    grad_hat: Any, weight: Any, alpha: Any, rule: str, mean_alpha: bool, bits: int, out: Any = None
) -> Float:
    """:func:`weight_gradient` with levels in the place of signs.

    α is c/n Σ|W| with the c of :func:`weight_range`: c/n takes the place of 1/n, and q_k(W / α) that of s within the
    sum.

    Parameters
    ----------
    grad_hat, weight, alpha, rule, mean_alpha, out
        As in :func:`weight_gradient`.
    bits : int
        k, from 1 to 8.

    Returns
    -------
    float32 (O, ...)

    Raises
    ------
    TypeError, ValueError
        As :func:`weight_gradient`, and when ``bits`` is out of range.
    """
    weight = checks.filters(weight)
    grad_hat = checks.floats(grad_hat, "grad_hat", shape=weight.shape)
    alpha = checks.floats(alpha, "alpha", shape=(len(weight),))
    bits = checks.whole_bits(bits, "bits")
    factors, grad = rule_factors(rule, mean_alpha, weight, RANGES[bits - 1]), checks.output(out, weight.shape)
    form = reference.level_weight_gradient if in_numpy() else compiled.level_weight_gradient
    form(grad_hat, weight, alpha, bits, factors, grad)
    return grad
