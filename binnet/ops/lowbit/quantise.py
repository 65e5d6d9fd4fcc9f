"""The activation of k bits (arXiv:1603.05279, end of section 3.2)."""

from __future__ import annotations

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float

from ...autograd import Function, Grads, Tensor
from ...context import Context


def quantise(x: Tensor, bits: int) -> Tensor:
    """The level of each value, q_k of arXiv:1603.05279, section 3.2; the gradient passes where |x| <= 1.

    Raises
    ------
    ValueError
        When ``bits`` is not from 1 to 8.
    """
    return _Quantise.apply(x, bits=bits)


class _Quantise(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, bits: int) -> Float:
        ctx.save(x)  # the values: where |x| <= 1 is what the gradient asks
        return bk.quantise_input(x, bits)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        return _clipped(grad, ctx.saved[0])


def _clipped(grad: Float, x: Float) -> Float:
    """The straight-through gradient of levels: ``grad`` where |x| <= 1, else 0."""
    return np.multiply(grad, np.abs(x) <= 1, dtype=np.float32)
