"""Gradients of a convolution of signs with signs, in float32: the signs are read as the bits they are kept in."""

from __future__ import annotations

from ...checks import Float, Halves, Window, Words
from .grad_input import grad_input_signs
from .grad_weight import grad_weight_signs


def sign_grad_weight(
    bits: Halves,
    grad: Float,
    x_shape: tuple[int, ...],
    window: Window,
    pad_value: int,
    cuts: tuple[int, ...],
    out: Float,
) -> None:
    """``out`` (O, KH, KW, C): the gradient of the weights."""
    grad_weight_signs(bits[None], grad, x_shape, window, pad_value, cuts, out)  # signs are levels of a single plane


def sign_grad_input(grad: Float, weight_signs: Words, alpha: Float, window: Window, out: Float) -> None:
    """``out`` (N, H, W, C): the gradient of the input, through W̃ = α sign(W)."""
    grad_input_signs(grad, weight_signs, alpha, window, out)
