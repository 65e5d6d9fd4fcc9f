"""Blocks of layers in the order of the paper (figure 3): the same network description serves all five modes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from binnet_kernels.checks import Pair, pair

from .binary import BinConv2d, BinLinear, BwnConv2d, BwnLinear, Sign
from .containers import Named, Residual, Sequential
from .init import make_rng
from .layers import BatchNorm, Conv2d, Dropout, Flatten, Linear, ReLU
from .lowbit import Quantise
from .module import Module
from .options import MODES, BinaryOptions, check_word
from .real_weights import SignConv2d, SignLinear

SIGN_EPS = 1e-4  # of a batch normalisation before a sign (authors' code); elsewhere the 1e-5 of BatchNorm


class Blocks:
    """Builds the blocks of one network.

    ============================== ====================================================
    ``xnor``, ``bnn``, order bacp  BatchNorm – (sign inside) BinConv – [ReLU]
    ``xnor``, ``bnn``, order cbap  BinConv – BatchNorm – Sign
    ``float``                      Conv – BatchNorm – ReLU
    ``bwn``, ``binaryconnect``     BwnConv – BatchNorm – ReLU
    ============================== ====================================================

    ``bnn`` is ``xnor``, and ``binaryconnect`` is ``bwn``, without scales and K. With ``act_bits`` above 1 there is
    Quantise in place of Sign, under the same name. With ``weights="real"`` SignConv stands in place of BinConv.

    Every method returns layers with names: the convolution or dense layer has the block's ``name``, the others
    ``name_norm``, ``name_flatten``, ``name_relu`` and ``name_sign``; a residual block is one layer. Pooling is for the
    network to add, behind the block.

    Parameters
    ----------
    mode
        One of ``MODES``; ValueError otherwise.
    options
        Those of the binary layers.
    seed
        All random numbers of the network follow from it: weights, dropout, rounding of gradients.
    """

    def __init__(self, mode: str, options: BinaryOptions, seed: int = 0) -> None:
        check_word("binarize", mode, MODES)
        self.mode, self.options, self.seed = mode, options, seed
        self.rng = make_rng(seed)
        self.scaled = mode in ("xnor", "bwn")
        self.binary_input = mode in ("xnor", "bnn")
        # Real inputs are normalised behind the layer; a sign wants its input normalised before it (section 3.2).
        self.norm_first = self.binary_input and options.order == "bacp"
        self.real_weights = self.binary_input and options.weights == "real"
        self.one_bit_classifier = options.classifier == "one-bit" and mode != "float"
        # Counted, so that each dropout and each rounding of gradients has a seed of its own that follows from `seed`.
        self._dropouts = self._layers = 0

    def conv(
        self,
        name: str,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        relu: bool | None = True,
    ) -> list[Named]:
        """A block around a binary convolution (a real one in the mode ``float``).

        Parameters
        ----------
        relu
            Whether a ReLU follows the convolution in the order bacp; the other orders have their activation anyway.
            None: nothing follows the convolution and its normalisation in any order, as before a residual sum.
        """
        layer = self.conv_layer(in_channels, out_channels, kernel_size, stride, padding)
        after = self._after(name, bool(relu), relu is not None)
        return self._arrange(name, layer, in_channels, out_channels, [], after)

    def linear(
        self, name: str, in_features: int, out_features: int, *, norm_features: int | None = None, relu: bool = True
    ) -> list[Named]:
        """A block around a binary dense layer (a real one in the mode ``float``).

        Parameters
        ----------
        norm_features
            Given when the input is still an image with so many channels: it is flattened just before the dense layer,
            so that a normalisation in front of it (order bacp) has one mean a channel instead of one a pixel.
        """
        if self.mode == "float":
            layer: Module = Linear(in_features, out_features, bias=False, rng=self.rng)
        elif self.real_weights:
            layer = SignLinear(in_features, out_features, ste=self._options().ste, rng=self.rng)
        else:
            layer = (BinLinear if self.binary_input else BwnLinear)(in_features, out_features, **self._binary())
        # Flattened behind a normalisation that stands first: one mean a channel, not one a pixel.
        flatten: list[Named] = [] if norm_features is None else [(f"{name}_flatten", Flatten())]
        after = self._after(name, relu, True)
        return self._arrange(name, layer, norm_features or in_features, out_features, flatten, after)

    def conv_layer(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        act_bits: int | None = None,
    ) -> Module:
        """The convolution of the mode, alone.

        Parameters
        ----------
        act_bits
            Bits of its inputs where they are binary; None for those of the options.
        """
        window = (in_channels, out_channels, kernel_size, stride, padding)
        if self.mode == "float":
            return Conv2d(*window, rng=self.rng)
        if self.real_weights:
            options = self._options()
            return SignConv2d(*window, ste=options.ste, pad_value=options.pad_value, rng=self.rng)
        return (BinConv2d if self.binary_input else BwnConv2d)(*window, **self._binary(act_bits))

    def residual(self, name: str, in_channels: int, out_channels: int, stride: Pair = 1) -> list[Named]:
        """Two 3×3 convolutions around which a shortcut leads (ResNet's basic block).

        ============================== =================================================================
        ``xnor``, ``bnn``, order bacp  x + (BatchNorm – BinConv – ReLU – BatchNorm – BinConv); no activation
        the others                     activation of x + (conv – BatchNorm – activation – conv – BatchNorm)
        ============================== =================================================================

        Where stride or channels change, the shortcut is a real 1×1 convolution with BatchNorm (type B of
        arXiv:1512.03385), in every mode. The activation is ReLU, or Sign in the order cbap.
        """
        body = Sequential(
            *self.conv("conv1", in_channels, out_channels, 3, stride, 1),
            *self.conv("conv2", out_channels, out_channels, 3, padding=1, relu=None),
        )
        shortcut: Module | None = None
        if in_channels != out_channels or pair(stride, "stride", 1) != (1, 1):
            conv = Conv2d(in_channels, out_channels, 1, stride, rng=self.rng)
            shortcut = Sequential(("conv", conv), ("norm", BatchNorm(out_channels)))
        return [(name, Residual(body, shortcut)), *self._after(name, False, True)]

    def first_conv(
        self,
        name: str,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
    ) -> list[Named]:
        """The block at the image, real in every mode: Conv – BatchNorm – ReLU (Sign in the order cbap)."""
        layer = Conv2d(in_channels, out_channels, kernel_size, stride, padding, rng=self.rng)
        return [(name, layer), (f"{name}_norm", BatchNorm(out_channels)), self._activation(name)]

    def last_norm(self, name: str, channels: int, *, relu: bool = True) -> list[Named]:
        """BatchNorm – [ReLU] before a classifier where no block ends so: in the order bacp of ``xnor`` and ``bnn``."""
        norm: list[Named] = [(f"{name}_norm", BatchNorm(channels))]
        return norm + self._after(name, relu, False) if self.norm_first else []

    def last_conv(self, name: str, in_channels: int, num_classes: int) -> list[Named]:
        """The classifier of every pixel: real with a bias in every mode, unless ``options.classifier`` is one-bit."""
        if self.one_bit_classifier:
            return [(name, BwnConv2d(in_channels, num_classes, 1, **self.options.for_bwn(), rng=self.rng))]
        return [(name, Conv2d(in_channels, num_classes, 1, bias=True, rng=self.rng))]

    def last_linear(self, name: str, in_features: int, num_classes: int) -> list[Named]:
        """The classifier: real with a bias in every mode, unless ``options.classifier`` is one-bit."""
        if self.one_bit_classifier:
            return [(name, BwnLinear(in_features, num_classes, **self.options.for_bwn(), rng=self.rng))]
        return [(name, Linear(in_features, num_classes, rng=self.rng))]

    def dropout(self, name: str, p: float) -> list[Named]:
        """Dropout with masks of its own; nothing for ``p = 0``."""
        self._dropouts += 1
        return [(name, Dropout(p, seed=[self.seed, self._dropouts]))] if p else []

    def _binary(self, act_bits: int | None = None) -> dict[str, Any]:
        """What the next binary layer takes by keyword."""
        self._layers += 1
        if not self.binary_input:
            return {**self.options.for_bwn(self.scaled), "rng": self.rng}
        options = self._options()
        if act_bits is not None:
            options = dataclasses.replace(options, act_bits=act_bits)
        return {**options.for_xnor(self.scaled, [self.seed, self._layers]), "rng": self.rng}

    def _options(self) -> BinaryOptions:
        """The options of a layer with binary inputs."""
        # In the order cbap the input has gone through Sign already. A second sign changes nothing, but the polynomial
        # would multiply the gradient by its value at ±1, which is 0.
        return self.options if self.norm_first else dataclasses.replace(self.options, ste="clip")

    def _activation(self, name: str) -> Named:
        if self.binary_input and not self.norm_first:
            bits = self.options.act_bits
            return f"{name}_sign", Sign(self.options.ste) if bits == 1 else Quantise(bits)
        return f"{name}_relu", ReLU()

    def _after(self, name: str, relu: bool, activation: bool) -> list[Named]:
        """The activation behind a layer: in the order bacp if ``relu``, in the others if ``activation``."""
        wanted = relu if self.norm_first else activation
        return [self._activation(name)] if wanted else []

    def _arrange(
        self,
        name: str,
        layer: Module,
        norm_before: int,
        norm_after: int,
        flatten: Sequence[Named],
        after: Sequence[Named],
    ) -> list[Named]:
        # bacp: BNorm, BinActiv and BinConv in this order (figure 3), the activation inside the layer.
        if self.norm_first:
            return [(f"{name}_norm", BatchNorm(norm_before, eps=SIGN_EPS)), *flatten, (name, layer), *after]
        return [*flatten, (name, layer), (f"{name}_norm", BatchNorm(norm_after)), *after]
