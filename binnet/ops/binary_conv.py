"""Convolutions with binary weights, and with binary weights and inputs (arXiv:1603.05279, sections 3.1 and 3.2).

The forward pass runs on the packed kernels also in training, so that a packed model computes the same bits. Algorithm 1
is spread over three places: binarise and forward here, backward here with W̃ in the place of W, and the update of the
*real* weights in the optimiser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from binnet_kernels.checks import Float, Pair, pair

from ..autograd import Context, Function, Grads
from ..backend import kernels
from ..tensor import Tensor
from .binarize import SCALES, WEIGHT_GRADIENTS, binary_weight, centred, grad_alpha, grad_weight
from .conv import as_pixels, as_rows
from .elementwise import check_ste, sign_of, ste_gradient


def bwn_conv2d(
    x: Tensor,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    scale: str = "mean",
    weight_gradient: str = "exact",
    center: bool = False,
) -> Tensor:
    """Convolve real images with binary weights, ``x ∗ (α s)`` (Eq. 1), on the kernels that the packed model uses.

    Parameters
    ----------
    x : (N, H, W, C)
    weight : (O, KH, KW, C), the real weights
    alpha_param : (O,), the scales with ``scale="learned"``
    scale, center
        See :func:`binary_weight`.
    weight_gradient
        See :func:`grad_weight`.

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        For wrong words and for shapes that do not fit together.
    """
    rule = _Rule(scale, weight_gradient, center)
    return _BwnConv2d.apply(x, weight, alpha_param, stride=stride, padding=padding, rule=rule)


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
    weight, alpha_param, scale, weight_gradient, center
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
    options = _XnorOptions(stride, padding, pad_value, use_k, check_ste(ste))
    rule = _Rule(scale, weight_gradient, center)
    return _XnorConv2d.apply(x, weight, alpha_param, options=options, rule=rule)


def bwn_linear(
    x: Tensor,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    *,
    scale: str = "mean",
    weight_gradient: str = "exact",
    center: bool = False,
) -> Tensor:
    """:func:`bwn_conv2d` on single pixels: x (N, I), weight (O, I), result (N, O)."""
    rule = _Rule(scale, weight_gradient, center)
    return as_rows(_BwnConv2d.apply(as_pixels(x), as_pixels(weight), alpha_param, stride=1, padding=0, rule=rule))


def xnor_linear(
    x: Tensor,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    *,
    scale: str = "mean",
    use_k: bool = False,
    weight_gradient: str = "exact",
    center: bool = False,
    ste: str = "clip",
) -> Tensor:
    """:func:`xnor_conv2d` on single pixels: x (N, I), weight (O, I), result (N, O). K is the mean of a row's |x|."""
    options = _XnorOptions(1, 0, 0, use_k, check_ste(ste))
    rule = _Rule(scale, weight_gradient, center)
    return as_rows(_XnorConv2d.apply(as_pixels(x), as_pixels(weight), alpha_param, options=options, rule=rule))


@dataclass(frozen=True)
class _Rule:
    """How a weight is binarised and differentiated: the options that both convolutions share."""

    scale: str
    weight_gradient: str
    center: bool

    def __post_init__(self) -> None:
        for value, words, name in (
            (self.scale, SCALES, "scale"),
            (self.weight_gradient, WEIGHT_GRADIENTS, "weight_gradient"),
        ):
            if value not in words:
                raise ValueError(f"unknown {name} {value!r}; there are: {', '.join(words)}")

    def gradients(
        self, ctx: Context, grad_hat: Float, latent: Float, alpha: Float
    ) -> tuple[Float | None, Float | None]:
        """Gradients of the stored weight, through the centring, and of the learned scales."""
        grad = scales = None
        if ctx.needs_grad[1]:
            grad = grad_weight(grad_hat, latent, alpha, self.weight_gradient, self.scale == "mean")
            if self.center:  # a symmetric projection: its transpose is itself
                grad = centred(grad)
        if ctx.needs_grad[2] and self.scale == "learned":
            scales = grad_alpha(grad_hat, latent)
        return grad, scales


@dataclass(frozen=True)
class _XnorOptions:
    stride: Pair
    padding: Pair
    pad_value: int
    use_k: bool
    ste: str


class _BwnConv2d(Function):
    @staticmethod
    def forward(
        ctx: Context, x: Float, weight: Float, alpha: Float | None, *, stride: Pair, padding: Pair, rule: _Rule
    ) -> Float:
        latent, scales = binary_weight(weight, alpha, rule.scale, rule.center)
        ctx.save(x, latent, scales, stride, padding, rule)
        y: Float = kernels().BwnConv2d(latent, stride, padding, scales)(x)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, latent, scales, stride, padding, rule = ctx.saved
        grad_x = None
        if ctx.needs_grad[0]:
            grad_x = kernels().conv2d_grad_input(grad, kernels().weight_hat(latent, scales), x.shape, stride, padding)
        if not any(ctx.needs_grad[1:]):
            return grad_x, None, None
        grad_hat = kernels().conv2d_grad_weight(x, grad, latent.shape, stride, padding)
        return grad_x, *rule.gradients(ctx, grad_hat, latent, scales)


class _XnorConv2d(Function):
    @staticmethod
    def forward(
        ctx: Context, x: Float, weight: Float, alpha: Float | None, *, options: _XnorOptions, rule: _Rule
    ) -> Float:
        latent, scales = binary_weight(weight, alpha, rule.scale, rule.center)
        ctx.save(x, latent, scales, options, rule)
        plan = kernels().XnorConv2d(latent, options.stride, options.padding, options.pad_value, scales, options.use_k)
        y: Float = plan(x)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, latent, scales, options, rule = ctx.saved
        if options.use_k:
            grad = grad * kernels().scale_map(x, latent.shape[1:3], options.stride, options.padding)
        grad_x = _grad_input(grad, x, kernels().weight_hat(latent, scales), options) if ctx.needs_grad[0] else None
        if not any(ctx.needs_grad[1:]):
            return grad_x, None, None
        padded = _padded_sign(x, options)
        grad_hat = kernels().conv2d_grad_weight(padded, grad, latent.shape, options.stride, 0)
        return grad_x, *rule.gradients(ctx, grad_hat, latent, scales)


def _grad_input(grad: Float, x: Float, weight_hat: Float, options: _XnorOptions) -> Float:
    grad_sign = kernels().conv2d_grad_input(grad, weight_hat, x.shape, options.stride, options.padding)
    return ste_gradient(grad_sign, x, options.ste)


def _padded_sign(x: Float, options: _XnorOptions) -> Float:
    ph, pw = pair(options.padding, "padding", 0)
    if not (ph or pw):
        return sign_of(x)
    n, h, w, c = x.shape
    padded = np.full((n, h + 2 * ph, w + 2 * pw, c), options.pad_value, np.float32)
    padded[:, ph : ph + h, pw : pw + w] = sign_of(x)
    return padded
