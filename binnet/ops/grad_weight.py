"""The gradient of real weights, which convolutions, dense layers and products of matrices share."""

from __future__ import annotations

from collections.abc import Sequence

import binnet_kernels as bk
from binnet_kernels.checks import Float, Pair

from ..context import Context, Grad


def real_weight_gradient(
    ctx: Context, x: Float, grad: Float, shape: tuple[int, ...], stride: Pair = 1, padding: Pair = 0, groups: int = 1
) -> Grad:
    """The gradient (O, KH, KW, C) of the real weights of a convolution, summed over all images."""

    def grad_weight(cuts: Sequence[int] | None) -> Float:
        return bk.conv2d_grad_weight(x, grad, shape, stride, padding, groups, cuts=cuts)

    return ctx.weight_gradients(grad_weight, lambda total, rows: (total,), (shape,))[0]
