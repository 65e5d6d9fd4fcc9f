"""Kinds of layers of a mapping that PyTorch has too, with real weights or without weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ... import graph as nodes
from ..builder import batch_norm, channels_last
from ..report import ConversionError
from .layer import Layer, choice, four, kind, number, pair, word


@kind("conv")
@dataclass(frozen=True)
class _Conv:
    """``torch.nn.Conv2d``."""

    stride: Any = 1
    padding: Any = 0
    groups: Any = 1

    def build(self, layer: Layer, name: str) -> None:
        weight = channels_last(layer.real("weight", 4))
        stride, padding, bias = pair("stride", self.stride), four("padding", self.padding), _bias(layer, len(weight))
        settings: dict[str, Any] = {"weight": weight, "bias": bias, "groups": self.groups}
        layer.add(nodes.Conv, shape=weight.shape, stride=stride, padding=padding, **settings)
        layer.tell(name, f"Conv {weight.shape[1]}x{weight.shape[2]}, {len(weight)} filters")


@kind("linear")
@dataclass(frozen=True)
class _Linear:
    """``torch.nn.Linear``."""

    def build(self, layer: Layer, name: str) -> None:
        weight = np.ascontiguousarray(layer.columns(layer.real("weight", 2)))
        settings = {"stride": (1, 1), "padding": (0, 0, 0, 0), "bias": _bias(layer, len(weight))}
        note = "columns in the order row, column, channel" if layer.at.flattened else ""
        layer.add(nodes.Conv, shape=weight.shape, weight=weight, **settings)
        forget_order(layer)
        layer.tell(name, f"dense Conv, {weight.shape[1]} to {weight.shape[0]}", note)


def _bias(layer: Layer, filters: int) -> Any:
    if not layer.has("bias"):
        return None
    bias = layer.real("bias", 1)
    if len(bias) != filters:
        raise ConversionError(f"its bias has {len(bias)} numbers for {filters} filters")
    return bias


def forget_order(layer: Layer) -> None:
    """After a dense layer features have one order in both tools."""
    layer.at = type(layer.at)(layer.at.node)


@kind("batch_norm")
@dataclass(frozen=True)
class _BatchNorm:
    """``torch.nn.BatchNorm1d`` and ``2d`` in evaluation, with or without γ and β."""

    epsilon: Any = None

    def build(self, layer: Layer, name: str) -> None:
        epsilon = layer.epsilon if self.epsilon is None else float(number("epsilon", self.epsilon))
        gamma, beta = (layer.vector(each) if layer.has(each) else None for each in ("weight", "bias"))
        mean, variance = layer.vector("running_mean"), layer.vector("running_var")
        layer.add(nodes.BatchNorm, **batch_norm(mean, variance, gamma, beta, epsilon))
        layer.tell(name, "BatchNorm", f"ε {epsilon:g}" + (", no γ" if gamma is None else ""))


@dataclass(frozen=True)
class _Plain:
    """Layers without options."""

    node: ClassVar[Any]

    def build(self, layer: Layer, name: str) -> None:
        layer.add(self.node)
        layer.tell(name, self.node.__name__)


@kind("relu")
@dataclass(frozen=True)
class _Relu(_Plain):
    node: ClassVar[Any] = nodes.Relu


@kind("tanh")
@dataclass(frozen=True)
class _Tanh(_Plain):
    node: ClassVar[Any] = nodes.Tanh


@kind("sigmoid")
@dataclass(frozen=True)
class _Sigmoid(_Plain):
    node: ClassVar[Any] = nodes.Sigmoid


@kind("softmax")
@dataclass(frozen=True)
class _Softmax(_Plain):
    node: ClassVar[Any] = nodes.Softmax

    def build(self, layer: Layer, name: str) -> None:
        if len(layer.shape) != 1:
            raise ConversionError("it needs one number for each class, as after flatten")
        super().build(layer, name)


@kind("global_avg_pool")
@dataclass(frozen=True)
class _GlobalAverage(_Plain):
    """``torch.nn.AdaptiveAvgPool2d(1)`` with the flattening behind it."""

    node: ClassVar[Any] = nodes.GlobalAverage


@kind("flatten")
@dataclass(frozen=True)
class _Flatten:
    """``x.view(len(x), -1)``, remembered, because PyTorch's order of features is another one."""

    def build(self, layer: Layer, name: str) -> None:
        shape = layer.shape
        if len(shape) == 3:
            layer.add(nodes.Flatten)
            # One pixel has its channels in the same order in both tools.
            layer.at = type(layer.at)(layer.at.node, shape if shape[:2] != (1, 1) else None)
        layer.tell(name, "Flatten" if len(shape) == 3 else "nothing")


@kind("clip")
@dataclass(frozen=True)
class _Clip:
    """``torch.nn.Hardtanh`` and ``ReLU6``."""

    low: Any
    high: Any

    def build(self, layer: Layer, name: str) -> None:
        low, high = float(number("low", self.low)), float(number("high", self.high))
        layer.add(nodes.Clip, low=low, high=high)
        layer.tell(name, f"Clip {low:g} to {high:g}")


@kind("prelu")
@dataclass(frozen=True)
class _PRelu:
    """``torch.nn.PReLU``."""

    weight: Any = "weight"

    def build(self, layer: Layer, name: str) -> None:
        layer.add(nodes.PRelu, slope=layer.vector(word("weight", self.weight)))
        layer.tell(name, "PRelu")


@kind("shift")
@dataclass(frozen=True)
class _Shift:
    """A learned bias, or with ``value`` a number, added to each channel."""

    tensor: Any = "bias"
    value: Any = None

    def build(self, layer: Layer, name: str) -> None:
        layer.add(nodes.Shift, shift=_operand(layer, self.tensor, self.value))
        layer.tell(name, "Shift")


@kind("scale")
@dataclass(frozen=True)
class _Scale:
    """A learned factor, or with ``value`` a number, for each channel."""

    tensor: Any = "weight"
    value: Any = None

    def build(self, layer: Layer, name: str) -> None:
        layer.add(nodes.Scale, factor=_operand(layer, self.tensor, self.value))
        layer.tell(name, "Scale")


def _operand(layer: Layer, tensor: Any, value: Any) -> Any:
    if value is None:
        return layer.vector(word("tensor", tensor))
    return np.full(1, number("value", value), np.float32)


@dataclass(frozen=True)
class _Pool:
    size: Any
    stride: Any = None
    padding: Any = 0

    node: ClassVar[Any]

    def build(self, layer: Layer, name: str) -> None:
        size, padding = pair("size", self.size), four("padding", self.padding)
        stride = size if self.stride is None else pair("stride", self.stride)
        became = "nothing"
        # A block may have windows of one pixel where its stride is 1.
        if (size, stride, padding) != ((1, 1), (1, 1), (0, 0, 0, 0)):
            layer.add(self.node, kernel_size=size, stride=stride, padding=padding)
            became = f"{self.node.__name__} {size[0]}x{size[1]}"
        layer.tell(name, became)


@kind("max_pool")
@dataclass(frozen=True)
class _MaxPool(_Pool):
    """``torch.nn.MaxPool2d``."""

    node: ClassVar[Any] = nodes.MaxPool


@kind("avg_pool")
@dataclass(frozen=True)
class _AvgPool(_Pool):
    """``torch.nn.AvgPool2d``; the border counts as zeros."""

    node: ClassVar[Any] = nodes.AvgPool


@kind("add")
@dataclass(frozen=True)
class _Add:
    """The sum of two layers."""

    joins: ClassVar[bool] = True

    def build(self, layer: Layer, name: str) -> None:
        orders = {each.flattened for each in layer.inputs}
        if len(layer.inputs) != 2 or len(orders) != 1:
            raise ConversionError('it adds two layers of one shape, such as from = ["previous", "input"]')
        layer.join(nodes.Add)
        layer.at = type(layer.at)(layer.at.node, orders.pop())
        layer.tell(name, "Add")


@kind("concat")
@dataclass(frozen=True)
class _Concat:
    """``torch.cat(..., dim=1)``: the channels of several layers."""

    joins: ClassVar[bool] = True

    def build(self, layer: Layer, name: str) -> None:
        if any(each.flattened for each in layer.inputs):
            raise ConversionError("it joins maps before they are flattened")
        layer.join(nodes.Concatenate)
        layer.tell(name, "Concatenate", f"{len(layer.inputs)} layers")


@kind("sign")
@dataclass(frozen=True)
class _Sign:
    """The sign of each number; xnor layers take it themselves. ``zero`` is the sign of 0."""

    zero: Any = 1

    def build(self, layer: Layer, name: str) -> None:
        add_sign(layer, choice("zero", self.zero, 1, -1))
        layer.tell(name, "Sign", f"sign(0) = {self.zero:+d}")


def add_sign(layer: Layer, zero: int, suffix: str = "") -> None:
    """Add a sign with sign(0) = ``zero``."""
    # x >= the smallest number above 0 is x > 0.
    least = np.nextafter(np.float32(0), np.float32(1))
    layer.add(nodes.Sign, suffix, threshold=None if zero == 1 else np.full(layer.shape[-1], least, np.float32))
