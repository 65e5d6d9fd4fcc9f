"""Convolutions of k-bit weights with m-bit inputs (arXiv:1603.05279, end of section 3.2), forward by popcount.

Weights are ``W̃ = α q_k(W / r)`` with the range ``r`` of each filter (mean of |W| times a constant of k, see
:func:`binnet_kernels.weight_range`), and α is r as well unless it is learned or left out. With k = 1 that is α sign(W).
The backward pass is that of signs, with levels in their place: it runs on floats, with W̃ and q_m(x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from binnet_kernels.checks import Float, Pair, pair

from ..autograd import Context, Function, Grads
from ..backend import kernels
from ..tensor import Tensor
from .binarize import Rule
from .conv import as_pixels, as_rows


def kbit_conv2d(
    x: Tensor,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    *,
    weight_bits: int,
    act_bits: int,
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    scale: str = "mean",
    use_k: bool = False,
    weight_gradient: str = "exact",
    center: bool = False,
) -> Tensor:
    """Convolve the levels of images with the levels of weights, ``(q_m(x) ⊛ q_k(W / r)) ⊙ K α``.

    Parameters
    ----------
    x : (N, H, W, C)
        Real, usually normalised; its levels, from −1 to +1, are taken here. Their gradient is 1 where |x| <= 1, else 0.
    weight : (O, KH, KW, C), the real weights
    alpha_param
        The scales, with ``scale="learned"``.
    weight_bits, act_bits
        k and m, from 1 to 8.
    stride, padding, pad_value, use_k
        As for :func:`xnor_conv2d`; K, the mean of |x|, does not know of the levels.
    scale
        α: ``"mean"``, the range of the weights; ``"learned"``; ``"none"``, 1.
    weight_gradient, center
        As for :func:`bwn_conv2d`, see :func:`binnet_kernels.weight_gradient`.

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        For wrong words, numbers out of range, and shapes that do not fit together.
    """
    rule = Rule(scale, weight_gradient, center, weight_bits)
    options = _Options(act_bits, stride, padding, pad_value, use_k, rule)
    return _KbitConv2d.apply(x, weight, alpha_param, options=options)


def kbit_linear(x: Tensor, weight: Tensor, alpha_param: Tensor | None = None, **options: Any) -> Tensor:
    """:func:`kbit_conv2d` on single pixels: x (N, I), weight (O, I), result (N, O)."""
    return as_rows(kbit_conv2d(as_pixels(x), as_pixels(weight), alpha_param, **options))


def quantise(x: Tensor, bits: int) -> Tensor:
    """The level of each value, q_k of arXiv:1603.05279, section 3.2; the gradient passes where |x| <= 1.

    Raises
    ------
    ValueError
        When ``bits`` is not from 1 to 8.
    """
    return _Quantise.apply(x, bits=bits)


@dataclass(frozen=True)
class _Options:
    """See :func:`kbit_conv2d`."""

    act_bits: int
    stride: Pair
    padding: Pair
    pad_value: int
    use_k: bool
    rule: Rule


class _KbitConv2d(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, weight: Float, alpha: Float | None, *, options: _Options) -> Float:
        o = options
        latent, scales = o.rule.binary_weight(weight, alpha)
        window = (o.stride, o.padding, o.pad_value)
        plan = kernels().KbitConv2d(latent, o.rule.bits, o.act_bits, *window, scales, o.use_k)
        ctx.save(x, latent, scales, o)
        y: Float = plan(x)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, latent, scales, o = ctx.saved
        grad_x, bits = None, o.rule.bits
        if o.use_k:
            grad = grad * kernels().scale_map(x, latent.shape[1:3], o.stride, o.padding)
        if ctx.needs_grad[0]:
            hat = kernels().weight_hat(latent, scales, bits)
            grad_x = kernels().conv2d_grad_input(grad, hat, x.shape, o.stride, o.padding)
            del hat  # as large as the weights, and another such array comes
            grad_x = _clipped(grad_x, x)
        if not any(ctx.needs_grad[1:]):
            return grad_x, None, None
        wide = _bordered(kernels().quantise_input(x, o.act_bits), o)
        grad_hat = kernels().conv2d_grad_weight(wide, grad, latent.shape, o.stride, 0)
        return grad_x, *o.rule.gradients(ctx, grad_hat, latent, scales)


class _Quantise(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, bits: int) -> Float:
        ctx.save(x)
        y: Float = kernels().quantise_input(x, bits)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        return _clipped(grad, ctx.saved[0])


def _clipped(grad: Float, x: Float) -> Float:
    """The straight-through gradient of levels: ``grad`` where |x| <= 1, else 0."""
    return np.multiply(grad, np.abs(x) <= 1, dtype=np.float32)


def _bordered(levels: Float, options: _Options) -> Float:
    """Levels of images with the border that the convolution saw."""
    (ph, pw), (n, h, w, c) = pair(options.padding, "padding", 0), levels.shape
    wide = np.full((n, h + 2 * ph, w + 2 * pw, c), options.pad_value, np.float32)
    wide[:, ph : ph + h, pw : pw + w] = levels
    return wide
