"""Real convolution, normalisation and ReLU at the image, as one function."""

from __future__ import annotations

from binnet_kernels.checks import Float, Pair

from ..autograd import Context, Function, Grads, Tensor
from ..backend import kernels
from .norm import Statistics, grad_of_norm_and_bits


def conv2d_norm_relu(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    statistics: Statistics,
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
    tensors = (x, weight, gamma, beta)
    return _ConvNormRelu.apply(*tensors, statistics=statistics, stride=stride, padding=padding)


class _ConvNormRelu(Function):
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
        z = kernels().conv2d(x, weight, stride, padding)
        norm = (gamma, *statistics.of(z), statistics.eps)
        y: Float
        y, passed = kernels().norm_relu(z, gamma, beta, *norm[1:], out=z)
        ctx.save(x, weight, (stride, padding), norm, statistics.training, passed)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, weight, window, norm, training, passed = ctx.saved
        z = kernels().conv2d(x, weight, *window)
        grad, *grads = grad_of_norm_and_bits(grad, passed, z, norm, training, ctx.reusable(grad))
        return None, kernels().conv2d_grad_weight(x, grad, weight.shape, *window), *grads
