"""Convolutions of real inputs with binary weights (arXiv:1603.05279, section 3.1).

The forward pass runs on the packed kernels also in training, so that a packed model computes the same bits. Algorithm 1
is spread over three places: binarise and forward here, backward here with W̃ in the place of W, and the update of the
*real* weights in the optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence

import binnet_kernels as bk
from binnet_kernels.checks import Float, Pair

from ..autograd import Function, Grads, Tensor
from ..context import Context
from .binarize import PAPER, WeightBinariser
from .conv import as_pixels, as_rows


def bwn_conv2d(
    x: Tensor,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    weights: WeightBinariser = PAPER,
) -> Tensor:
    """Convolve real images with binary weights, ``x ∗ (α s)`` (Eq. 1), on the kernels that the packed model uses.

    Parameters
    ----------
    x : (N, H, W, C)
    weight : (O, KH, KW, C), the real weights
    alpha_param : (O,), the scales with ``scale="learned"``
    stride, padding
        An int or a pair (vertical, horizontal); the border counts as 0.
    weights
        How weights are binarised; by default as in the paper.

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        For shapes that do not fit together.
    NotFiniteError
        For weights that are not finite.
    """
    weights.require_signs()
    return _BwnConv2d.apply(x, weight, alpha_param, stride=stride, padding=padding, weights=weights)


def bwn_linear(
    x: Tensor, weight: Tensor, alpha_param: Tensor | None = None, weights: WeightBinariser = PAPER
) -> Tensor:
    """:func:`bwn_conv2d` on single pixels: x (N, I), weight (O, I), result (N, O)."""
    return as_rows(bwn_conv2d(as_pixels(x), as_pixels(weight), alpha_param, weights=weights))


class _BwnConv2d(Function):
    sums_over_images = True

    @staticmethod
    def forward(
        ctx: Context,
        x: Float,
        weight: Float,
        alpha: Float | None,
        *,
        stride: Pair,
        padding: Pair,
        weights: WeightBinariser,
    ) -> Float:
        latent, scales = weights.binarise(weight, alpha)
        # The real input is kept as it is: ∂C/∂W̃ is its convolution with the gradient.
        ctx.save(x, latent, scales, stride, padding, weights)
        return bk.BwnConv2d(latent, stride, padding, scales)(x)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, latent, scales, stride, padding, weights = ctx.saved
        grad_x = None
        if ctx.needs_grad[0]:
            # Algorithm 1: the backward pass uses W̃ in the place of W.
            grad_x = bk.conv2d_grad_input(grad, bk.weight_hat(latent, scales), x.shape, stride, padding)
        if not any(ctx.needs_grad[1:]):
            return grad_x, None, None

        def grad_hat(cuts: Sequence[int] | None) -> Float:
            return bk.conv2d_grad_weight(x, grad, latent.shape, stride, padding, cuts=cuts)

        return grad_x, *weights.gradients(ctx, grad_hat, latent, scales)
