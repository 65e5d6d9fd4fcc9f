"""Batch normalisation over the last axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float

from ..autograd import Function, Grads, Tensor
from ..context import Context
from .binarize import NotFiniteError

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

    def of(self, x: Float, ctx: Context) -> tuple[Float, Float]:
        """Mean and variance to normalise ``x`` (..., C) with; in training those of all images of the batch.

        Raises
        ------
        ValueError
            In training, for a single row.
        NotFiniteError
            In training, when ``x`` has NaN or infinities.
        """
        if not self.training:
            return self.running_mean.copy(), self.running_var.copy()  # a training pass may change them before backward
        mean, var, rows = _moments(ctx, x)
        if rows == 1:
            raise ValueError(
                "batch normalisation needs at least two rows for each channel in training, got 1: "
                "use a larger batch, or eval()"
            )
        if not np.isfinite(var).all():  # a few channels; the sign of a binary layer would hide it from here on
            raise NotFiniteError("the input of a batch normalisation has values that are not finite")
        # Bessel's correction: the running variance estimates that of all data. The batch is normalised without it.
        unbiased = var * np.float32(rows / max(rows - 1, 1))
        for average, value in zip((self.running_mean, self.running_var), (mean, unbiased), strict=True):
            average += np.float32(self.momentum) * (value - average)
        return mean, var


def _moments(ctx: Context, x: Float) -> tuple[Float, Float, int]:
    """Mean and biased variance of each channel of ``x`` (..., C) over all images of the batch, and the rows there."""
    batch, c = ctx.batch, max(x.shape[-1], 1)
    if batch is None or batch.local_norm:
        return *bk.batch_statistics(x), x.size // c
    # Mean and sum of squared distances of each micro-batch; the distances of these means from that of all come on top.
    parts = batch.parts(x, lambda part: np.stack(bk.batch_moments(x[part])))
    rows = batch.counts(x)[:, None] * (x[0].size // c)
    count = rows.sum()
    mean = batch.add_up(parts[:, 0] * rows) / count
    with np.errstate(invalid="ignore"):  # infinities: their distance is no number
        var = batch.add_up(parts[:, 1] + rows * np.square(parts[:, 0] - mean)) / count
    return mean.astype(np.float32), var.astype(np.float32), int(count)


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
    ctx: Context, grad: Float, passed: Any, x: Float, norm: Moments, training: bool, out: Float | None
) -> tuple[Float, Float, Float]:
    """Gradients of x, γ and β where the gradient of the normalised x counts only where bits of ``passed`` are 1.

    ``norm`` is (γ, mean, variance, ε); out of training mean and variance are constants. ``out`` may be ``grad``.
    """
    return (_grad_of_norm if training else _grad_of_fixed_norm)(ctx, grad, passed, x, norm, out)


def _grad_of_norm(
    ctx: Context, grad: Float, passed: Any, x: Float, norm: Moments, out: Float | None
) -> tuple[Float, Float, Float]:
    """Gradients through the mean and variance of the batch too; all of ``grad`` counts when ``passed`` is None."""
    (gamma, mean, var, eps), batch = norm, ctx.batch
    if batch is None:
        if passed is None:
            return bk.batch_norm_grad(grad, x, gamma, mean, var, eps, out)
        return bk.norm_signs_grad(grad, passed, x, gamma, mean, var, eps, out)

    def sums(part: slice) -> Any:
        bits = None if passed is None else passed[part]
        return np.stack(bk.batch_norm_grad_sums(grad[part], bits, x[part], mean))

    rows = batch.images * batch.per_image(x) * (x[0].size // x.shape[-1])
    if not batch.local_norm:
        return bk.batch_norm_grad_apply(grad, passed, x, gamma, mean, var, batch.total(x, sums), rows, eps, out)
    # Through the statistics of this worker's images alone; γ and β are those of all workers.
    inverse = 1 / np.sqrt(var + np.float32(eps))
    beta, gamma_sum = batch.total(x, lambda part: sums(part) * np.stack((np.ones_like(inverse), inverse)))
    own = sums(slice(None)), x.size // x.shape[-1]
    grad_x, _, _ = bk.batch_norm_grad_apply(grad, passed, x, gamma, mean, var, *own, eps, out)
    return grad_x, gamma_sum.astype(np.float32), beta.astype(np.float32)


def _grad_of_fixed_norm(
    ctx: Context, grad: Float, passed: Any, x: Float, norm: Moments, out: Float | None
) -> tuple[Float, Float, Float]:
    """With mean and variance fixed the layer is an affine function of each channel: ∂y/∂x is one number."""

    def sums(part: slice) -> Any:
        return np.stack(bk.batch_norm_grad_sums(grad[part], None if passed is None else passed[part], x[part], mean))

    gamma, mean, var, eps = norm
    grad_beta, product = ctx.sum_images(x, sums)
    grad_gamma = product / np.sqrt(var + np.float32(eps))
    # Sums of 0: nothing comes back through mean and variance.
    grad_x, _, _ = bk.batch_norm_grad_apply(grad, passed, x, gamma, mean, var, np.zeros((2, len(mean))), 1, eps, out)
    return grad_x, grad_gamma.astype(np.float32), grad_beta.astype(np.float32)


class _BatchNorm(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, gamma: Float, beta: Float, *, statistics: Statistics, relu: bool) -> Float:
        norm = (gamma, *statistics.of(x, ctx), statistics.eps)
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
            return grad_of_norm_and_bits(ctx, grad, passed, x, norm, training, ctx.reusable(grad))
        return (_grad_of_norm if training else _grad_of_fixed_norm)(ctx, grad, None, x, norm, ctx.reusable(grad))
