"""Batch normalisation over the last axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads
from ..backend import kernels
from ..tensor import Tensor


@dataclass(frozen=True)
class Statistics:
    """Which mean and variance a batch normalisation uses.

    Attributes
    ----------
    running_mean, running_var : float32 (C,)
    training
        True: the statistics are those of the batch (biased variance), and the running ones move towards them by
        ``momentum``, **in place**, the variance unbiased. False: the running ones are used and left alone.
    momentum
    eps
        Added to the variance.
    """

    running_mean: Float
    running_var: Float
    training: bool
    momentum: float = 0.1
    eps: float = 1e-5

    def of(self, x: Float) -> tuple[Float, Float]:
        """Mean and variance to normalise ``x`` (..., C) with."""
        if not self.training:
            return self.running_mean, self.running_var
        mean, var = kernels().batch_statistics(x)
        rows = x.size // max(x.shape[-1], 1)
        unbiased = var * np.float32(rows / max(rows - 1, 1))
        for average, value in zip((self.running_mean, self.running_var), (mean, unbiased), strict=True):
            average += np.float32(self.momentum) * (value - average)
        return mean, var


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, statistics: Statistics, *, relu: bool = False) -> Tensor:
    """``γ (x − mean) / √(var + ε) + β`` for each channel of x (..., C).

    Parameters
    ----------
    gamma, beta : (C,)
    statistics
        Whose mean and variance.
    relu
        Whether negative results become 0: the bits of :func:`binnet.ops.relu` of the result, with one map less.

    Raises
    ------
    ValueError
        When shapes do not fit together.
    """
    return _BatchNorm.apply(x, gamma, beta, statistics=statistics, relu=relu)


def grad_of_fixed_norm(
    grad: Float, x: Float, gamma: Float, mean: Float, var: Float, eps: float
) -> tuple[Float, Float, Float]:
    """Gradients of x, γ and β where mean and variance are constants: an affine function of each channel."""
    inverse = 1 / np.sqrt(var + np.float32(eps))
    axes = tuple(range(x.ndim - 1))
    grad_gamma = (grad * (x - mean) * inverse).sum(axis=axes, dtype=np.float64).astype(np.float32)
    grad_beta = grad.sum(axis=axes, dtype=np.float64).astype(np.float32)
    return grad * (gamma * inverse), grad_gamma, grad_beta


class _BatchNorm(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, gamma: Float, beta: Float, *, statistics: Statistics, relu: bool) -> Float:
        mean, var = statistics.of(x)
        y: Float = kernels().batch_norm_inference(x, gamma, beta, mean, var, statistics.eps)
        if relu:
            kernels().relu(y, out=y)
        ctx.save(x, gamma, mean, var, statistics, y if relu else None)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, gamma, mean, var, statistics, y = ctx.saved
        room = ctx.room(grad)
        if y is not None:
            grad = room = kernels().relu_grad(grad, y, out=room)
        if not statistics.training:
            return grad_of_fixed_norm(grad, x, gamma, mean, var, statistics.eps)
        grads: tuple[Float, Float, Float] = kernels().batch_norm_grad(
            grad, x, gamma, mean, var, statistics.eps, out=room
        )
        return grads
