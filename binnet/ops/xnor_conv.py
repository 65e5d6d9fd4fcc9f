"""Convolutions of signs with signs (arXiv:1603.05279, section 3.2), alone and with the normalisation before them.

The forward pass runs on the packed kernels also in training, so that a packed model computes the same bits. What the
backward pass needs of the input is kept as two bits a value: its sign, and whether the straight-through estimator lets
the gradient pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float, Pair

from ..autograd import Function, Grads, Tensor
from ..context import Context, Grad
from .binarize import PAPER, WeightBinariser, check_bool, check_ste, unpack_bits
from .conv import as_pixels, as_rows
from .norm import Normalisation, NormConstants, Statistics, grad_of_norm_and_bits


class SignProduct:
    """``(sign(x) ⊛ sign(W)) α`` of one call, Eq. 11 without K, and its gradients.

    The weights are binarised once, for both passes.

    Parameters
    ----------
    conv : BinaryConv
    x_shape : (N, H, W, C)
    weight : (O, KH, KW, C), or (O, H W C) for a window that is the whole image
    alpha : (O,) or None
    """

    def __init__(self, conv: BinaryConv, x_shape: tuple[int, ...], weight: Float, alpha: Float | None) -> None:
        self.conv, self.x_shape = conv, x_shape
        self.border = conv.padding, conv.inputs.pad_value
        self.latent, scales = conv.weights.binarise(weight, alpha)
        # A dense layer is a convolution whose window is the whole image.
        filters = self.latent if weight.ndim == 4 else self.latent.reshape(-1, *x_shape[1:])
        self.shape, self.plan = filters.shape, self.prepare(filters, scales)
        self.bits: Any = None

    def prepare(self, filters: Float, alpha: Float) -> Any:
        """The kernel for these weights: packed signs and α."""
        self.conv.weights.require_signs()
        return bk.XnorConv2d(filters, self.conv.stride, *self.border, alpha)

    def pack(self, x: Float) -> Any:
        """The packed signs of images, border included, and bits that say where |x| <= 1."""
        return bk.signs(x, *self.border)

    def pack_normalised(self, x: Float, norm: NormConstants) -> Any:
        """:meth:`pack` of normalised images, which are never written; ``norm`` is (γ, β, mean, variance, ε)."""
        return bk.norm_signs(x, *norm, *self.border)

    def forward(self, bits: Any, relu: bool = False) -> Float:
        """Convolve packed images: (N, OH, OW, O)."""
        self.bits = bits
        y: Float = self.plan.convolve_bits(bits, self.x_shape, relu)
        return y

    def before_backward(self, ctx: Context, grad: Float, y: Float | None = None) -> Any:
        """Convert ``grad`` for :meth:`backward`; if a ReLU with result ``y`` followed, go back through it first."""
        return grad if y is None else bk.relu_grad(grad, y, out=ctx.reusable(grad))

    def backward(self, ctx: Context, grad: Any) -> tuple[Grad, ...]:
        """Gradients of sign(x), W and the learned scales, where ``ctx`` needs them.

        The inputs of the Function end with W and the scales; x, and perhaps γ and β, come before them.
        """
        grad_sign = self.grad_input(grad) if any(ctx.needs_grad[:-2]) else None
        if not any(ctx.needs_grad[-2:]):
            return grad_sign, None, None

        def grad_hat(cuts: Sequence[int] | None) -> Float:
            return self.grad_weight(grad, cuts)

        # This is ∂C/∂W̃ only, with W̃ = α s; the binariser turns it into ∂C/∂W and ∂C/∂α.
        return grad_sign, *self.conv.weights.gradients(ctx, grad_hat, self.latent, self.plan.alpha)

    def grad_input(self, grad: Any) -> Float:
        """∂C/∂sign(x), the transposed convolution with W̃ = α s: (N, H, W, C)."""
        window = self.x_shape, self.conv.stride, self.conv.padding
        return bk.sign_grad_input(grad, self.plan.weight_signs, self.plan.alpha, *window)

    def grad_weight(self, grad: Any, cuts: Sequence[int] | None) -> Float:
        """∂C/∂W̃ (O, KH, KW, C), summed over the images between ``cuts``."""
        window = self.shape, self.x_shape, self.conv.stride
        return bk.sign_grad_weight(self.bits, grad, *window, *self.border, cuts=cuts)


@dataclass(frozen=True)
class InputBinariser:
    """How real inputs become binary, and how the gradient passes that; by default as in arXiv:1603.05279.

    Attributes
    ----------
    ste
        Gradient of the sign: ``"clip"`` (section 3.1) or ``"polynomial"`` (Bi-Real Net); see :func:`binnet.ops.sign`.
    use_k
        Whether to multiply by the map K of the input's magnitude (Eq. 11). K is a constant in the backward pass: the
        paper gives no gradient for it.
    pad_value
        What the border counts as after the sign: 0, +1 or −1. K's border is always 0.

    Raises
    ------
    ValueError
        On construction, when there is no such ``ste``.
    """

    ste: str = "clip"
    use_k: bool = False
    pad_value: int = 0

    product: ClassVar[type[SignProduct]] = SignProduct

    def __post_init__(self) -> None:
        check_ste(self.ste)
        check_bool("use_k", self.use_k)
        if isinstance(self.pad_value, bool) or not isinstance(self.pad_value, int) or self.pad_value not in (0, 1, -1):
            raise ValueError(f"pad_value must be 0, 1 or -1, got {self.pad_value!r}")

    @property
    def needs_bits_only(self) -> bool:
        """Whether bits are all that both passes need of the input: K and the polynomial need the values."""
        return self.ste == "clip" and not self.use_k

    def for_pass(self) -> InputBinariser:
        """What to use in the forward pass that begins now, and its backward pass."""
        return self


SIGNS = InputBinariser()  # clipped straight-through gradient, no K


@dataclass(frozen=True)
class BinaryConv:
    """What defines a binary convolution beside its arrays.

    Attributes
    ----------
    stride, padding
        An int or a pair (vertical, horizontal).
    weights, inputs
        How they become binary.
    """

    stride: Pair = 1
    padding: Pair = 0
    weights: WeightBinariser = PAPER
    inputs: InputBinariser = SIGNS


def xnor_conv2d(
    x: Tensor,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    weights: WeightBinariser = PAPER,
    inputs: InputBinariser = SIGNS,
) -> Tensor:
    """Convolve the signs of images with the signs of weights, ``(sign(x) ⊛ s) ⊙ K α`` (Eq. 11), by XNOR and popcount.

    Parameters
    ----------
    x : (N, H, W, C)
        Real, usually normalised; its sign is taken here.
    weight : (O, KH, KW, C), the real weights
    alpha_param : (O,), the scales with ``scale="learned"``
    stride, padding, weights, inputs
        See :class:`BinaryConv`.

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
    return _XnorConv2d.apply(x, weight, alpha_param, conv=BinaryConv(stride, padding, weights, inputs))


def xnor_linear(
    x: Tensor,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    weights: WeightBinariser = PAPER,
    inputs: InputBinariser = SIGNS,
) -> Tensor:
    """:func:`xnor_conv2d` on single pixels: x (N, I), weight (O, I), result (N, O). K is the mean of a row's |x|."""
    return as_rows(xnor_conv2d(as_pixels(x), weight, alpha_param, weights=weights, inputs=inputs))


def norm_xnor_conv2d(
    x: Tensor,
    norm: Normalisation,
    weight: Tensor,
    alpha_param: Tensor | None = None,
    conv: BinaryConv = BinaryConv(),  # frozen
    *,
    relu: bool = False,
    keep: bool = True,
) -> Tensor:
    """:func:`batch_norm`, :func:`xnor_conv2d`, and :func:`relu` if wanted, without a map between them.

    The result is the same to the last bit. Of the normalised images nothing is kept but two bits a value; ``x`` itself,
    which the gradient of the normalisation needs, is usually the result of the block before.

    Parameters
    ----------
    x : (N, H, W, C)
    norm
        γ and β (C,), and the statistics.
    weight : (O, KH, KW, C), or (O, H W C)
        (O, H W C) is a dense layer, run as a convolution with a window of the whole image; nothing is flattened.
    alpha_param : (O,), the scales with ``scale="learned"``
    conv
        Its inputs must need bits only (:attr:`InputBinariser.needs_bits_only`).
    relu
        Whether negative results become 0.
    keep
        Whether to keep the result for the gradient of the ReLU, or to compute it again from the bits: worth it where
        nobody else keeps it either, as before a pooling.

    Returns
    -------
    Tensor
        (N, OH, OW, O)

    Raises
    ------
    ValueError
        For inputs that need more than bits, and for shapes that do not fit together.
    NotFiniteError
        For weights that are not finite.
    """
    if not conv.inputs.needs_bits_only:
        raise ValueError("norm_xnor_conv2d keeps no map: inputs need use_k=False and ste='clip', or use xnor_conv2d")
    tensors = (x, norm.gamma, norm.beta, weight, alpha_param)
    return _NormXnorConv2d.apply(*tensors, statistics=norm.statistics, conv=conv, relu=relu, keep=keep)


class _XnorConv2d(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, weight: Float, alpha: Float | None, *, conv: BinaryConv) -> Float:
        product = conv.inputs.product(conv, x.shape, weight, alpha)
        bits, within = product.pack(x)
        y = product.forward(bits)
        K = None
        if conv.inputs.use_k:
            # Eq. 11: one number a pixel, the mean magnitude of what its window covers, for all filters.
            K = bk.scale_map(x, product.shape[1:3], conv.stride, conv.padding)
            y *= K
        # The clipped estimator needs one bit a value, the polynomial the values.
        ctx.save(product, K, within if conv.inputs.ste == "clip" else x)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        product, K, passes = ctx.saved
        if K is not None:
            # y = K (…), and K counts as a constant.
            grad = np.multiply(grad, K, out=ctx.reusable(grad))
        grad_sign, *grads = product.backward(ctx, product.before_backward(ctx, grad))
        if grad_sign is None:
            return None, *grads
        if product.conv.inputs.ste == "polynomial":
            return bk.polynomial_grad(grad_sign, passes, out=grad_sign), *grads
        # Clipped straight-through estimator: sign(x) passes the gradient on where |x| <= 1, and nothing elsewhere.
        grad_sign *= unpack_bits(passes, grad_sign.shape[3])
        return grad_sign, *grads


class _NormXnorConv2d(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, *arrays: Any, statistics: Statistics, conv: BinaryConv, relu: bool, keep: bool) -> Float:
        x, gamma, beta, weight, alpha = arrays
        product = conv.inputs.product(conv, x.shape, weight, alpha)
        mean, var = statistics.of(x, ctx)
        # Normalised, compared and packed in one pass over x; a map of real numbers between them never exists.
        bits, within = product.pack_normalised(x, (gamma, beta, mean, var, statistics.eps))
        y = product.forward(bits, relu)
        norm = gamma, mean, var, statistics.eps
        ctx.save(product, x, norm, statistics.training, within, relu, y if relu and keep else None)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        product, x, norm, training, within, relu, y = ctx.saved
        ctx.saved = ()  # so that each map goes as soon as it is used
        if relu and y is None:
            y = product.forward(product.bits, True)
        grad, y = product.before_backward(ctx, grad, y), None  # y goes before another map comes
        grad_sign, *grads = product.backward(ctx, grad)
        if grad_sign is None:
            return None, None, None, *grads
        return *grad_of_norm_and_bits(ctx, grad_sign, within, x, norm, training, grad_sign), *grads
