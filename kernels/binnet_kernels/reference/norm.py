"""Batch normalisation in plain NumPy. All functions take checked arrays and write the last ones."""

from __future__ import annotations

import numpy as np

from ..checks import Affine, Float, Halves
from . import xnor
from .elementwise import relu

Grads = tuple[Float, Float, Float]


def batch_statistics(x: Float, mean: Float, var: Float) -> None:
    """``mean`` and biased variance ``var`` (C,) of ``x`` (..., C)."""
    axes = tuple(range(x.ndim - 1))
    mean[...] = x.mean(axis=axes, dtype=np.float64)
    var[...] = np.square(x - mean).mean(axis=axes, dtype=np.float64)


def normalise(x: Float, affine: Affine, y: Float) -> None:
    """``y = (x - mean) factor + shift``, with a rounding each, as in the compiled form."""
    mean, factor, shift = affine
    y[...] = (x - mean) * factor + shift


def norm_relu(x: Float, affine: Affine, y: Float, passed: Halves) -> None:
    """The same and a ReLU; ``passed`` are the bits of y > 0."""
    normalise(x, affine, y)
    relu(y, y)
    passed[...] = xnor.half_words(y > 0)


def norm_signs(
    x: Float, affine: Affine, padding: tuple[int, int], pad_value: int, bits: Halves, within: Halves
) -> None:
    """The same and its signs, as :func:`xnor.signs` writes them."""
    y = np.empty_like(x)
    normalise(x, affine, y)
    xnor.signs(y, padding, pad_value, bits, within)


def batch_norm_grad(
    grad: Float, within: Halves | None, x: Float, gamma: Float, mean: Float, inverse: Float, grads: Grads
) -> None:
    """Gradients of x, gamma and beta; ``inverse`` is 1 / sqrt(var + eps). ``grad`` passes where ``within`` is 1."""
    if within is not None:
        passed = np.unpackbits(within.view(np.uint8), axis=-1, bitorder="little")[..., : x.shape[-1]]
        grad = np.where(passed == 1, grad, np.float32(0))
    grad_x, grad_gamma, grad_beta = grads
    rows, axes = np.float32(x.size // x.shape[-1]), tuple(range(x.ndim - 1))
    x_hat = (x - mean) * inverse
    grad_beta[...] = grad.sum(axis=axes, dtype=np.float64)
    grad_gamma[...] = (grad * x_hat).sum(axis=axes, dtype=np.float64)
    grad_x[...] = (gamma * inverse) * (grad - grad_beta / rows - x_hat * (grad_gamma / rows))
