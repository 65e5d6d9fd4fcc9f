"""Binary weights in training: α·sign(W), and the gradients of it (arXiv:1603.05279, section 3.1). α is in scale.py."""

from __future__ import annotations

import numpy as np
from numba import prange

from ..checks import Float
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


def weight_hat(weight: Float, alpha: Float, hat: Float) -> None:
    """``hat`` (O, ...) = α sign(W)."""
    if len(weight):
        _weight_hat(weight.ravel(), alpha, hat.ravel(), len(weight), weight[0].size)


def grad_alpha(grad_hat: Float, weight: Float, grad: Float) -> None:
    """``grad`` (O,) = Σⱼ gⱼ sign(Wⱼ)."""
    if len(weight):
        _signed_sums(grad_hat.ravel(), weight.ravel(), grad, len(weight), weight[0].size)


def weight_gradient(grad_hat: Float, weight: Float, alpha: Float, factors: Float, grad: Float) -> None:
    """``grad`` (O, ...): the gradient by a rule, see ``rule_factors``."""
    if len(weight):
        _weight_gradient(grad_hat.ravel(), weight.ravel(), alpha, factors, grad.ravel(), len(weight), weight[0].size)


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
def by_rule(g, w, rule):
    """``g m rule[0] + g rule[1] + s rule[2]`` of 32 weights: what a rule is for one filter."""
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
def _signed_sums(grad, weight, sums, filters, n):
    for o in prange(filters):
        sums[o] = signed_sum(grad, weight, o * n, n)


@kernel
def _weight_gradient(grad_hat, weight, alpha, factors, grad, filters, n):
    for o in prange(filters):
        # Only the exact rule needs the sum, which is a pass over the filter; the next one finds it in the cache.
        total = signed_sum(grad_hat, weight, o * n, n) if factors[2] else np.float32(0)
        rule = alpha[o] * factors[0], factors[1], total * factors[2]
        for i in range(0, n, WIDTH):
            lanes, place = first_lanes(n - i), o * n + i
            g = by_rule(load_lanes(grad_hat, place, lanes), load_lanes(weight, place, lanes), rule)
            store_lanes(grad, place, g, lanes)
