"""Products of levels with levels: weights and inputs of k bits in the place of signs (section 3.2, ADR 0019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import binnet_kernels as bk
from binnet_kernels import checks
from binnet_kernels.checks import Float

from ..binarize import WeightBinariser
from ..norm import NormConstants
from ..xnor_conv import InputBinariser, SignProduct


class LevelProduct(SignProduct):
    """``(q_m(x) ⊛ q_k(W / r)) α``, where q has evenly spaced levels from −1 to +1: 2, as signs are, for one bit."""

    def prepare(self, filters: Float, alpha: Float) -> Any:
        # k · m products of planes of bits, doubled and added inside the register tile (ADR 0019).
        bits = self.conv.weights.precision, self._act_bits
        return bk.KbitConv2d(filters, *bits, self.conv.stride, *self.border, alpha)

    @property
    def _act_bits(self) -> int:
        assert isinstance(self.conv.inputs, InputQuantiser)
        return self.conv.inputs.bits

    def pack(self, x: Float) -> Any:
        return bk.level_planes(x, self._act_bits, *self.border)

    def pack_normalised(self, x: Float, norm: NormConstants) -> Any:
        return bk.norm_level_planes(x, *norm, self._act_bits, *self.border)

    def grad_input(self, grad: Any) -> Float:
        if self.conv.weights.precision == 1:
            return super().grad_input(grad)
        # Levels of several bits are no signs: W̃ is written out as floats, for this product only.
        hat = bk.level_weight_hat(self.latent, self.plan.alpha, self.conv.weights.precision).reshape(self.shape)
        return bk.conv2d_grad_input(grad, hat, self.x_shape, self.conv.stride, self.conv.padding)

    def grad_weight(self, grad: Any, cuts: Sequence[int] | None) -> Float:
        # Bits of levels have one axis more than those of signs.
        window = self.shape, self.x_shape, self.conv.stride
        return bk.level_grad_weight(self.bits, grad, *window, *self.border, cuts=cuts)


@dataclass(frozen=True)
class WeightQuantiser(WeightBinariser):
    """Weights of several bits, ``W̃ = α q_k(W / r)``, for layers whose inputs an :class:`InputQuantiser` makes.

    α is r itself unless it is learned or left out; r is that of Eq. 6 times a constant, see
    :func:`binnet_kernels.weight_range`. The other attributes are those of :class:`binnet.ops.WeightBinariser`.

    Attributes
    ----------
    bits
        k, from 1 to 8; ValueError otherwise.
    """

    bits: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "bits", checks.whole_bits(self.bits, "weight_bits"))

    @property
    def precision(self) -> int:
        return self.bits

    def scales(self, latent: Float) -> Float:
        return bk.weight_range(latent, self.bits)

    @property
    def scales_are_means(self) -> bool:
        return True

    def grad_weight(self, grad_hat: Float, latent: Float, alpha: Float) -> Float:
        rule = self.weight_gradient, self.scale == "mean"
        return bk.level_weight_gradient(grad_hat, latent, alpha, *rule, self.bits, out=grad_hat)

    def grad_alpha(self, grad_hat: Float, latent: Float) -> Float:
        return bk.level_grad_alpha(grad_hat, latent, self.bits)


@dataclass(frozen=True)
class InputQuantiser(InputBinariser):
    """Inputs of several bits: levels q_m(x), whose gradient passes where |x| <= 1.

    Weights may have one bit or several. The other attributes are those of :class:`binnet.ops.InputBinariser`.

    Attributes
    ----------
    bits
        m, from 1 to 8.

    Raises
    ------
    ValueError
        On construction, for other bits, and for another ``ste`` than "clip".
    """

    bits: int = 1

    product: ClassVar[type[SignProduct]] = LevelProduct

    def __post_init__(self) -> None:
        # The polynomial has no counterpart: it rises and falls around the one threshold of a sign.
        super().__post_init__()
        object.__setattr__(self, "bits", checks.whole_bits(self.bits, "act_bits"))  # an int, which model files can hold
        if self.ste != "clip":
            raise ValueError(f"the gradient of levels is clipped, but ste is {self.ste!r}")
