"""Weights of several bits in training, in plain NumPy."""

from __future__ import annotations

from ...checks import Float
from ..kbit import levels_within, quantise_weight
from ..training import by_rule, per_filter, products


def level_weight_hat(weight: Float, alpha: Float, bits: int, hat: Float) -> None:
    """``hat`` (O, ...): W̃ = α q_k(W / r)."""
    hat[...] = quantise_weight(weight, bits) * per_filter(alpha, weight)


def level_grad_alpha(grad_hat: Float, weight: Float, bits: int, grad: Float) -> None:
    """``grad`` (O,): Σⱼ gⱼ q_k(Wⱼ / r) of each filter."""
    grad[...] = products(grad_hat, quantise_weight(weight, bits))


def level_weight_gradient(grad_hat: Float, weight: Float, alpha: Float, bits: int, factors: Float, grad: Float) -> None:
    """``grad`` (O, ...) = a α m g + b g + c s Σⱼ gⱼ q_k(Wⱼ / α)."""
    by_rule(grad_hat, weight, alpha, factors, products(grad_hat, levels_within(weight, alpha, bits)), grad)
