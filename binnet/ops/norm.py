"""Batch normalisation over the last axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads, Tensor
from .binarize import NotFiniteError, unpack_bits

Moments = tuple[Float, Float, Float, float]  # γ, mean, variance, ε
NormConstants = tuple[Float, Float, Float, Float, float]  # γ, β, mean, variance, ε


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

    Raises
    ------
    ValueError
        On construction, unless ``momentum`` is from 0 to 1 and ``eps`` at least 0.
    """

    running_mean: Float
    running_var: Float
    training: bool
    momentum: float = 0.1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        for name, value, most in (("momentum", self.momentum, 1.0), ("eps", self.eps, math.inf)):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= most:
                span = "from 0 to 1" if most == 1 else "of at least 0"
                raise ValueError(f"{name} of a batch normalisation must be a number {span}, got {value!r}")

    def of(self, x: Float) -> tuple[Float, Float]:
        """Mean and variance to normalise ``x`` (..., C) with.

        Raises
        ------
        ValueError
            In training, for a single row.
        NotFiniteError
            In training, when ``x`` has NaN or infinities.
        """
        if not self.training:
            return self.running_mean.copy(), self.running_var.copy()  # a training pass may change them before backward
        rows = x.size // max(x.shape[-1], 1)
        if rows == 1:
            raise ValueError(
                "batch normalisation needs at least two rows for each channel in training, got 1: "
                "use a larger batch, or eval()"
            )
        mean, var = bk.batch_statistics(x)
        if not np.isfinite(var).all():  # a few channels; the sign of a binary layer would hide it from here on
            raise NotFiniteError("the input of a batch normalisation has values that are not finite")
        # Bessel's correction: the running variance estimates that of all data. The batch is normalised without it.
        unbiased = var * np.float32(rows / max(rows - 1, 1))
        for average, value in zip((self.running_mean, self.running_var), (mean, unbiased), strict=True):
            average += np.float32(self.momentum) * (value - average)
        return mean, var


@dataclass(frozen=True)
class Normalisation:
    """A batch normalisation that runs as one function with its neighbours.

    Attributes
    ----------
    gamma, beta : (C,)
    statistics
    """

    gamma: Tensor
    beta: Tensor
    statistics: Statistics


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


def grad_of_norm_and_bits(
    grad: Float, passed: Any, x: Float, norm: Moments, training: bool, out: Float | None
) -> tuple[Float, Float, Float]:
    """Gradients of x, γ and β where the gradient of the normalised x counts only where bits of ``passed`` are 1.

    ``norm`` is (γ, mean, variance, ε); out of training mean and variance are constants. ``out`` may be ``grad``.
    """
    if training:
        gamma, mean, var, eps = norm
        return bk.norm_signs_grad(grad, passed, x, gamma, mean, var, eps, out)
    return _grad_of_fixed_norm(np.multiply(grad, unpack_bits(passed, x.shape[-1]), dtype=np.float32), x, *norm)


def _grad_of_fixed_norm(
    grad: Float, x: Float, gamma: Float, mean: Float, var: Float, eps: float
) -> tuple[Float, Float, Float]:
    """With mean and variance fixed the layer is an affine function of each channel."""
    # y = γ (x − mean) inverse + β, so ∂y/∂x is one number a channel.
    inverse = 1 / np.sqrt(var + np.float32(eps))
    axes = tuple(range(x.ndim - 1))
    grad_gamma = (grad * (x - mean) * inverse).sum(axis=axes, dtype=np.float64).astype(np.float32)
    grad_beta = grad.sum(axis=axes, dtype=np.float64).astype(np.float32)
    return grad * (gamma * inverse), grad_gamma, grad_beta


class _BatchNorm(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, gamma: Float, beta: Float, *, statistics: Statistics, relu: bool) -> Float:
        norm = (gamma, *statistics.of(x), statistics.eps)
        passed = None
        if relu:
            y, passed = bk.norm_relu(x, gamma, beta, *norm[1:])
        else:
            y = bk.batch_norm_inference(x, gamma, beta, *norm[1:])
        ctx.save(x, norm, statistics.training, passed)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, norm, training, passed = ctx.saved
        if passed is not None:
            return grad_of_norm_and_bits(grad, passed, x, norm, training, ctx.reusable(grad))
        if not training:
            return _grad_of_fixed_norm(grad, x, *norm)
        gamma, mean, var, eps = norm
        return bk.batch_norm_grad(grad, x, gamma, mean, var, eps, ctx.reusable(grad))
