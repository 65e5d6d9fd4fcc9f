"""Binary weights in training: alpha sign(W), and the gradients of it (arXiv:1603.05279, section 3.1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .backend import WEIGHTS, Late, front_door, in_numpy
from .checks import Float

if TYPE_CHECKING:
    from .compiled import weights as compiled
    from .reference import training as reference
else:
    reference = Late("binnet_kernels.reference.training")
    compiled = Late("binnet_kernels.compiled.weights")

WEIGHT_GRADIENTS = ("exact", "paper", "plain")


@front_door(WEIGHTS)
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
    alpha, hat = checks.floats(alpha, "alpha", shape=(len(weight),)), np.empty(weight.shape, np.float32)
    (reference.weight_hat if in_numpy() else compiled.weight_hat)(weight, alpha, hat)
    return hat


@front_door(WEIGHTS)
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
    grad_hat, grad = checks.floats(grad_hat, "grad_hat", shape=weight.shape), np.empty(len(weight), np.float32)
    (reference.grad_alpha if in_numpy() else compiled.grad_alpha)(grad_hat, weight, grad)
    return grad


@front_door(WEIGHTS)
def weight_gradient(
    grad_hat: Any, weight: Any, alpha: Any, rule: str = "exact", mean_alpha: bool = True, out: Any = None
) -> Float:
    """The gradient ∂C/∂W of the real weights from g = ∂C/∂W̃, by one of three rules.

    With m = 1[|W| <= 1], s = sign(W) and n weights in a filter:

    ========= ========================== ==========================================================
    ``exact`` (s/n) Σⱼ gⱼ sⱼ + α m g     chain rule through α (Eq. 6), straight-through sign
    ``paper`` g (1/n + α m)              as printed in section 3.1
    ``plain`` g                          Algorithm 1 as printed
    ========= ========================== ==========================================================

    Parameters
    ----------
    grad_hat, weight : array (O, ...) of real numbers
        g, and the real weights.
    alpha : array (O,)
    rule : "exact", "paper" or "plain"
    mean_alpha : bool
        False when α does not depend on W: then the 1/n terms, which come from ∂α/∂W, are left out.
    out : float32 (O, ...), C-contiguous, optional
        Where to write; it may be ``grad_hat`` itself.

    Returns
    -------
    float32 (O, ...)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or there is no such rule.
    """
    weight = checks.filters(weight)
    grad_hat = checks.floats(grad_hat, "grad_hat", shape=weight.shape)
    alpha, factors = checks.floats(alpha, "alpha", shape=(len(weight),)), rule_factors(rule, mean_alpha, weight)
    grad = checks.output(out, weight.shape)
    (reference.weight_gradient if in_numpy() else compiled.weight_gradient)(grad_hat, weight, alpha, factors, grad)
    return grad


def rule_factors(rule: str, mean_alpha: bool, weight: Float, alpha_of_mean: float = 1.0) -> Float:
    """The factors a, b, c of a rule in the form ``a α m g + b g + c s Σⱼ gⱼ sⱼ``: float32 (3,).

    ``alpha_of_mean`` is what the mean of |W| is multiplied with to give α.
    """
    if rule not in WEIGHT_GRADIENTS:
        raise ValueError(f"unknown weight_gradient {rule!r}; there are: {', '.join(WEIGHT_GRADIENTS)}")
    # Use the shape, because weights without filters (0, ...) have no `weight[0]`.
    share = alpha_of_mean / math.prod(weight.shape[1:]) if mean_alpha else 0.0
    # exact: the derivative of α(W) sign(W). paper: as printed, g_i/n instead of (s_i/n) Σ g_j s_j.
    factors = {"exact": (1.0, 0.0, share), "paper": (1.0, share, 0.0), "plain": (0.0, 1.0, 0.0)}
    return np.array(factors[rule], np.float32)
