"""Activations: the ReLU, those with learned slopes, and softmax."""

from __future__ import annotations

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float

from ..autograd import Function, Grads, Tensor
from ..context import Context, Double
from .arithmetic import unbroadcast


def relu(x: Tensor) -> Tensor:
    """``max(x, 0)`` of a tensor of any shape; the derivative at 0 is 0."""
    return _Relu.apply(x)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """The ReLU with a learned slope for negative values (arXiv:1502.01852).

    ``max(x, 0) + slope · min(x, 0)``: x where x >= 0, else slope · x; NaN stays NaN. The derivative at 0 is 1.

    Parameters
    ----------
    x : (..., C)
    slope : (C,) or (1,)
        One for each channel, or one for all.

    Raises
    ------
    ValueError
        When the slopes are not as many.
    """
    channels = x.shape[-1:]
    if not channels or slope.shape not in (channels, (1,)):
        raise ValueError(f"prelu needs a slope of shape (C,) or (1,) for x (..., C), got {slope.shape} for {x.shape}")
    return _PRelu.apply(x, slope)


def rprelu(x: Tensor, before: Tensor, slope: Tensor, after: Tensor) -> Tensor:
    """ReActNet's activation (RPReLU, arXiv:2003.03488), ``prelu(x + before) + after``, as one function.

    The bits are those of :func:`add`, :func:`prelu` and :func:`add`, with two maps less.

    Parameters
    ----------
    x : (..., C)
    before, slope, after : (C,)

    Raises
    ------
    ValueError
        When shapes do not fit together.
    """
    return _RPRelu.apply(x, before, slope, after)


def softmax(x: Tensor) -> Tensor:
    """``exp(x_i) / Σ_j exp(x_j)`` over the last axis, in float64 and rounded once.

    −inf is a probability of 0. A row of −inf alone, and one with +inf or NaN, gives NaN. ValueError when there is
    nothing along the last axis. To train a classifier use :func:`binnet.cross_entropy`, which takes the scores.
    """
    if not x.shape[-1:] or x.shape[-1] == 0:
        raise ValueError(f"softmax needs scores (..., C) of at least one class, got shape {x.shape}")
    return _Softmax.apply(x)


class _Relu(Function):
    @staticmethod
    def forward(ctx: Context, x: Float) -> Float:
        y = bk.relu(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        return bk.relu_grad(grad, ctx.saved[0], ctx.reusable(grad))


class _PRelu(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, slope: Float) -> Float:
        ctx.save(x, slope)
        y: Float = np.minimum(x, 0)
        y *= slope
        y += np.maximum(x, 0)  # four times as fast as np.where
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, slope = ctx.saved
        grad_x = np.where(x < 0, slope * grad, grad) if ctx.needs_grad[0] else None
        grad_slope = unbroadcast(ctx, 1, grad * np.minimum(x, 0), slope.shape) if ctx.needs_grad[1] else None
        return grad_x, grad_slope


class _RPRelu(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, before: Float, slope: Float, after: Float) -> Float:
        ctx.save(x, before, slope)
        return bk.rprelu(x, before, slope, after)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, before, slope = ctx.saved
        grad_x = ctx.reusable(grad)
        if grad_x is None:
            grad_x = np.empty(x.shape, np.float32)

        def part_sums(part: slice) -> Double:
            return np.stack(bk.rprelu_grad(grad[part], x[part], before, slope, grad_x[part])[1:])

        return grad_x, *ctx.sum_images(x, part_sums).astype(np.float32)


class _Softmax(Function):
    @staticmethod
    def forward(ctx: Context, x: Float) -> Float:
        with np.errstate(invalid="ignore"):  # inf − inf is NaN, and meant
            powers = np.exp(x.astype(np.float64) - x.max(axis=-1, keepdims=True))  # at most 1
        y: Float = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        (y,) = ctx.saved
        grad_x: Float = y * (grad - (grad * y).sum(axis=-1, keepdims=True))
        return grad_x
