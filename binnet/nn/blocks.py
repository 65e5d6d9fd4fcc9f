"""Blocks of layers in the order of the paper (figure 3): the same network description serves all five modes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from binnet_kernels.checks import Pair

from .binary import BinConv2d, BinLinear, BwnConv2d, BwnLinear, Sign
from .layers import BatchNorm, Conv2d, Dropout, Flatten, Linear, Named, ReLU
from .module import Module
from .options import MODES, BinaryOptions, check_word


class Blocks:
    """Builds the blocks of one network.

    ============================== ====================================================
    ``xnor``, ``bnn``, order bacp  BatchNorm – (sign inside) BinConv – [ReLU] – Pool
    ``xnor``, ``bnn``, order cbap  BinConv – BatchNorm – Sign – Pool
    ``float``                      Conv – BatchNorm – ReLU – Pool
    ``bwn``, ``binaryconnect``     BwnConv – BatchNorm – ReLU – Pool
    ============================== ====================================================

    ``bnn`` is ``xnor``, and ``binaryconnect`` is ``bwn``, without scales and K.

    Every method returns layers with names: the convolution or dense layer has the block's ``name``, the others
    ``name_norm``, ``name_flatten``, ``name_relu``, ``name_sign`` and ``name_pool``.

    Parameters
    ----------
    mode
        One of ``MODES``; ValueError otherwise.
    options
        Those of the binary layers.
    seed
        All chance in the network comes from it.
    """

    def __init__(self, mode: str, options: BinaryOptions, seed: int = 0) -> None:
        check_word("binarize", mode, MODES)
        self.mode, self.options, self.seed = mode, options, seed
        self.rng = np.random.default_rng(seed)
        self.scaled = mode in ("xnor", "bwn")
        self.binary_input = mode in ("xnor", "bnn")
        self.norm_first = self.binary_input and options.order == "bacp"
        self._dropouts = 0

    def conv(
        self,
        name: str,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        relu: bool = True,
        pool: Module | None = None,
    ) -> list[Named]:
        """A block around a binary convolution (a real one in the mode ``float``).

        ``relu`` asks for a ReLU after the convolution in the order bacp; the other orders have their activation anyway.
        """
        window = (in_channels, out_channels, kernel_size, stride, padding)
        if self.mode == "float":
            layer: Module = Conv2d(*window, rng=self.rng)
        else:
            layer = (BinConv2d if self.binary_input else BwnConv2d)(*window, **self._binary())
        return self._arrange(name, layer, in_channels, out_channels, relu, [], pool)

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
        else:
            layer = (BinLinear if self.binary_input else BwnLinear)(in_features, out_features, **self._binary())
        flatten: list[Named] = [] if norm_features is None else [(f"{name}_flatten", Flatten())]
        return self._arrange(name, layer, norm_features or in_features, out_features, relu, flatten, None)

    def first_conv(
        self,
        name: str,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        pool: Module | None = None,
    ) -> list[Named]:
        """The block at the image, real in every mode: Conv – BatchNorm – ReLU (Sign in the order cbap) – Pool."""
        layer = Conv2d(in_channels, out_channels, kernel_size, stride, padding, rng=self.rng)
        after: list[Named] = [(name, layer), (f"{name}_norm", BatchNorm(out_channels)), self._activation(name)]
        return after + _pooling(name, pool)

    def last_linear(self, name: str, in_features: int, num_classes: int) -> list[Named]:
        """The classifier, real in every mode, with a bias."""
        return [(name, Linear(in_features, num_classes, rng=self.rng))]

    def dropout(self, name: str, p: float) -> list[Named]:
        """Dropout with masks of its own; nothing for ``p = 0``."""
        self._dropouts += 1
        return [(name, Dropout(p, seed=[self.seed, self._dropouts]))] if p else []

    def _binary(self) -> dict[str, Any]:
        options = self.options
        if self.binary_input and not self.norm_first:
            # The input has gone through Sign already. A second sign changes nothing, but the polynomial would
            # multiply the gradient by its value at ±1, which is 0.
            options = dataclasses.replace(options, ste="clip")
        return {"options": options, "scaled": self.scaled, "rng": self.rng}

    def _activation(self, name: str) -> Named:
        if self.binary_input and not self.norm_first:
            return f"{name}_sign", Sign(self.options.ste)
        return f"{name}_relu", ReLU()

    def _arrange(
        self,
        name: str,
        layer: Module,
        norm_before: int,
        norm_after: int,
        relu: bool,
        flatten: Sequence[Named],
        pool: Module | None,
    ) -> list[Named]:
        if self.norm_first:
            rectify = [self._activation(name)] if relu else []
            return [(f"{name}_norm", BatchNorm(norm_before)), *flatten, (name, layer), *rectify, *_pooling(name, pool)]
        norm: Named = (f"{name}_norm", BatchNorm(norm_after))
        return [*flatten, (name, layer), norm, self._activation(name), *_pooling(name, pool)]


def _pooling(name: str, pool: Module | None) -> list[Named]:
    return [] if pool is None else [(f"{name}_pool", pool)]
