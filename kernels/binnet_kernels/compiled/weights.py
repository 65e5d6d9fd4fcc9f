"""Binary weights in training: α·sign(W), and the gradients of it (arXiv:1603.05279, section 3.1). α is in scale.py.

Weights of k bits have levels in the place of signs, see ``lowbit/levels.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import checks
from ..checks import Float
from ..lowbit.weight_ranges import RANGES
from ..simd.jit import helper, kernel
from ..simd.lanes import (
    WIDTH,
    all_lanes,
    first_lanes,
    load_lanes,
    negated_where,
    negative,
    store_lanes,
    widened,
    within_one,
    zero_unless,
)
from ..simd.vector import sum_lanes
from .lowbit.level_lanes import filter_stretch, inverse, sum_with_levels
from .lowbit.levels import ratio_of, scaled_levels


def weight_hat(weight: Any, alpha: Any, bits: int = 1) -> Float:
    """The weights a binary layer computes with, W̃ = α sign(W) (Eq. 1), for the backward pass; α q_k(W / r) of k bits.

    Parameters
    ----------
    weight : array (O, ...) of real numbers
    alpha : array (O,)
    bits : int
        k, from 1 to 8. The range r of the levels is that of :func:`weight_range`, whatever α is.

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
    if checks.levels(bits, "bits") > 1:
        scaled_levels(weight, alpha, bits, hat)
        return hat
    if len(weight):
        _weight_hat(weight.ravel(), alpha, hat.ravel(), len(weight), weight[0].size)
    return hat


def grad_alpha(grad_hat: Any, weight: Any, bits: int = 1) -> Float:
    """The gradient of the scales, ∂C/∂α = Σⱼ gⱼ sign(Wⱼ) for each filter; Σⱼ gⱼ qⱼ with levels of k bits.

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
        When an argument has the wrong type or shape.
    """
    weight = checks.filters(weight)
    grad_hat = checks.floats(grad_hat, "grad_hat", shape=weight.shape)
    grad, levels = np.empty(len(weight), np.float32), checks.levels(bits, "bits")
    if len(weight):
        sizes = len(weight), weight[0].size, levels, ratio_of(bits)
        _sums_with_levels(grad_hat.ravel(), weight.ravel(), grad, *sizes)
    return grad


def weight_gradient(
    grad_hat: Any,
    weight: Any,
    alpha: Any,
    rule: str = "exact",
    mean_alpha: bool = True,
    out: Any = None,
    bits: int = 1,
) -> Float:
    """The gradient ∂C/∂W of the real weights from g = ∂C/∂W̃, by one of three rules.

    With m = 1[|W| <= 1], s = sign(W) and n weights in a filter:

    ========= ========================== ==========================================================
    ``exact`` (s/n) Σⱼ gⱼ sⱼ + α m g     chain rule through α (Eq. 6), straight-through sign
    ``paper`` g (1/n + α m)              as printed in section 3.1
    ``plain`` g                          Algorithm 1 as printed
    ========= ========================== ==========================================================

    With k bits, α is c/n Σ|W| with the c of :func:`weight_range`: c/n takes the place of 1/n, and q_k(W / α) that of s
    within the sum. The sum is made filter by filter, so that the second look at a filter finds it in the cache.

    Parameters
    ----------
    grad_hat, weight : array (O, ...) of real numbers
        g, and the real weights.
    alpha : array (O,)
    rule : "exact", "paper" or "plain"
    mean_alpha : bool
        False when α is a constant or a parameter of its own: the terms with 1/n, which are α's, are left out.
    out : float32 (O, ...), C-contiguous, optional
        Where to write; it may be ``grad_hat`` itself.
    bits : int
        k, from 1 to 8.

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
    alpha = checks.floats(alpha, "alpha", shape=(len(weight),))
    grad, numbers = checks.output(out, weight.shape), rule_numbers(rule, mean_alpha, weight[:1].size, bits)
    if len(weight):
        _weight_gradient(grad_hat.ravel(), weight.ravel(), alpha, numbers, grad.ravel(), len(weight), weight[0].size)
    return grad


def rule_numbers(rule: str, mean_alpha: bool, n: int, bits: int) -> Float:
    """The factors of g m α, g and s Σⱼ gⱼ qⱼ in a rule, for filters of ``n`` weights, and L of their levels."""
    checks.rule(rule)
    levels = checks.levels(bits, "bits")
    through_alpha = RANGES[bits - 1] / n if mean_alpha else 0.0
    # exact: g m α + s Σ(g q)/n, the derivative of α(W) sign(W). paper: g (m α + 1/n), as printed, where the sum is left
    # out. plain: g. m is 1 where |w| <= 1.
    factors = {"exact": (1.0, 0.0, through_alpha), "paper": (1.0, through_alpha, 0.0), "plain": (0.0, 1.0, 0.0)}
    return np.array((*factors[rule], levels), np.float32)


# ---------------------------------------------------------------------------------------------- kernels


@helper
def signed_sum(grad, weight, start, n):
    """Σⱼ gⱼ sign(Wⱼ) over ``n`` weights from ``start`` on, in float64 and in an order that depends on n alone."""
    total = all_lanes(np.float64(0))
    for i in range(0, n, WIDTH):
        lanes = first_lanes(n - i)
        below = negative(load_lanes(weight, start + i, lanes))
        # float64, as filters are long and the terms cancel.
        total = total + widened(negated_where(load_lanes(grad, start + i, lanes), below))
    return np.float32(sum_lanes(total))


@helper
def _along(grad, weight, start, n, factor, levels):
    """Σⱼ gⱼ qⱼ of a filter, its weights times ``factor``; that of signs is cheaper."""
    if levels == 1:
        return signed_sum(grad, weight, start, n)
    return sum_with_levels(grad, weight, start, n, factor, levels)


@helper
def filter_rule(grad, weight, alpha, numbers, start, n):
    """The three numbers of a rule for one filter: the factors of g m and of g, and what is added to s."""
    shared = np.float32(0)
    # Only the exact rule needs the sum, which is a pass over the filter.
    if numbers[2]:
        shared = _along(grad, weight, start, n, inverse(alpha), int(numbers[3])) * numbers[2]
    return alpha * numbers[0], numbers[1], shared


@helper
def by_rule(g, w, rule):
    """``g m rule[0] + g rule[1] + s rule[2]`` of 32 weights."""
    within = zero_unless(g * all_lanes(rule[0]), within_one(w))
    return within + g * all_lanes(rule[1]) + negated_where(all_lanes(rule[2]), negative(w))


@kernel
def _weight_hat(weight, alpha, hat, filters, n):
    for o in prange(filters):
        for i in range(0, n, WIDTH):
            lanes = first_lanes(n - i)
            below = negative(load_lanes(weight, o * n + i, lanes))
            store_lanes(hat, o * n + i, negated_where(all_lanes(alpha[o]), below), lanes)


@kernel
def _sums_with_levels(grad, weight, sums, filters, n, levels, ratio):
    for o in prange(filters):
        sums[o] = _along(grad, weight, o * n, n, filter_stretch(weight, o * n, n, ratio), levels)


@kernel
def _weight_gradient(grad_hat, weight, alpha, numbers, grad, filters, n):
    for o in prange(filters):
        rule = filter_rule(grad_hat, weight, alpha[o], numbers, o * n, n)
        for i in range(0, n, WIDTH):
            lanes, place = first_lanes(n - i), o * n + i
            g = by_rule(load_lanes(grad_hat, place, lanes), load_lanes(weight, place, lanes), rule)
            store_lanes(grad, place, g, lanes)
