"""Convolutions of signs with signs (arXiv:1603.05279, section 3.2), alone and with the normalisation before them.

The forward pass runs on the packed kernels also in training, so that a packed model computes the same bits. What the
backward pass needs of the input is kept as two bits a value: its sign, and whether the straight-through estimator lets
the gradient pass. With levels of m bits in the place of signs it is m + 1 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from binnet_kernels.checks import Float, Pair

from ..autograd import Context, Function, Grads, Tensor
from ..backend import kernels
from .binarize import Rule
from .conv import as_pixels, as_rows
from .elementwise import check_ste, through_polynomial, truth
from .norm import Statistics, grad_of_norm_and_bits
from .sign_product import ProductOptions, Rounding, SignProduct


def xnor_conv2d(
    x: Tensor,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    scale: str = "mean",
    use_k: bool = False,
    weight_gradient: str = "exact",
    center: bool = False,
    ste: str = "clip",
    rounding: Rounding | None = None,
    weight_bits: int = 1,
    act_bits: int = 1,
) -> Tensor:
    """Convolve the signs of images with the signs of weights, ``(sign(x) ⊛ s) ⊙ K α`` (Eq. 11), by XNOR and popcount.

    Parameters
    ----------
    x : (N, H, W, C)
        Real, usually normalised; its sign is taken here.
    weight : (O, KH, KW, C), the real weights
    alpha_param, scale, weight_gradient, center
        As for :func:`bwn_conv2d`.
    pad_value
        What the border counts as after the sign: 0, +1 or −1. K's border is always 0.
    use_k
        Whether to multiply by the map K of the input's magnitude. K is a constant in the backward pass: the paper
        gives no gradient for it.
    ste
        See :func:`binnet.ops.sign`.
    rounding
        Of the gradient, see :class:`Rounding`; None for an exact one.
    weight_bits, act_bits
        k and m, from 1 to 8: of several bits, levels from −1 to +1 take the place of signs, ``W̃ = α q_k(W / r)`` and
        q_m(x), with r from :func:`binnet_kernels.weight_range`; α is r as well unless it is learned or left out. They
        know neither rounded gradients nor ``ste="polynomial"``.

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        For wrong words and for shapes that do not fit together.
    """
    rule = Rule(scale, weight_gradient, center, weight_bits)
    options = ProductOptions(stride, padding, pad_value, rule, rounding, act_bits)
    return _XnorConv2d.apply(x, weight, alpha_param, options=options, use_k=use_k, ste=check_ste(ste))


def xnor_linear(x: Tensor, weight: Tensor, alpha_param: Tensor | None = None, **options: Any) -> Tensor:
    """:func:`xnor_conv2d` on single pixels: x (N, I), weight (O, I), result (N, O). K is the mean of a row's |x|."""
    return as_rows(xnor_conv2d(as_pixels(x), weight, alpha_param, **options))


def norm_xnor_conv2d(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    statistics: Statistics,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    *,
    relu: bool = False,
    keep: bool = True,
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    scale: str = "mean",
    weight_gradient: str = "exact",
    center: bool = False,
    rounding: Rounding | None = None,
    weight_bits: int = 1,
    act_bits: int = 1,
) -> Tensor:
    """:func:`batch_norm`, :func:`xnor_conv2d` without K, and :func:`relu` if wanted, without a map between them.

    The result is the same to the last bit. Of the normalised images nothing is kept but two bits a value; ``x`` itself,
    which the gradient of the normalisation needs, is usually the result of the block before.

    Parameters
    ----------
    x : (N, H, W, C)
    gamma, beta : (C,)
    statistics
        For the normalisation.
    weight : (O, KH, KW, C), or (O, H W C)
        A dense layer's is a convolution whose window is the whole image, so that no image has to be flattened.
    relu
        Whether negative results become 0.
    keep
        Whether to keep the result for the gradient of the ReLU, or to compute it again from the bits: worth it where
        nobody else keeps it either, as before a pooling.
    alpha_param, stride, padding, pad_value, scale, weight_gradient, center, rounding, weight_bits, act_bits
        As for :func:`xnor_conv2d`, whose ``ste`` is "clip" here.

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        For wrong words and for shapes that do not fit together.
    """
    rule = Rule(scale, weight_gradient, center, weight_bits)
    options = ProductOptions(stride, padding, pad_value, rule, rounding, act_bits)
    tensors = (x, gamma, beta, weight, alpha_param)
    return _NormXnorConv2d.apply(*tensors, statistics=statistics, options=options, relu=relu, keep=keep)


class _XnorConv2d(Function):
    @staticmethod
    def forward(
        ctx: Context, x: Float, weight: Float, alpha: Float | None, *, options: ProductOptions, use_k: bool, ste: str
    ) -> Float:
        product = SignProduct(options, x.shape, weight, alpha)
        bits, within = kernels().signs(x, *product.border, product.planes)
        y = product.forward(bits, False)
        K = None
        if use_k:
            K = kernels().scale_map(x, product.shape[1:3], options.stride, options.padding)
            y *= K
        ctx.save(product, K, within if ste == "clip" else x)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        product, K, passes = ctx.saved
        if K is not None:
            grad = np.multiply(grad, K, out=ctx.reusable(grad))
        grad_sign, *grads = product.backward(ctx, product.ready(ctx, grad))
        if grad_sign is None:
            return None, *grads
        if passes.dtype == np.float32:  # the input itself, for the polynomial
            return through_polynomial(grad_sign, passes), *grads
        grad_sign *= truth(passes, grad_sign.shape[3])
        return grad_sign, *grads


class _NormXnorConv2d(Function):
    @staticmethod
    def forward(
        ctx: Context,
        x: Float,
        gamma: Float,
        beta: Float,
        weight: Float,
        alpha: Float | None,
        *,
        statistics: Statistics,
        options: ProductOptions,
        relu: bool,
        keep: bool,
    ) -> Float:
        product = SignProduct(options, x.shape, weight, alpha)
        norm = (gamma, *statistics.of(x), statistics.eps)
        bits, within = kernels().norm_signs(x, gamma, beta, *norm[1:], *product.border, product.planes)
        y = product.forward(bits, relu)
        ctx.save(product, x, norm, statistics.training, within, relu, y if relu and keep else None)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        product, x, norm, training, within, relu, y = ctx.saved
        ctx.saved = ()
        if relu and y is None:
            y = product.forward(product.bits, True)
        grad, y = product.ready(ctx, grad, y), None  # y goes before another map comes
        grad_sign, *grads = product.backward(ctx, grad)
        if grad_sign is None:
            return None, None, None, *grads
        return *grad_of_norm_and_bits(grad_sign, within, x, norm, training, grad_sign), *grads
