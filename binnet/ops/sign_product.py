"""The product of signs with signs (arXiv:1603.05279, section 3.2), or of levels with levels, and its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from binnet_kernels.checks import Float, Pair

from ..autograd import Context, Grad
from ..backend import kernels
from .binarize import Rule

_Two = tuple[Float | None, Float | None]


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
class ProductOptions:
    """What all functions on such a product share; see :func:`xnor_conv2d`."""

    stride: Pair
    padding: Pair
    pad_value: int
    rule: Rule
    rounding: Rounding | None
    act_bits: int


class SignProduct:
    """The product of signs with signs, or levels with levels, times α, of one call: binarised once, for both passes."""

    def __init__(self, options: ProductOptions, x_shape: tuple[int, ...], weight: Float, alpha: Float | None) -> None:
        self.options, self.x_shape = options, x_shape
        self.latent, scales = options.rule.binary_weight(weight, alpha)
        filters = self.latent if weight.ndim == 4 else self.latent.reshape(-1, *x_shape[1:])
        window, bits = (options.stride, *self.border), (options.rule.bits, options.act_bits)
        if bits != (1, 1) and options.rounding is not None:
            raise ValueError("gradients are rounded for weights and inputs of one bit only")
        if bits == (1, 1):
            self.plan = kernels().XnorConv2d(filters, *window, scales)
        else:
            self.plan = kernels().KbitConv2d(filters, *bits, *window, scales)
        self.shape, self.planes = filters.shape, None if bits == (1, 1) else options.act_bits

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
        return grad if y is None else kernels().relu_grad(grad, y, out=ctx.reusable(grad))

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
        if for_signs:
            grad_sign = self._grad_of_input(grad)
        if for_weight:
            grad_hat = kernels().sign_grad_weight(self.bits, grad, self.shape, self.x_shape, o.stride, *self.border)
        return grad_hat, grad_sign

    def _grad_of_input(self, grad: Float) -> Float:
        alpha, window = self.plan.alpha, (self.x_shape, self.options.stride, self.options.padding)
        grad_x: Float
        if self.options.rule.bits == 1:
            grad_x = kernels().sign_grad_input(grad, self.plan.weight_signs, alpha, *window)
        else:
            hat = kernels().weight_hat(self.latent, alpha, self.options.rule.bits).reshape(self.shape)
            grad_x = kernels().conv2d_grad_input(grad, hat, *window)
        return grad_x

    def _rounded(self, levels: Any, for_weight: bool, for_signs: bool) -> _Two:
        o, grad_hat, grad_sign = self.options, None, None
        if for_weight:
            grad_hat = kernels().quantised_grad_weight(self.bits, levels, self.shape, o.stride, *self.border)
        if for_signs:
            signs = self.plan.weight_signs
            grad_sign = kernels().quantised_grad_input(levels, signs, self.x_shape, o.stride, o.padding)
        return grad_hat, grad_sign
