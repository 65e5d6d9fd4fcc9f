"""Batch normalisation over the last axis, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from . import checks
from ._jit import kernel
from .checks import Float

_PARTS = 32  # rows are summed in at most this many parts, then the parts in order: the same bits for any thread count


def batch_norm(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> tuple[Float, Float, Float]:
    """Normalise each channel by the mean and variance of this batch.

    Parameters
    ----------
    x : array (..., C) of real numbers, at least one row
    gamma, beta : array (C,)
        Scale and shift after normalisation.
    eps : float
        Added to the variance.

    Returns
    -------
    y : float32 (..., C)
        ``(x - mean) * (gamma / sqrt(var + eps)) + beta``
    mean, var : float32 (C,)
        Of this batch; the variance is the biased one.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or ``x`` is empty.
    """
    x, gamma, beta = checks.channels(x, gamma=gamma, beta=beta)
    rows, c = checks.rows(x)
    mean = (_totals(_sum_parts, c, rows, x.ravel()) / rows).astype(np.float32)
    var = (_totals(_square_parts, c, rows, x.ravel(), mean) / rows).astype(np.float32)
    return batch_norm_inference(x, gamma, beta, mean, var, eps), mean, var


def batch_norm_inference(x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 1e-5) -> Float:
    """Normalise each channel by a given mean and variance: float32 (..., C), see :func:`batch_norm`."""
    x, gamma, beta, mean, var = checks.channels(x, gamma=gamma, beta=beta, mean=mean, var=var)
    y: Float = np.empty_like(x)
    if x.size:
        factor = gamma / np.sqrt(var + np.float32(eps))
        _normalise(x.ravel(), mean, factor, beta, y.ravel(), x.size // x.shape[-1], x.shape[-1])
    return y


def batch_norm_grad(
    grad: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float = 1e-5
) -> tuple[Float, Float, Float]:
    """Gradients of :func:`batch_norm`, through the batch's mean and variance too.

    Parameters
    ----------
    grad, x : array (..., C) of real numbers
        Gradient of the output, and the input.
    gamma, mean, var : array (C,)
        As given to and returned by :func:`batch_norm`.
    eps : float
        As given there.

    Returns
    -------
    grad_x : float32 (..., C)
    grad_gamma, grad_beta : float32 (C,)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or ``x`` is empty.
    """
    x, gamma, mean, var = checks.channels(x, gamma=gamma, mean=mean, var=var)
    grad = checks.floats(grad, "grad", shape=x.shape)
    rows, c = checks.rows(x)
    inverse = 1 / np.sqrt(var + np.float32(eps))
    grad_beta = _totals(_sum_parts, c, rows, grad.ravel()).astype(np.float32)
    grad_gamma = _totals(_product_parts, c, rows, grad.ravel(), x.ravel(), mean, inverse).astype(np.float32)
    grad_x = np.empty_like(x)
    means = (grad_beta / np.float32(rows), grad_gamma / np.float32(rows))
    _normalise_grad(grad.ravel(), x.ravel(), mean, inverse, gamma * inverse, *means, grad_x.ravel(), rows, c)
    return grad_x, grad_gamma, grad_beta


def _totals(parts: Any, c: int, rows: int, *arrays: Float) -> npt.NDArray[np.float64]:
    """Run a kernel that sums rows in parts, and add the parts."""
    sums = np.zeros((min(_PARTS, rows), c), np.float64)
    parts(*arrays, sums.ravel(), len(sums), rows, c)
    total: npt.NDArray[np.float64] = sums.sum(axis=0)
    return total


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _sum_parts(x, sums, parts, rows, c):
    for part in prange(parts):
        for row in range(part * rows // parts, (part + 1) * rows // parts):
            for i in range(c):
                sums[part * c + i] += np.float64(x[row * c + i])


@kernel
def _square_parts(x, mean, sums, parts, rows, c):
    for part in prange(parts):
        for row in range(part * rows // parts, (part + 1) * rows // parts):
            for i in range(c):
                distance = np.float64(x[row * c + i] - mean[i])
                sums[part * c + i] += distance * distance


@kernel
def _product_parts(grad, x, mean, inverse, sums, parts, rows, c):
    for part in prange(parts):
        for row in range(part * rows // parts, (part + 1) * rows // parts):
            for i in range(c):
                x_hat = (x[row * c + i] - mean[i]) * inverse[i]
                sums[part * c + i] += np.float64(grad[row * c + i] * x_hat)


@kernel
def _normalise(x, mean, factor, beta, y, rows, c):
    for row in prange(rows):
        for i in range(c):
            y[row * c + i] = (x[row * c + i] - mean[i]) * factor[i] + beta[i]


@kernel
def _normalise_grad(grad, x, mean, inverse, factor, mean_grad, mean_product, grad_x, rows, c):
    for row in prange(rows):
        for i in range(c):
            x_hat = (x[row * c + i] - mean[i]) * inverse[i]
            grad_x[row * c + i] = factor[i] * (grad[row * c + i] - mean_grad[i] - x_hat * mean_product[i])
