"""Layers with binary weights, and with binary weights and inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from binnet_kernels.checks import Float, Pair, pair

from .. import ops
from ..autograd import Tensor
from . import init
from .module import Module, Parameter
from .options import BinaryOptions

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


class Quantise(Module):
    """The activation of ``bits`` bits: levels from −1 to +1, with a clipped straight-through gradient."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            ops.check_finite(x.array)
        return ops.quantise(x, self.bits)


class GradientRounding(Module):
    """Rounds what comes back to a binary layer, so that its backward pass is binary too.

    Its random numbers are a function of ``seed`` and of the number of training passes so far, both buffers as in
    :class:`binnet.nn.Dropout`.
    """

    buffer_names = ("seed", "step")

    def __init__(self, how: str, bits: int, seed: Sequence[int] | None = None) -> None:
        super().__init__()
        self.how, self.bits, self.seed = how, bits, init.make_seed(seed)
        self.step = np.zeros((), np.int64)

    def next(self) -> ops.Rounding:
        """For the pass that begins now."""
        seed = np.random.SeedSequence([*self.seed.tolist(), int(self.step)]).generate_state(1, np.uint64)[0]
        self.step += self.training
        return ops.Rounding(self.how, self.bits, int(seed))


class BinaryLayer(Module):
    """What all four layers share: the real weights, and how they are binarised.

    Attributes
    ----------
    weight : Parameter (O, ...)
        The real weights, which the optimiser updates; the layer computes with their signs.
    alpha : Parameter (O,) or None
        The scales when they are learned.
    scale : "mean", "learned" or "none"
    center : bool
    rounding : GradientRounding or None
        In layers with binary inputs, when ``binary_gradient`` is on.
    """

    binary_input = False

    def __init__(
        self,
        shape: tuple[int, ...],
        options: BinaryOptions,
        scaled: bool,
        rng: np.random.Generator | int,
        seed: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.options = options
        self.scale = options.scale if scaled else "none"
        self.center = options.center
        self.use_k = options.use_k and scaled
        self.pad_value = options.pad_value
        limit = 1.0 if options.clip else None
        self.weight = Parameter(init.he_normal(shape, rng), binary=True, clip=limit, decay=False)
        self.alpha: Parameter | None = None
        if self.scale == "learned":
            self.alpha = Parameter(self._first_scales(), decay=False)
        self.rounding: GradientRounding | None = None
        if self.binary_input and options.binary_gradient != "off":
            self.rounding = GradientRounding(options.binary_gradient, options.grad_bits, seed)

    def _first_scales(self) -> Float:
        if init.is_outline(self.weight.array):
            return np.zeros(len(self.weight.array), np.float32)
        return ops.Rule(center=self.center, bits=self.weight_bits).binary_weight(self.weight.array, None)[1]

    def binary_weight(self) -> tuple[Float, Float]:
        """The array whose signs (levels) the layer computes with, and the scales α (O,); to pack the layer."""
        rule = ops.Rule(self.scale, center=self.center, bits=self.weight_bits)
        return rule.binary_weight(self.weight.array, None if self.alpha is None else self.alpha.array)

    @property
    def weight_bits(self) -> int:
        """Of each weight: those of the options where inputs are binary, else 1."""
        return self.options.weight_bits if self.binary_input else 1

    @property
    def bits(self) -> dict[str, int]:
        """Of weights and inputs, as :mod:`binnet.ops` takes them where they are more than one each."""
        return {"weight_bits": self.weight_bits, "act_bits": self.options.act_bits}

    @property
    def ste(self) -> str:
        """The straight-through gradient of the input: that of levels is always clipped."""
        return "clip" if self.options.levels else self.options.ste

    @property
    def needs_signs_only(self) -> bool:
        """Whether bits are all that both passes need of a binary input: K and the polynomial need the values."""
        return self.ste == "clip" and not self.use_k

    def rule(self) -> dict[str, Any]:
        """How the weights are binarised and differentiated, as :mod:`binnet.ops` takes it."""
        return {"scale": self.scale, "weight_gradient": self.options.weight_gradient, "center": self.center}

    def of_pass(self) -> dict[str, Any]:
        """What a pass over binary inputs takes beside the rule; each call counts as a pass."""
        return {"rounding": None if self.rounding is None else self.rounding.next(), **self.bits}


class _Conv(BinaryLayer):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        options: BinaryOptions | None = None,
        scaled: bool = True,
        rng: np.random.Generator | int,
        seed: Sequence[int] | None = None,
    ) -> None:
        kh, kw = pair(kernel_size, "kernel_size", 1)
        super().__init__((out_channels, kh, kw, in_channels), options or BinaryOptions(), scaled, rng, seed)
        self.stride, self.padding = pair(stride, "stride", 1), pair(padding, "padding", 0)


class _Linear(BinaryLayer):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        options: BinaryOptions | None = None,
        scaled: bool = True,
        rng: np.random.Generator | int,
        seed: Sequence[int] | None = None,
    ) -> None:
        super().__init__((out_features, in_features), options or BinaryOptions(), scaled, rng, seed)


class BinConv2d(_Conv):
    """XNOR convolution: signs of the input with signs of the weights, times α and K (Eq. 11); levels with several bits.

    (N, H, W, in_channels) to (N, OH, OW, out_channels). The sign of the input is taken inside, so a batch
    normalisation should stand before it. No bias, as in the paper.

    Parameters
    ----------
    kernel_size, stride, padding
        An int or a pair (vertical, horizontal).
    options
        See :class:`BinaryOptions`; ``order`` is not used here.
    scaled
        False: no α and no K, the layer of BNN (arXiv:1602.02830).
    rng
        Draws the initial weights; a whole number is the seed of a generator for this layer alone.
    seed
        Of the random numbers in ``binary_gradient``, whole numbers; None for one of this layer's own.
    """

    binary_input = True

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", self.weight.shape[3])
        if self.training:
            ops.check_finite(x.array)
        options = {**self._window(), **self.rule(), **self.of_pass()}
        return ops.xnor_conv2d(x, self.weight, self.alpha, use_k=self.use_k, ste=self.ste, **options)

    def after_norm(self, x: Tensor, norm: BatchNorm, *, flat: bool, relu: bool, keep: bool) -> Tensor:
        """``relu(self(norm(x)))`` as one function; ``flat`` has no meaning here. See the op for ``keep``."""
        self.expect(x.shape, "N", "H", "W", self.weight.shape[3])
        options = {**self._window(), **self.rule(), **self.of_pass()}
        return ops.norm_xnor_conv2d(
            x, norm.gamma, norm.beta, norm.statistics(), self.weight, self.alpha, relu=relu, keep=keep, **options
        )

    def _window(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "pad_value": self.pad_value}


class BinLinear(_Linear):
    """XNOR dense layer, (N, in_features) to (N, out_features); see :class:`BinConv2d`. K is the mean of a row's |x|."""

    binary_input = True

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", self.weight.shape[1])
        if self.training:
            ops.check_finite(x.array)
        options = {**self.rule(), **self.of_pass()}
        return ops.xnor_linear(x, self.weight, self.alpha, use_k=self.use_k, ste=self.ste, **options)

    def after_norm(self, x: Tensor, norm: BatchNorm, *, flat: bool, relu: bool, keep: bool) -> Tensor:
        """``relu(self(norm(x)))`` as one function; with ``flat`` a flattening stands behind the normalisation."""
        self.expect((len(x), math.prod(x.shape[1:])) if flat else x.shape, "N", self.weight.shape[1])
        images = x if x.ndim == 4 else ops.as_pixels(x)
        options = {**self.rule(), **self.of_pass()}
        y = ops.norm_xnor_conv2d(
            images, norm.gamma, norm.beta, norm.statistics(), self.weight, self.alpha, relu=relu, keep=keep, **options
        )
        return ops.as_rows(y)


class BwnConv2d(_Conv):
    """Convolution of real inputs with binary weights (Eq. 1), padding with 0.

    Parameters are those of :class:`BinConv2d`. ``scaled=False`` leaves α out: the layer of BinaryConnect
    (arXiv:1511.00363, its deterministic form).
    """

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", self.weight.shape[3])
        return ops.bwn_conv2d(x, self.weight, self.alpha, stride=self.stride, padding=self.padding, **self.rule())


class BwnLinear(_Linear):
    """Dense layer of real inputs with binary weights, (N, in_features) to (N, out_features)."""

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", self.weight.shape[1])
        return ops.bwn_linear(x, self.weight, self.alpha, **self.rule())
