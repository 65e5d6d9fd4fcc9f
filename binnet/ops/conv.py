"""Real-valued convolution and the dense layer, which is a convolution of single pixels."""

from __future__ import annotations

import numpy as np

from binnet_kernels.checks import Float, Pair

from ..autograd import Context, Function, Grads
from ..backend import kernels
from ..tensor import Tensor
from .shapes import reshape


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: Pair = 1, padding: Pair = 0, groups: int = 1
) -> Tensor:
    """Cross-correlate images with filters, padding with 0.

    Parameters
    ----------
    x : (N, H, W, C)
    weight : (O, KH, KW, C / groups)
    bias : (O,), optional
    stride, padding
        An int or a pair (vertical, horizontal).
    groups
        Into how many groups of neighbours channels and filters are divided; a filter sees the channels of its group.
        As many as channels make the convolution depthwise.

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        When shapes do not fit together.
    """
    return _Conv2d.apply(x, weight, bias, stride=stride, padding=padding, groups=groups)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x Wᵀ + bias`` for x (N, I), weight (O, I) and bias (O,); the result is (N, O)."""
    return as_rows(conv2d(as_pixels(x), as_pixels(weight), bias))


def as_pixels(x: Tensor) -> Tensor:
    """(N, C) to images of one pixel, (N, 1, 1, C); ValueError for another number of axes."""
    if x.ndim != 2:
        raise ValueError(f"a dense layer works on matrices (N, I), got shape {x.shape}")
    return reshape(x, (x.shape[0], 1, 1, x.shape[1]))


def as_rows(x: Tensor) -> Tensor:
    """Images of one pixel, (N, 1, 1, C), to (N, C)."""
    return reshape(x, (x.shape[0], x.shape[3]))


class _Conv2d(Function):
    @staticmethod
    def forward(
        ctx: Context, x: Float, weight: Float, bias: Float | None, *, stride: Pair, padding: Pair, groups: int
    ) -> Float:
        ctx.save(x, weight, stride, padding, groups)
        y: Float = kernels().conv2d(x, weight, stride, padding, groups)
        if bias is not None:
            if bias.shape != (len(weight),):
                raise ValueError(f"bias must have shape {(len(weight),)}, got {bias.shape}")
            y += bias
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, weight, *window = ctx.saved
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_grad[0]:
            grad_x = kernels().conv2d_grad_input(grad, weight, x.shape, *window)
        if ctx.needs_grad[1]:
            grad_weight = kernels().conv2d_grad_weight(x, grad, weight.shape, *window)
        if ctx.needs_grad[2]:
            grad_bias = grad.sum(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
        return grad_x, grad_weight, grad_bias
