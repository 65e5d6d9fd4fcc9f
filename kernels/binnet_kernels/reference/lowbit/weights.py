"""Weights of several bits in training, in plain NumPy."""

from __future__ import annotations

from ...checks import Float
from ..training import by_rule, per_filter, products
from .levels import filter_levels, levels_within


def level_weight_hat(weight: Float, alpha: Float, bits: int, hat: Float) -> None:
    """``hat`` (O, ...): W̃ = α q_k(W / r)."""
    hat[...] = filter_levels(weight, bits) * per_filter(alpha, weight)


def level_grad_alpha(grad_hat: Float, weight: Float, bits: int, grad: Float) -> None:
    """``grad`` (O,): Σⱼ gⱼ q_k(Wⱼ / r) of each filter."""
    grad[...] = products(grad_hat, filter_levels(weight, bits))


def level_weight_gradient(grad_hat: Float, weight: Float, alpha: Float, bits: int, factors: Float, grad: Float) -> None:
    """``grad`` (O, ...) = a α m g + b g + c s Σⱼ gⱼ q_k(Wⱼ / α)."""
    by_rule(grad_hat, weight, alpha, factors, products(grad_hat, levels_within(weight, alpha, bits)), grad)
