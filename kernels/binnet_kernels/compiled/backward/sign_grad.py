"""Gradients of a convolution of signs with signs, in float32: the signs are read as the bits they are kept in."""

from __future__ import annotations

from ...checks import Float, Halves, Window
from .grad_input import grad_input_signs as sign_grad_input
from .grad_weight import grad_weight_signs

__all__ = ["sign_grad_input", "sign_grad_weight"]


def sign_grad_weight(
    bits: Halves, grad: Float, x_shape: tuple[int, ...], window: Window, pad_value: int, out: Float
) -> None:
    """``out`` (O, KH, KW, C): the gradient of the weights. Signs are the only plane of one bit."""
    grad_weight_signs(bits[None], grad, x_shape, window, pad_value, out)
