"""Batch normalisation over the last axis."""

from __future__ import annotations

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads
from ..backend import kernels
from ..tensor import Tensor


def batch_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running_mean: Float,
    running_var: Float,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``γ (x − mean) / √(var + ε) + β`` for each channel of x (..., C).

    Parameters
    ----------
    gamma, beta, running_mean, running_var : (C,)
    training
        True: the statistics are those of ``x`` (biased variance), and the running ones move towards them by
        ``momentum``, **in place**, the variance unbiased. False: the running ones are used and left alone.

    Raises
    ------
    ValueError
        When shapes do not fit together.
    """
    if training:
        return _BatchNorm.apply(x, gamma, beta, running=(running_mean, running_var), momentum=momentum, eps=eps)
    return _BatchNormInference.apply(x, gamma, beta, mean=running_mean, var=running_var, eps=eps)


class _BatchNorm(Function):
    @staticmethod
    def forward(
        ctx: Context, x: Float, gamma: Float, beta: Float, *, running: tuple[Float, Float], momentum: float, eps: float
    ) -> Float:
        y, mean, var = kernels().batch_norm(x, gamma, beta, eps)
        ctx.save(x, gamma, mean, var, eps)
        rows = x.size // max(x.shape[-1], 1)
        unbiased = var * np.float32(rows / max(rows - 1, 1))
        for average, value in zip(running, (mean, unbiased), strict=True):
            average += np.float32(momentum) * (value - average)
        result: Float = y
        return result

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, gamma, mean, var, eps = ctx.saved
        grads: tuple[Float, Float, Float] = kernels().batch_norm_grad(grad, x, gamma, mean, var, eps)
        return grads


class _BatchNormInference(Function):
    """With fixed statistics the layer is an affine function of each channel."""

    @staticmethod
    def forward(ctx: Context, x: Float, gamma: Float, beta: Float, *, mean: Float, var: Float, eps: float) -> Float:
        ctx.save(x, gamma, mean, var, eps)
        y: Float = kernels().batch_norm_inference(x, gamma, beta, mean, var, eps)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, gamma, mean, var, eps = ctx.saved
        inverse = 1 / np.sqrt(var + np.float32(eps))
        axes = tuple(range(x.ndim - 1))
        grad_x = grad * (gamma * inverse) if ctx.needs_grad[0] else None
        grad_gamma = grad_beta = None
        if ctx.needs_grad[1]:
            grad_gamma = (grad * (x - mean) * inverse).sum(axis=axes, dtype=np.float64).astype(np.float32)
        if ctx.needs_grad[2]:
            grad_beta = grad.sum(axis=axes, dtype=np.float64).astype(np.float32)
        return grad_x, grad_gamma, grad_beta
