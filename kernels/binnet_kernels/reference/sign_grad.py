"""Gradients of a convolution of signs with signs, in plain NumPy."""

from __future__ import annotations

import numpy as np

from ..checks import Float, Halves, Window, Words
from .conv import correlate, transposed
from .xnor import signs_of_map, unpack_signs


def sign_grad_weight(
    bits: Halves, grad: Float, x_shape: tuple[int, ...], window: Window, pad_value: int, out: Float
) -> None:
    """``out`` (O, KH, KW, C): the gradient of the weights, sums over pixels of gradient times sign."""
    correlate(signs_of_map(bits, x_shape, window, pad_value), grad, window, out)


def sign_grad_input(grad: Float, weight_signs: Words, alpha: Float, window: Window, out: Float) -> None:
    """``out`` (N, H, W, C): the gradient of the input, through W̃ = α sign(W)."""
    weight_hat = np.empty((*weight_signs.shape[:3], out.shape[3]), np.float32)
    unpack_signs(weight_signs, weight_hat)
    weight_hat *= alpha[:, None, None, None]
    transposed(grad, weight_hat, window, out)
