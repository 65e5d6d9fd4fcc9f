"""Rounded gradients: the convolutions of the backward pass are binary as well (section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import binnet_kernels as bk
from binnet_kernels import tree
from binnet_kernels.checks import Float

from ...context import Context
from ..xnor_conv import InputBinariser, SignProduct


class RoundedProduct(SignProduct):
    """The product of signs with signs whose gradient is rounded to levels before it is used."""

    _rounded: Callable[[slice], bk.QuantisedGradient]  # the rounded gradient of some images of a divided batch

    def before_backward(self, ctx: Context, grad: Float, y: Float | None = None) -> Any:
        rounding = self.conv.inputs
        assert isinstance(rounding, RoundedGradient)
        how, batch = (rounding.how, rounding.bits, rounding.seed), ctx.batch
        # Rounded twice: times α for the gradient of the input, without α for that of the weights.
        if batch is None:
            return bk.quantise_gradient(grad, self.plan.alpha, y, *how)
        peaks = batch.largest(bk.gradient_peaks(grad, y))

        def rounded(images: slice) -> bk.QuantisedGradient:
            outcome = None if y is None else y[images]
            where = {"first": batch.first + images.start, "peaks": peaks}
            return bk.quantise_gradient(grad[images], self.plan.alpha, outcome, *how, **where)

        self._rounded = rounded
        return rounded(slice(0, len(grad)))

    def grad_input(self, grad: Any) -> Float:
        window = self.x_shape, self.conv.stride, self.conv.padding
        return bk.quantised_grad_input(grad, self.plan.weight_signs, *window)

    def grad_weight(self, grad: Any, cuts: Sequence[int] | None) -> Float:
        window = self.shape, self.conv.stride, *self.border
        if cuts is None:
            return bk.quantised_grad_weight(self.bits, grad, *window)

        # Bits are packed along the pixels, so each micro-batch is rounded again: to the same levels as above.
        def of_micro_batch(first: int, last: int) -> Float:
            images = slice(first, last)
            return bk.quantised_grad_weight(self.bits[images], self._rounded(images), *window)

        return tree.add_parts(cuts, of_micro_batch)


@dataclass(frozen=True)
class RoundedGradient(InputBinariser):
    """Signs as inputs, where the gradient that comes back to the convolution is rounded.

    For weights of one bit. The other attributes are those of :class:`binnet.ops.InputBinariser`.

    Attributes
    ----------
    how, bits
        See :func:`binnet_kernels.quantise_gradient`.
    seed
        Of 64 bits; another one for each layer and step.
    """

    how: str = "ternary"
    bits: int = 1
    seed: int = 0

    product: ClassVar[type[SignProduct]] = RoundedProduct
