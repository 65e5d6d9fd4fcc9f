"""Weights of several bits in training: what ``weights.py`` does for signs."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Float
from ...simd.jit import kernel
from ...simd.lanes import WIDTH, first_lanes, load_lanes, store_lanes
from ..weights import by_rule
from .level_lanes import filter_stretch, inverse, sum_with_levels
from .levels import ratio_of, scaled_levels


def level_weight_hat(weight: Float, alpha: Float, bits: int, hat: Float) -> None:
    """``hat`` (O, ...): α q_k(W / r)."""
    scaled_levels(weight, alpha, bits, hat)


def level_grad_alpha(grad_hat: Float, weight: Float, bits: int, grad: Float) -> None:
    """``grad`` (O,): Σⱼ gⱼ q_k(Wⱼ / r)."""
    if len(weight):
        sizes = len(weight), weight[0].size, (1 << bits) - 1, ratio_of(bits)
        _sums_with_levels(grad_hat.ravel(), weight.ravel(), grad, *sizes)


def level_weight_gradient(grad_hat: Float, weight: Float, alpha: Float, bits: int, factors: Float, grad: Float) -> None:
    """``grad`` (O, ...): the gradient by a rule, see ``rule_factors``."""
    if len(weight):
        sizes = len(weight), weight[0].size, (1 << bits) - 1
        _weight_gradient(grad_hat.ravel(), weight.ravel(), alpha, factors, grad.ravel(), *sizes)


@kernel
def _sums_with_levels(grad, weight, sums, filters, n, levels, ratio):
    for o in prange(filters):
        factor = filter_stretch(weight, o * n, n, ratio)
        sums[o] = sum_with_levels(grad, weight, o * n, n, factor, levels)


@kernel
def _weight_gradient(grad_hat, weight, alpha, factors, grad, filters, n, levels):
    for o in prange(filters):
        total = np.float32(0)
        if factors[2]:
            # Of one bit only the sign counts: a product may vanish, and its sign with it.
            factor = np.float32(1) if levels == 1 else inverse(alpha[o])
            total = sum_with_levels(grad_hat, weight, o * n, n, factor, levels)
        rule = alpha[o] * factors[0], factors[1], total * factors[2]
        for i in range(0, n, WIDTH):
            lanes, place = first_lanes(n - i), o * n + i
            g = by_rule(load_lanes(grad_hat, place, lanes), load_lanes(weight, place, lanes), rule)
            store_lanes(grad, place, g, lanes)
