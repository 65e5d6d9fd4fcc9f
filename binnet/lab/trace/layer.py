"""A binary layer apart from its network: weights, scales and window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float, Window

from ...graph import XnorConv
from ...nn import Module
from ...nn.binary import BinaryLayer


@dataclass(frozen=True, eq=False)
class Layer:
    """A binary layer as its network computes it; a dense layer has a window of one pixel.

    Attributes
    ----------
    name : str
        Path of the layer in the network.
    window : Window
        Kernel size, stride and padding.
    pad_value : int
        Value of the border in the convolution of signs: 0, +1 or -1.
    use_k : bool
        Whether the network multiplies by the scale map K.
    weight : float32 (O, KH, KW, C) or None
        The real weights W, centred where the network centres them; None for a packed model, which has only signs.
    weight_sign : float32 (O, KH, KW, C)
        B = sign(W) (arXiv:1603.05279, Eq. 4).
    alpha : float32 (O,)
        The scales α; 1 where the network has none.
    scale : "mean", "learned", "none" or "stored"
        Origin of the scales: Eq. 6, learned, no scales, or a packed model, which does not record it.
    """

    name: str
    window: Window
    pad_value: int
    use_k: bool
    weight: Float | None
    weight_sign: Float
    alpha: Float
    scale: str

    @classmethod
    def of_weight(
        cls,
        weight: Any,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        *,
        pad_value: int = 0,
        use_k: bool = True,
        name: str = "layer",
    ) -> Layer:
        """A layer of real weights (O, KH, KW, C), with α from Eq. 6; the other parameters are the attributes."""
        real = np.array(weight, np.float32)
        window = Window.of(real.shape[1:3], stride, padding)
        return cls(name, window, pad_value, use_k, real, bk.sign(real), bk.weight_alpha(real), "mean")


def layer_of(node: XnorConv, network: Module | None) -> Layer:
    """The layer of a graph node.

    Parameters
    ----------
    node
        Node of a packed model.
    network
        The network that the model was packed from, which has the real weights; None when it is not known.

    Raises
    ------
    ValueError
        When the padding differs between opposite sides, which the trace does not support.
    """
    top, bottom, left, right = node.padding
    if (top, left) != (bottom, right):
        raise ValueError(f"{node.name} has the padding {node.padding}; a trace needs the same on opposite sides")
    window = Window.of(node.filters[1:3], node.stride, (top, left))
    settings = (node.name, window, node.pad_value, node.use_k)
    alpha = np.ones(node.shape[0], np.float32) if node.alpha is None else node.alpha
    # Packing keeps the paths of layers as names of nodes.
    module = None if network is None else dict(network.named_modules()).get(node.name)
    if not isinstance(module, BinaryLayer):
        signs = node.weight_sign.reshape(node.filters)
        return Layer(*settings, None, signs, alpha, "none" if node.alpha is None else "stored")
    weight = np.ascontiguousarray(module.binary_weight()[0]).reshape(node.filters)
    return Layer(*settings, weight, bk.sign(weight), alpha, module.weight_binariser.scale)
