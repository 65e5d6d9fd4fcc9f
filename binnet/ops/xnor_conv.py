"""Convolutions of signs with signs (arXiv:1603.05279, section 3.2), alone and with the normalisation before them.

The forward pass runs on the packed kernels also in training, so that a packed model computes the same bits. What the
backward pass needs of the input is kept as two bits a value: its sign, and whether the straight-through gradient passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from binnet_kernels.checks import Float, Pair

from ..autograd import Context, Function, Grads
from ..backend import kernels
from ..tensor import Tensor
from .binarize import Rule
from .conv import as_pixels, as_rows
from .elementwise import check_ste, ste_gradient
from .norm import Statistics, grad_of_fixed_norm


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

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        For wrong words and for shapes that do not fit together.
    """
    product = SignProduct(stride, padding, pad_value, Rule(scale, weight_gradient, center))
    return _XnorConv2d.apply(x, weight, alpha_param, product=product, use_k=use_k, ste=check_ste(ste))


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
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    scale: str = "mean",
    weight_gradient: str = "exact",
    center: bool = False,
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
    relu
        Whether negative results become 0.
    weight, alpha_param, stride, padding, pad_value, scale, weight_gradient, center
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
    product = SignProduct(stride, padding, pad_value, Rule(scale, weight_gradient, center))
    tensors = (x, gamma, beta, weight, alpha_param)
    return _NormXnorConv2d.apply(*tensors, statistics=statistics, product=product, relu=relu)


@dataclass(frozen=True)
class SignProduct:
    """The convolution of signs with signs, times α: what both functions below share.

    Attributes
    ----------
    stride, padding, pad_value
        See :func:`xnor_conv2d`.
    rule
        How the weights are binarised.
    """

    stride: Pair
    padding: Pair
    pad_value: int
    rule: Rule = field(default_factory=Rule)

    @property
    def border(self) -> tuple[Pair, int]:
        """Padding and its value, as the kernels that write bits take them."""
        return self.padding, self.pad_value

    def prepare(self, weight: Float, alpha: Float | None) -> tuple[Any, Float]:
        """The weights, binarised once for both passes, and the array whose signs they are."""
        latent, scales = self.rule.binary_weight(weight, alpha)
        return kernels().XnorConv2d(latent, self.stride, self.padding, self.pad_value, scales), latent

    def grad_weight(
        self, ctx: Context, grad: Float, bits: Any, shape: tuple[int, ...], plan: Any, latent: Float
    ) -> Any:
        """Gradients of the weight and of the learned scales, the last two inputs of ``ctx``."""
        if not any(ctx.needs_grad[-2:]):
            return None, None
        grad_hat = kernels().sign_grad_weight(bits, grad, latent.shape, shape, self.stride, *self.border)
        return self.rule.gradients(ctx, grad_hat, latent, plan.alpha)

    def grad_sign(self, grad: Float, shape: tuple[int, ...], plan: Any) -> Float:
        """Gradient of sign(x), where ``shape`` is that of x."""
        result: Float = kernels().sign_grad_input(grad, plan.weight_signs, plan.alpha, shape, self.stride, self.padding)
        return result


class _XnorConv2d(Function):
    @staticmethod
    def forward(
        ctx: Context,
        x: Float,
        weight: Float,
        alpha: Float | None,
        *,
        product: SignProduct,
        use_k: bool,
        ste: str,
    ) -> Float:
        plan, latent = product.prepare(weight, alpha)
        bits, within = kernels().signs(x, *product.border)
        y: Float = plan.convolve_bits(bits, x.shape)
        K = kernels().scale_map(x, latent.shape[1:3], product.stride, product.padding) if use_k else None
        if K is not None:
            y *= K
        ctx.save(bits, within if ste == "clip" else x, x.shape, K, plan, latent, product)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        bits, passes, shape, K, plan, latent, product = ctx.saved
        if K is not None:
            grad = np.multiply(grad, K, out=ctx.room(grad))
        grads = product.grad_weight(ctx, grad, bits, shape, plan, latent)
        if not ctx.needs_grad[0]:
            return None, *grads
        grad_sign = product.grad_sign(grad, shape, plan)
        if passes.dtype == np.float32:  # the input itself, for the polynomial
            return ste_gradient(grad_sign, passes, "polynomial"), *grads
        grad_sign *= _truth(passes, shape[3])
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
        product: SignProduct,
        relu: bool,
    ) -> Float:
        norm = (gamma, *statistics.of(x), statistics.eps)
        plan, latent = product.prepare(weight, alpha)
        bits, within = kernels().norm_signs(x, gamma, beta, *norm[1:], *product.border)
        y: Float = plan.convolve_bits(bits, x.shape, relu)
        ctx.save(x, norm, statistics.training, bits, within, y if relu else None, plan, latent, product)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, norm, training, bits, within, y, plan, latent, product = ctx.saved
        if y is not None:
            grad = kernels().relu_grad(grad, y, out=ctx.room(grad))
        grads = product.grad_weight(ctx, grad, bits, x.shape, plan, latent)
        grad = product.grad_sign(grad, x.shape, plan)
        if training:
            return *kernels().norm_signs_grad(grad, within, x, *norm, out=grad), *grads
        grad *= _truth(within, x.shape[3])
        return *grad_of_fixed_norm(grad, x, *norm), *grads


def _truth(words: Any, c: int) -> Any:
    """Half words (..., ceil(c / 32)) as booleans (..., c)."""
    return np.unpackbits(words.astype("<u4", copy=False).view(np.uint8), axis=-1, count=c, bitorder="little") == 1
