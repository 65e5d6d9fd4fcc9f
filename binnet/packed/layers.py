"""The nodes of a graph on the arrays of a plan: which kernel runs what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float, Window

from .graph import Map, Node
from .steps import (
    Add,
    AvgPool,
    BatchNorm,
    BwnConv,
    Conv,
    GlobalAverage,
    KbitConv,
    MaxPool,
    Quantise,
    Relu,
    Step,
    XnorConv,
)

Run = Callable[[], Any]
Shape = tuple[int, ...]
ONE = Window.of(1, 1, 0)


class Arrays(Protocol):
    """What a layer finds in a plan; maps are float32 (N, H, W, C), with H = W = 1 after a dense layer."""

    def map(self, node: Node) -> Float:
        """The map that a node writes, or has written."""

    def bordered(self, node: Node, padding: tuple[int, int]) -> tuple[Float, list[Run]]:
        """The map of a node with a border of zeros, and what brings it there."""

    def bits(self, node: Node) -> Any:
        """The map of bits that a node writes, or has written."""

    def shape(self, node: Node) -> Shape:
        """The shape of its map, whether or not it is written as floats."""


def filters(node: Node, shape: Shape) -> Shape | None:
    """The shape of the filters that a node needs for a map (N, H, W, C); None where it has none.

    A binary dense layer that reads an image as if it were flattened is a convolution with filters of H x W.
    """
    if not isinstance(node.step, (Conv, BwnConv, XnorConv, KbitConv)):
        return None
    return (node.step.shape[0], *shape[1:]) if node.flat else node.step.filters


def prepare(step: Step, shape: Shape) -> Any:
    """The weights of a step, as filters of this shape, in the order in which their kernel reads them."""
    if isinstance(step, Conv):
        return bk.FusedConv2d(step.weight.reshape(shape), shape, step.stride, step.padding, bias=step.bias)
    if isinstance(step, BwnConv):
        return bk.FusedConv2d(step.signs, shape, step.stride, step.padding, alpha=step.alpha)
    if isinstance(step, KbitConv):
        window = (step.stride, step.padding, step.pad_value)
        return bk.FusedKbitConv2d(step.planes, shape, step.act_bits, *window, step.alpha, step.use_k)
    assert isinstance(step, XnorConv)
    return bk.FusedXnorConv2d(step.signs, shape, step.stride, step.padding, step.pad_value, step.alpha)


def bind(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    """What a node does, as functions without arguments, in order; nothing where it is another view of a map."""
    binder = _BINDERS.get(type(node.step))
    return binder(node, layer, arrays) if binder else []


def _finish(node: Node) -> Any:
    return bk.Finish([_in_words(step) for step in node.tail], node.limits)


def _in_words(step: Step) -> tuple[Any, ...]:
    if isinstance(step, BatchNorm):
        return "norm", step.mean, step.factor, step.shift
    return ("add",) if isinstance(step, Add) else ("relu",) if isinstance(step, Relu) else ("sign",)


def _results(node: Node, arrays: Arrays) -> dict[str, Any]:
    """The arrays that a node writes, and the one that its tail adds."""
    return {
        "residual": None if node.residual is None else arrays.map(node.residual),
        "out": arrays.map(node) if node.floats else None,
        "bits": None if node.limits is None else arrays.bits(node),
    }


def _real(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    x, runs = arrays.bordered(node.inputs[0], layer.window.padding)
    return [*runs, layer.bind(x, _finish(node), **_results(node, arrays))]


def _binary(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    source, step = node.inputs[0], node.step
    if isinstance(step, XnorConv) and step.use_k:
        return _binary_with_k(node, layer, arrays)
    if node.most is not None:
        return [layer.bind_bits(arrays.bits(source), node.most, node.flips, arrays.bits(node))]
    return [layer.bind(arrays.bits(source), _finish(node), **_results(node, arrays))]


def _binary_with_k(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    x, window = arrays.map(node.inputs[0]), layer.window
    bits = bk.BitMap(x.shape, window.border, layer.pad_value)
    K = np.empty((len(x), *window.output_size(*x.shape[1:3]), 1), np.float32)
    convolve = layer.bind(bits, _finish(node), K=K, **_results(node, arrays))
    return [bk.bind_pack_with_k(x, bits, K, window), convolve]


def _levels(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    return [layer.bind(arrays.map(node.inputs[0]), _finish(node), **_results(node, arrays))]


def _quantise(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    step, x, out = node.step, arrays.map(node.inputs[0]), arrays.map(node)
    assert isinstance(step, Quantise)
    return [lambda: np.copyto(out, bk.quantise_input(x, step.bits))]


def _largest(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    source, step = node.inputs[0], node.step
    window = step.window if isinstance(step, MaxPool) else ONE
    if node.flips is not None:
        return [bk.bind_pool_bits(arrays.bits(source), node.flips, arrays.bits(node), window)]
    return [bk.bind_map(arrays.map(source), _finish(node), window=window, **_results(node, arrays))]


def _average_pool(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    step, x, out = node.step, arrays.map(node.inputs[0]), arrays.map(node)
    assert isinstance(step, AvgPool)
    return [lambda: np.copyto(out, bk.avg_pool2d(x, step.kernel_size, step.stride, step.padding))]


def _average(node: Node, layer: Any, arrays: Arrays) -> list[Run]:
    x, out = arrays.map(node.inputs[0]), arrays.map(node)
    pixels = x.shape[1] * x.shape[2]

    def run() -> None:
        out[:, 0, 0] = x.sum(axis=(1, 2), dtype=np.float64) / pixels

    return [run]


_BINDERS: dict[type[Step], Callable[[Node, Any, Arrays], list[Run]]] = {
    Conv: _real,
    BwnConv: _real,
    XnorConv: _binary,
    KbitConv: _levels,
    Quantise: _quantise,
    MaxPool: _largest,
    Map: _largest,
    AvgPool: _average_pool,
    GlobalAverage: _average,
}
