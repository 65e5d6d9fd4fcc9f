"""Convolutions of signs with signs (arXiv:1603.05279, section 3.2), alone and with the normalisation before them.

The forward pass runs on the packed kernels also in training, so that a packed model computes the same bits. What the
backward pass needs of the input is kept as two bits a value: its sign, and whether the straight-through estimator lets
the gradient pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from binnet_kernels.checks import Float, Pair

from ..autograd import Context, Function, Grad, Grads
from ..backend import kernels
from ..tensor import Tensor
from .binarize import Rule
from .conv import as_pixels, as_rows
from .elementwise import check_ste, through_polynomial, truth
from .norm import Statistics, grad_of_norm_and_bits

_Two = tuple[Float | None, Float | None]


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

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        For wrong words and for shapes that do not fit together.
    """
    options = _Options(stride, padding, pad_value, Rule(scale, weight_gradient, center), rounding)
    return _XnorConv2d.apply(x, weight, alpha_param, options=options, use_k=use_k, ste=check_ste(ste))


def xnor_linear(x: Tensor, weight: Tensor, alpha_param: Tensor | None = None, **options: Any) -> Tensor:
    """:func:`xnor_conv2d` on single pixels: x (N, I), weight (O, I), result (N, O). K is the mean of a row's |x|."""
    return as_rows(xnor_conv2d(as_pixels(x), as_pixels(weight), alpha_param, **options))


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
    alpha_param, stride, padding, pad_value, scale, weight_gradient, center, rounding
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
    options = _Options(stride, padding, pad_value, Rule(scale, weight_gradient, center), rounding)
    tensors = (x, gamma, beta, weight, alpha_param)
    return _NormXnorConv2d.apply(*tensors, statistics=statistics, options=options, relu=relu, keep=keep)


@dataclass(frozen=True)
class Rounding:
    """To what the gradient of a binary convolution is rounded, so that its backward pass is binary as well.

    Attributes
    ----------
    how, bits
        See :func:`binnet_kernels.quantise_gradient`.
    seed
        Of 64 bits, another one for each layer and step.
    """

    how: str
    bits: int
    seed: int


@dataclass(frozen=True)
class _Options:
    """What both functions below share; see :func:`xnor_conv2d`."""

    stride: Pair
    padding: Pair
    pad_value: int
    rule: Rule
    rounding: Rounding | None


class _SignProduct:
    """The product of signs with signs, times α, of one call: binarised once, for both passes."""

    def __init__(self, options: _Options, x_shape: tuple[int, ...], weight: Float, alpha: Float | None) -> None:
        self.options, self.x_shape = options, x_shape
        self.latent, scales = options.rule.binary_weight(weight, alpha)
        filters = self.latent if weight.ndim == 4 else self.latent.reshape(-1, *x_shape[1:])
        self.plan = kernels().XnorConv2d(filters, options.stride, *self.border, scales)
        self.shape = filters.shape

    @property
    def border(self) -> tuple[Pair, int]:
        """Padding and its value, as the kernels that write bits take them."""
        return self.options.padding, self.options.pad_value

    def forward(self, bits: Any, relu: bool) -> Float:
        """Convolve ``bits``, the signs of the images."""
        self.bits = bits
        y: Float = self.plan.convolve_bits(bits, self.x_shape, relu)
        return y

    def ready(self, ctx: Context, grad: Float, y: Float | None = None) -> Any:
        """A gradient as :meth:`backward` takes it: behind the ReLU with the result ``y``, and rounded if asked."""
        o = self.options.rounding
        if o is not None:
            return kernels().quantise_gradient(grad, self.plan.alpha, y, how=o.how, bits=o.bits, seed=o.seed)
        return grad if y is None else kernels().relu_grad(grad, y, out=ctx.room(grad))

    def backward(self, ctx: Context, grad: Any) -> tuple[Float | None, Grad, Grad]:
        """Gradients of the signs, the weights and the learned scales, where ``ctx`` needs them.

        ``grad`` comes from :meth:`ready`. The last two inputs of ``ctx`` are weights and scales.
        """
        for_weight, for_signs = any(ctx.needs_grad[-2:]), any(ctx.needs_grad[:-2])
        products = self._exact if self.options.rounding is None else self._rounded
        grad_hat, grad_sign = products(grad, for_weight, for_signs)
        if grad_hat is None:
            return grad_sign, None, None
        grad_hat = grad_hat.reshape(self.latent.shape)
        return grad_sign, *self.options.rule.gradients(ctx, grad_hat, self.latent, self.plan.alpha)

    def _exact(self, grad: Float, for_weight: bool, for_signs: bool) -> _Two:
        o, grad_hat, grad_sign = self.options, None, None
        if for_weight:
            grad_hat = kernels().sign_grad_weight(self.bits, grad, self.shape, self.x_shape, o.stride, *self.border)
        if for_signs:
            signs = self.plan.weight_signs, self.plan.alpha
            grad_sign = kernels().sign_grad_input(grad, *signs, self.x_shape, o.stride, o.padding)
        return grad_hat, grad_sign

    def _rounded(self, levels: Any, for_weight: bool, for_signs: bool) -> _Two:
        o, grad_hat, grad_sign = self.options, None, None
        if for_weight:
            grad_hat = kernels().quantised_grad_weight(self.bits, levels, self.shape, o.stride, *self.border)
        if for_signs:
            signs = self.plan.weight_signs
            grad_sign = kernels().quantised_grad_input(levels, signs, self.x_shape, o.stride, o.padding)
        return grad_hat, grad_sign


class _XnorConv2d(Function):
    @staticmethod
    def forward(
        ctx: Context, x: Float, weight: Float, alpha: Float | None, *, options: _Options, use_k: bool, ste: str
    ) -> Float:
        product = _SignProduct(options, x.shape, weight, alpha)
        bits, within = kernels().signs(x, *product.border)
        y = product.forward(bits, False)
        K = None
        if use_k:
            K = kernels().scale_map(x, weight.shape[1:3], options.stride, options.padding)
            y *= K
        ctx.save(product, K, within if ste == "clip" else x)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        product, K, passes = ctx.saved
        if K is not None:
            grad = np.multiply(grad, K, out=ctx.room(grad))
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
        options: _Options,
        relu: bool,
        keep: bool,
    ) -> Float:
        product = _SignProduct(options, x.shape, weight, alpha)
        norm = (gamma, *statistics.of(x), statistics.eps)
        bits, within = kernels().norm_signs(x, gamma, beta, *norm[1:], *product.border)
        y = product.forward(bits, relu)
        ctx.save(product, x, norm, statistics.training, within, relu, y if relu and keep else None)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        product, x, norm, training, within, relu, y = ctx.saved
        ctx.free()
        if relu and y is None:
            y = product.forward(product.bits, True)
        grad, y = product.ready(ctx, grad, y), None  # y goes before another map comes
        grad_sign, *grads = product.backward(ctx, grad)
        if grad_sign is None:
            return None, None, None, *grads
        return *grad_of_norm_and_bits(grad_sign, within, x, norm, training, grad_sign), *grads
