"""Real-valued convolution, alone and with what follows it, and the dense layer: a convolution of single pixels."""

from __future__ import annotations

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float, Pair

from ..autograd import Function, Grads, Tensor
from ..context import Context
from .grad_weight import real_weight_gradient
from .norm import Normalisation, Statistics, grad_of_norm_and_bits
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


def conv2d_norm_relu(
    x: Tensor,
    weight: Tensor,
    norm: Normalisation,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Tensor:
    """:func:`relu` of :func:`batch_norm` of :func:`conv2d`, to the last bit, for images that need no gradient.

    The largest map of most networks is that of the convolution at the image, which is cheap for want of channels. So
    it is not kept, but computed again in the backward pass.

    Raises
    ------
    ValueError
        When shapes do not fit together, or ``x`` requires a gradient.
    """
    if x.requires_grad:
        raise ValueError("conv2d_norm_relu is for images, which have no gradient")
    tensors = (x, weight, norm.gamma, norm.beta)
    return _ConvNormRelu.apply(*tensors, statistics=norm.statistics, stride=stride, padding=padding)


class _Conv2d(Function):
    sums_over_images = True

    @staticmethod
    def forward(
        ctx: Context, x: Float, weight: Float, bias: Float | None, *, stride: Pair, padding: Pair, groups: int
    ) -> Float:
        ctx.save(x, weight, stride, padding, groups)
        y = bk.conv2d(x, weight, stride, padding, groups)
        if bias is not None:
            if bias.shape != (len(weight),):
                raise ValueError(f"bias must have shape {(len(weight),)}, got {bias.shape}")
            y += bias  # the map is fresh, so no second one is needed
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, weight, *window = ctx.saved
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_grad[0]:
            grad_x = bk.conv2d_grad_input(grad, weight, x.shape, *window)
        if ctx.needs_grad[1]:
            grad_weight = real_weight_gradient(ctx, x, grad, weight.shape, *window)
        if ctx.needs_grad[2]:
            total = ctx.sum_images(grad, lambda part: grad[part].sum(axis=(0, 1, 2), dtype=np.float64))
            grad_bias = total.astype(np.float32)
        return grad_x, grad_weight, grad_bias


class _ConvNormRelu(Function):
    sums_over_images = True

    @staticmethod
    def forward(
        ctx: Context,
        x: Float,
        weight: Float,
        gamma: Float,
        beta: Float,
        *,
        statistics: Statistics,
        stride: Pair,
        padding: Pair,
    ) -> Float:
        z = bk.conv2d(x, weight, stride, padding)
        # Normalised and cut off in place; what is kept is one bit a value, whether the ReLU let it pass.
        norm = (gamma, *statistics.of(z, ctx), statistics.eps)
        y, passed = bk.norm_relu(z, gamma, beta, *norm[1:], out=z)
        ctx.save(x, weight, (stride, padding), norm, statistics.training, passed)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, weight, window, norm, training, passed = ctx.saved
        z = bk.conv2d(x, weight, *window)  # the same bits as in the forward pass, and not stored in between
        grad, *grads = grad_of_norm_and_bits(ctx, grad, passed, z, norm, training, ctx.reusable(grad))
        return None, real_weight_gradient(ctx, x, grad, weight.shape, *window), *grads
