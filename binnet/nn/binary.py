"""Layers with binary weights, and with binary weights and inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from binnet_kernels.checks import Float, Pair, pair

from .. import ops
from ..autograd import Tensor
from ..ops.binarize import PAPER, WeightBinariser
from ..ops.xnor_conv import SIGNS, BinaryConv, InputBinariser
from . import init
from .module import Module, Parameter

if TYPE_CHECKING:
    from .layers import BatchNorm


class Sign(Module):
    """The binary activation: +1 or −1, with a straight-through gradient (``ste``).

    In training it refuses NaN and infinities, as binary layers do (LayerError); in evaluation sign(NaN) is +1.
    """

    def __init__(self, ste: str = "clip") -> None:
        super().__init__()
        self.ste = ste

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            ops.check_finite(x.array)
        return ops.sign(x, self.ste)


class InputRule(Protocol):
    """Interface of input binarisers: an :class:`binnet.ops.InputBinariser`, or a module that returns one per pass."""

    @property
    def needs_bits_only(self) -> bool:
        """Whether bits are all that both passes need of the input."""

    def for_pass(self) -> InputBinariser:
        """What to use in the pass that begins now."""


def _checked(rule: InputRule) -> InputRule:
    if isinstance(rule, type) or not hasattr(rule, "for_pass"):
        raise TypeError(f"input_binariser must be an InputBinariser, or a module that gives one, got {rule!r}")
    return rule


class BinaryLayer(Module):
    """What all four layers share: the real weights, and how they are binarised.

    Attributes
    ----------
    weight : Parameter (O, ...)
        The real weights, which the optimiser updates; the layer computes with their signs.
    alpha : Parameter (O,) or None
        The scales when they are learned.
    weight_binariser : WeightBinariser
    binary_input : bool
        Whether inputs become binary, too.
    """

    binary_input = False

    def __init__(
        self, shape: tuple[int, ...], weight_binariser: WeightBinariser, rng: np.random.Generator | int
    ) -> None:
        super().__init__()
        if not isinstance(weight_binariser, WeightBinariser):
            raise TypeError(f"weight_binariser must be a WeightBinariser, got {weight_binariser!r}")
        self.weight_binariser = weight_binariser
        # Beyond ±1 the straight-through gradient of the sign is 0, so a weight out there would hardly come back. Decay
        # would pull weights towards 0, where signs flip by chance.
        limit = 1.0 if weight_binariser.clip else None
        by_signs = weight_binariser.by_signs
        self.weight = Parameter(init.he_normal(shape, rng), binary=True, clip=limit, decay=False, by_signs=by_signs)
        self.alpha: Parameter | None = None
        if weight_binariser.scale == "learned":
            self.alpha = Parameter(self.first_alpha(self.weight.array), decay=False)

    def first_alpha(self, weight: Float) -> Float:
        """What a learned α begins with for these real weights (O, ...): that of Eq. 6, (O,); zeros for an outline."""
        if init.is_outline(weight):
            return np.zeros(len(weight), np.float32)
        return self.weight_binariser.scales(ops.centred(weight) if self.weight_binariser.center else weight)

    def binary_weight(self) -> tuple[Float, Float]:
        """The array whose signs the layer computes with, (O, ...), and the scales α (O,); to pack the layer."""
        alpha = None if self.alpha is None else self.alpha.array
        return self.weight_binariser.binarise(self.weight.array, alpha)


class BinConv2d(BinaryLayer):
    """XNOR convolution: signs of the input with signs of the weights, times α and K (Eq. 11).

    (N, H, W, in_channels) to (N, OH, OW, out_channels). The sign of the input is taken inside, so a batch
    normalisation should stand before it. No bias, as in the paper. In training it refuses NaN and infinities
    (LayerError).

    Parameters
    ----------
    kernel_size, stride, padding
        An int or a pair (vertical, horizontal).
    weight_binariser
        How weights become binary; without scales it is the layer of BNN (arXiv:1602.02830).
    input_binariser
        How inputs become binary: the gradient of their sign, whether there is a K, and what the border counts as.
    rng
        Draws the initial weights; a whole number is the seed of a generator for this layer alone.
    """

    binary_input = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        weight_binariser: WeightBinariser = PAPER,
        input_binariser: InputRule = SIGNS,
        rng: np.random.Generator | int,
    ) -> None:
        super().__init__((out_channels, *pair(kernel_size, "kernel_size", 1), in_channels), weight_binariser, rng)
        self.stride, self.padding = pair(stride, "stride", 1), pair(padding, "padding", 0)
        self.input_binariser = _checked(input_binariser)

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", self.weight.shape[3])
        if self.training:
            ops.check_finite(x.array)  # sign(NaN) = +1 would hide that a training has diverged
        how = self.stride, self.padding, self.weight_binariser, self.input_binariser.for_pass()
        return ops.xnor_conv2d(x, self.weight, self.alpha, *how)

    def after_norm(self, x: Tensor, norm: BatchNorm, *, flat: bool, relu: bool, keep: bool) -> Tensor:
        """``relu(self(norm(x)))`` as one function; ``flat`` has no meaning here. See the op for ``keep``."""
        self.expect(x.shape, "N", "H", "W", self.weight.shape[3])
        # No check for NaN: the statistics of a batch, which training mode uses, have shown whether there is one.
        conv = BinaryConv(self.stride, self.padding, self.weight_binariser, self.input_binariser.for_pass())
        return ops.norm_xnor_conv2d(x, norm.normalisation(), self.weight, self.alpha, conv, relu=relu, keep=keep)


class BinLinear(BinaryLayer):
    """XNOR dense layer, (N, in_features) to (N, out_features); see :class:`BinConv2d`. K is the mean of a row's |x|."""

    binary_input = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weight_binariser: WeightBinariser = PAPER,
        input_binariser: InputRule = SIGNS,
        rng: np.random.Generator | int,
    ) -> None:
        super().__init__((out_features, in_features), weight_binariser, rng)
        self.input_binariser = _checked(input_binariser)

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", self.weight.shape[1])
        if self.training:
            ops.check_finite(x.array)
        return ops.xnor_linear(x, self.weight, self.alpha, self.weight_binariser, self.input_binariser.for_pass())

    def after_norm(self, x: Tensor, norm: BatchNorm, *, flat: bool, relu: bool, keep: bool) -> Tensor:
        """``relu(self(norm(x)))`` as one function; with ``flat`` a flattening stands behind the normalisation."""
        self.expect((len(x), math.prod(x.shape[1:])) if flat else x.shape, "N", self.weight.shape[1])
        # Rows are images of one pixel; the window is the whole image either way.
        images = x if x.ndim == 4 else ops.as_pixels(x)
        conv = BinaryConv(weights=self.weight_binariser, inputs=self.input_binariser.for_pass())
        tensors = (norm.normalisation(), self.weight, self.alpha)
        return ops.as_rows(ops.norm_xnor_conv2d(images, *tensors, conv, relu=relu, keep=keep))


class BwnConv2d(BinaryLayer):
    """Convolution of real inputs with binary weights (Eq. 1), padding with 0.

    Parameters are those of :class:`BinConv2d`. Without scales it is the layer of BinaryConnect (arXiv:1511.00363, its
    deterministic form).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        weight_binariser: WeightBinariser = PAPER,
        rng: np.random.Generator | int,
    ) -> None:
        super().__init__((out_channels, *pair(kernel_size, "kernel_size", 1), in_channels), weight_binariser, rng)
        self.stride, self.padding = pair(stride, "stride", 1), pair(padding, "padding", 0)

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", self.weight.shape[3])
        return ops.bwn_conv2d(x, self.weight, self.alpha, self.stride, self.padding, self.weight_binariser)


class BwnLinear(BinaryLayer):
    """Dense layer of real inputs with binary weights, (N, in_features) to (N, out_features)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weight_binariser: WeightBinariser = PAPER,
        rng: np.random.Generator | int,
    ) -> None:
        super().__init__((out_features, in_features), weight_binariser, rng)

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", self.weight.shape[1])
        return ops.bwn_linear(x, self.weight, self.alpha, self.weight_binariser)
