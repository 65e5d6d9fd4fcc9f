"""Batch normalisation in plain NumPy. All functions take checked arrays and write the last ones."""

from __future__ import annotations

import numpy as np

from ..checks import Float, Halves
from . import xnor
from .elementwise import relu


def batch_statistics(x: Float, mean: Float, var: Float) -> None:
    """``mean`` and biased variance ``var`` (C,) of ``x`` (..., C)."""
    axes = tuple(range(x.ndim - 1))
    mean[...] = x.mean(axis=axes, dtype=np.float64)
    var[...] = np.square(x - mean).mean(axis=axes, dtype=np.float64)


def normalise(x: Float, mean: Float, factor: Float, shift: Float, y: Float) -> None:
    """``y = (x - mean) factor + shift``, with a rounding each, as in the compiled form."""
    y[...] = (x - mean) * factor + shift


def norm_relu(x: Float, mean: Float, factor: Float, shift: Float, y: Float, passed: Halves) -> None:
    """The same and a ReLU; ``passed`` are the bits of y > 0."""
    normalise(x, mean, factor, shift, y)
    relu(y, y)
    passed[...] = xnor.half_words(y > 0)


def norm_signs(
    x: Float,
    mean: Float,
    factor: Float,
    shift: Float,
    padding: tuple[int, int],
    pad_value: int,
    bits: Halves,
    within: Halves,
) -> None:
    """The same and its signs, as :func:`xnor.signs` writes them."""
    y = np.empty_like(x)
    normalise(x, mean, factor, shift, y)
    xnor.signs(y, padding, pad_value, bits, within)


def batch_norm_grad(
    grad: Float, x: Float, gamma: Float, mean: Float, inverse: Float, grad_x: Float, grad_gamma: Float, grad_beta: Float
) -> None:
    """The three gradients; ``inverse`` is 1 / sqrt(var + eps)."""
    rows, axes = np.float32(x.size // x.shape[-1]), tuple(range(x.ndim - 1))
    x_hat = (x - mean) * inverse
    grad_beta[...] = grad.sum(axis=axes, dtype=np.float64)
    grad_gamma[...] = (grad * x_hat).sum(axis=axes, dtype=np.float64)
    grad_x[...] = (gamma * inverse) * (grad - grad_beta / rows - x_hat * (grad_gamma / rows))


def norm_signs_grad(
    grad: Float,
    within: Halves,
    x: Float,
    gamma: Float,
    mean: Float,
    inverse: Float,
    grad_x: Float,
    grad_gamma: Float,
    grad_beta: Float,
) -> None:
    """The same of a gradient that passes where the bits of ``within`` are 1."""
    passed = np.unpackbits(within.view(np.uint8), axis=-1, bitorder="little")[..., : x.shape[-1]]
    passing = np.where(passed == 1, grad, np.float32(0))
    batch_norm_grad(passing, x, gamma, mean, inverse, grad_x, grad_gamma, grad_beta)
