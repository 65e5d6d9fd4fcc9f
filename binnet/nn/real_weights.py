"""Layers with real weights and binary inputs: the step before binary weights when a training goes in stages.

Bulat and Tzimiropoulos train so (arXiv:1909.13863), and so do Real-to-Binary (arXiv:2003.11535) and ReActNet
(arXiv:2003.03488): the network learns with the signs of its inputs first, and with those of its weights later.
"""

from __future__ import annotations

import numpy as np

from binnet_kernels.checks import Pair, pair

from .. import ops
from ..autograd import Tensor
from ..ops.binarize import check_ste
from . import init
from .module import Module, Parameter


class SignConv2d(Module):
    """Convolution of the signs of the input with real weights, (N, H, W, in_channels) to (N, OH, OW, out_channels).

    Names and shapes of its parameters are those of :class:`binnet.nn.BinConv2d`, so that its weights can become the
    latent weights of one. It has no scale, because real weights have one already, and no K. In training it refuses NaN
    and infinities (LayerError).

    Parameters
    ----------
    kernel_size, stride, padding
        An int or a pair (vertical, horizontal).
    ste
        Gradient of the sign, as for :func:`binnet.ops.sign`.
    pad_value
        What the border counts as: 0, +1 or −1.
    rng
        Draws the initial weights; a whole number is the seed of a generator for this layer alone.

    Raises
    ------
    ValueError
        On construction for numbers out of range and an unknown ``ste``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        ste: str = "clip",
        pad_value: int = 0,
        rng: np.random.Generator | int,
    ) -> None:
        super().__init__()
        kh, kw = pair(kernel_size, "kernel_size", 1)
        self.stride, self.padding = pair(stride, "stride", 1), pair(padding, "padding", 0)
        self.ste, self.pad_value = check_ste(ste), pad_value
        self.weight = Parameter(init.he_normal((out_channels, kh, kw, in_channels), rng))

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", self.weight.shape[3])
        if self.training:
            ops.check_finite(x.array)  # sign(NaN) = +1 would hide that a training has diverged
        signs, padding = ops.sign(x, self.ste), self.padding
        if self.pad_value and padding != (0, 0):
            signs, padding = ops.pad(signs, padding, float(self.pad_value)), (0, 0)
        return ops.conv2d(signs, self.weight, None, stride=self.stride, padding=padding)


class SignLinear(Module):
    """Dense layer of the signs of the input with real weights, (N, in_features) to (N, out_features).

    See :class:`SignConv2d`; its parameters are those of :class:`binnet.nn.BinLinear`.
    """

    def __init__(
        self, in_features: int, out_features: int, *, ste: str = "clip", rng: np.random.Generator | int
    ) -> None:
        super().__init__()
        self.ste = check_ste(ste)
        self.weight = Parameter(init.he_normal((out_features, in_features), rng))

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", self.weight.shape[1])
        if self.training:
            ops.check_finite(x.array)
        return ops.linear(ops.sign(x, self.ste), self.weight, None)
