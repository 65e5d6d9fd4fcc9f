"""Pooling over windows."""

from __future__ import annotations

import binnet_kernels as bk
from binnet_kernels.checks import Float, Pair

from ..autograd import Function, Grads, Tensor
from ..context import Context


def max_pool2d(x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Tensor:
    """Largest element of each window of (N, H, W, C); the border never wins.

    The stride is the window itself unless given. The gradient goes to the first of equal elements, row by row.
    ValueError when the padding is not smaller than the window, or the image smaller than it.
    """
    return _MaxPool2d.apply(x, kernel_size=kernel_size, stride=stride, padding=padding)


def avg_pool2d(x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Tensor:
    """Mean of each window of (N, H, W, C); the border counts as zeros. Arguments as for :func:`max_pool2d`."""
    return _AvgPool2d.apply(x, kernel_size=kernel_size, stride=stride, padding=padding)


class _MaxPool2d(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Float:
        # With a gradient to come, the place of each largest element is kept, two bytes, and not the map itself.
        if not ctx.needs_grad[0]:
            y = bk.max_pool2d(x, kernel_size, stride, padding)
            return y
        y, winners = bk.max_pool2d_winners(x, kernel_size, stride, padding)
        ctx.save(winners, x.shape, kernel_size, stride, padding)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        return bk.max_pool2d_grad_winners(grad, *ctx.saved)


class _AvgPool2d(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Float:
        ctx.save(x.shape, kernel_size, stride, padding)
        return bk.avg_pool2d(x, kernel_size, stride, padding)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        return bk.avg_pool2d_grad(grad, *ctx.saved)
