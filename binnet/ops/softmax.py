"""Scores to probabilities."""

from __future__ import annotations

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads
from ..tensor import Tensor


def softmax(x: Tensor) -> Tensor:
    """``exp(x_i) / Σ_j exp(x_j)`` over the last axis, in float64 and rounded once.

    −inf is a probability of 0. A row of −inf alone, and one with +inf or NaN, gives NaN. ValueError when there is
    nothing along the last axis. To train a classifier use :func:`binnet.cross_entropy`, which takes the scores.
    """
    if not x.shape[-1:] or x.shape[-1] == 0:
        raise ValueError(f"softmax needs scores (..., C) of at least one class, got shape {x.shape}")
    return _Softmax.apply(x)


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
