"""Binding: the kernel that runs each stage of a graph, and the arrays of a plan that it works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Window

from ..graph import (
    Add,
    AvgPool,
    BatchNorm,
    BwnConv,
    Concatenate,
    Constant,
    Conv,
    Filters,
    GlobalAverage,
    Int8BwnConv,
    Int8Conv,
    KbitConv,
    MaxPool,
    Node,
    PRelu,
    Quantise,
    Relu,
    Scale,
    Shift,
    Sign,
    XnorConv,
)
from ..graph.graph import Float, Four, Shape
from ..graph.int8 import Int8
from .rewrites import is_grouped
from .stages import Identity, Stage

Run = Callable[[], Any]
ONE = Window.of(1, 1, 0)


class Arrays(Protocol):
    """Interface of a plan to its stages; maps are float32 (N, H, W, C), with H = W = 1 for rows (N, C)."""

    def map(self, stage: Stage) -> Float:
        """The map that a stage writes, or has written."""

    def result(self, stage: Stage) -> Float:
        """The same map in the shape of its node, which may be (N, C)."""

    def bordered(self, stage: Stage, padding: Four) -> tuple[Float, list[Run]]:
        """The map of a stage with a border of zeros, and the calls that copy it there."""

    def bytes(self, stage: Stage, padding: Four, stride: tuple[int, int]) -> tuple[Any, list[Run]]:
        """The whole numbers that a convolution in eight bits reads, with their border, and the calls that write them.

        With a stride (2, 2) they are those of every second row and column.
        """

    def bits(self, stage: Stage) -> Any:
        """The map of bits that a stage writes, or has written."""

    def shape(self, stage: Stage) -> Shape:
        """The shape of its map, whether or not it is written as floats."""


def filters(stage: Stage, shape: Shape) -> Shape | None:
    """The shape of the filters that a stage needs for a map (N, H, W, C); None where it has none.

    A binary dense layer that reads a map as if it were flattened is a convolution with filters of H x W.
    """
    if not isinstance(stage.node, Filters) or is_grouped(stage):
        return None
    return (stage.node.shape[0], *shape[1:]) if stage.flat else stage.node.filters


def prepare(node: Filters, shape: Shape) -> Any:
    """The weights of a node, as filters of this shape, in the order in which their kernel reads them."""
    if isinstance(node, Int8):
        weights = node.held.reshape(shape) if isinstance(node, Int8Conv) else node.held
        # The map of bytes of a convolution that samples holds only the pixels that it reads, so the stride is 1 there.
        stride = (1, 1) if _sampling(node) == node.stride else node.stride
        values: dict[str, Any] = {"scale": node.factors, "zero": node.zero, "bias": node.bias}
        return bk.FusedInt8Conv2d(weights, shape, stride, node.padding, **values)
    if isinstance(node, Conv):  # its border is in the map that it reads
        return bk.FusedConv2d(node.weight.reshape(shape), shape, node.stride, bias=node.bias)
    if isinstance(node, BwnConv):
        return bk.FusedConv2d(node.signs, shape, node.stride, alpha=node.alpha)
    if isinstance(node, KbitConv):
        window = (node.stride, node.padding, node.pad_value)
        return bk.FusedKbitConv2d(node.planes, shape, node.act_bits, *window, node.alpha, node.use_k)
    assert isinstance(node, XnorConv)
    return bk.FusedXnorConv2d(node.signs, shape, node.stride, node.padding, node.pad_value, node.alpha)


def _sampling(node: Int8) -> tuple[int, int]:
    """The stride of the rows and columns that a convolution reads: filters of one pixel skip the others."""
    # A shortcut of stride 2 reads a quarter of its map, and only that is quantised.
    return node.stride if node.filters[1:3] == (1, 1) and not any(node.padding) else (1, 1)


def bind(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    """The calls that run a stage, in order, as functions without arguments; none where it is a view of a map."""
    if stage.is_view or isinstance(stage.node, Constant):
        return []
    binder = _in_numpy if is_grouped(stage) else _BINDERS.get(type(stage.node), _in_numpy)
    return binder(stage, layer, arrays)


def _epilogue(stage: Stage, channels: int) -> Any:
    return bk.Epilogue([step for node in stage.epilogue for step in _in_words(node, channels)], stage.limits)


def _in_words(node: Node, channels: int) -> list[tuple[Any, ...]]:
    """The steps of an epilogue that compute an element-wise node, each with one number for each channel."""

    def each(vector: Any) -> Float:
        return np.broadcast_to(np.float32(vector), (channels,))

    if isinstance(node, BatchNorm):
        return [("norm", node.mean, node.factor, node.shift)]
    if isinstance(node, Scale):  # x - 0 and x + -0.0 are x, to the sign of zero
        return [("norm", each(0), each(node.factor), each(-0.0))]
    if isinstance(node, Shift):
        return [("norm", each(0), each(1), each(node.shift))]
    if isinstance(node, PRelu):
        return [("prelu", each(node.slope))]
    if isinstance(node, Sign):  # x - t is below 0 exactly where x is below t
        return [*([] if node.threshold is None else [("norm", each(node.threshold), each(1), each(0))]), ("sign",)]
    assert isinstance(node, Add | Relu)
    return [("add",) if isinstance(node, Add) else ("relu",)]


def _results(stage: Stage, arrays: Arrays) -> dict[str, Any]:
    """The arrays that a stage writes, and the one that its epilogue adds."""
    return {
        "residual": None if stage.residual is None else arrays.map(stage.residual),
        "out": arrays.map(stage) if stage.floats else None,
        "bits": None if stage.limits is None else arrays.bits(stage),
    }


def _real(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    assert isinstance(stage.node, Filters)
    x, runs = arrays.bordered(stage.inputs[0], stage.node.padding)
    return [*runs, layer.bind(x, _epilogue(stage, stage.node.shape[0]), **_results(stage, arrays))]


def _int8(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    assert isinstance(stage.node, Int8)
    x, runs = arrays.bytes(stage, stage.node.padding, _sampling(stage.node))
    epilogue = _epilogue(stage, stage.node.shape[0])
    pool = None if stage.pool is None else _window(stage.pool)
    return [*runs, layer.bind(x, epilogue, pool=pool, **_results(stage, arrays))]


def _binary(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    source, node = stage.inputs[0], stage.node
    assert isinstance(node, XnorConv)
    if node.use_k:
        return _binary_with_k(stage, layer, arrays)
    if stage.most is not None:
        return [layer.bind_bits(arrays.bits(source), stage.most, stage.flips, arrays.bits(stage))]
    return [layer.bind(arrays.bits(source), _epilogue(stage, node.shape[0]), **_results(stage, arrays))]


def _binary_with_k(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    # K needs the real values (ADR 0017), so the stage before cannot leave bits alone, and the signs are packed here.
    x, window = arrays.map(stage.inputs[0]), layer.window
    bits = bk.BitMap(x.shape, window.border, layer.pad_value)
    K = np.empty((len(x), *window.output_size(*x.shape[1:3]), 1), np.float32)
    convolve = layer.bind(bits, _epilogue(stage, layer.shape[0]), K=K, **_results(stage, arrays))
    return [bk.bind_pack_with_k(x, bits, K, window), convolve]


def _levels(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    return [layer.bind(arrays.map(stage.inputs[0]), _epilogue(stage, layer.shape[0]), **_results(stage, arrays))]


def _quantise(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    node, x, out = stage.node, arrays.map(stage.inputs[0]), arrays.map(stage)
    assert isinstance(node, Quantise)
    return [lambda: np.copyto(out, bk.quantise_input(x, node.bits))]


def _largest(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    source, node = stage.inputs[0], stage.node
    window = _window(node) if isinstance(node, MaxPool) else ONE
    if stage.flips is not None:
        return [bk.bind_pool_bits(arrays.bits(source), stage.flips, arrays.bits(stage), window)]
    epilogue = _epilogue(stage, arrays.shape(source)[-1])
    return [bk.bind_map(arrays.map(source), epilogue, window=window, **_results(stage, arrays))]


def _window(node: MaxPool | AvgPool) -> Window:
    return Window.with_border(node.kernel_size, node.stride, node.padding)


def _average_pool(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    assert isinstance(stage.node, AvgPool)
    return [bk.bind_average(arrays.map(stage.inputs[0]), arrays.map(stage), _window(stage.node))]


def _average(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    x, out = arrays.map(stage.inputs[0]), arrays.map(stage)
    pixels = x.shape[1] * x.shape[2]

    def run() -> None:
        out[:, 0, 0] = x.sum(axis=(1, 2), dtype=np.float64) / pixels

    return [run]


def _grouped(stage: Stage, arrays: Arrays) -> list[Run]:
    node, out = stage.node, arrays.map(stage)
    assert isinstance(node, Conv)
    x, runs = arrays.bordered(stage.inputs[0], node.padding)

    def run() -> None:
        bk.conv2d(x, node.weight, node.stride, groups=node.groups, out=out)
        if node.bias is not None:
            np.add(out, node.bias, out=out)

    return [*runs, run]


def _joined(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    node, inputs, out = stage.node, [arrays.result(each) for each in stage.inputs], arrays.result(stage)
    assert isinstance(node, Concatenate)
    return [lambda: np.concatenate(inputs, axis=node.axis, out=out)]


def _in_numpy(stage: Stage, layer: Any, arrays: Arrays) -> list[Run]:
    """Run a node without a kernel in NumPy, with ``node.compute``."""
    if isinstance(stage.node, Conv):
        return _grouped(stage, arrays)
    node, inputs, out = stage.node, [arrays.result(each).view() for each in stage.inputs], arrays.result(stage)
    for x in inputs:
        x.flags.writeable = False  # others may read it too

    def run() -> None:
        # Compiled kernels give inf and NaN without a warning too.
        with np.errstate(all="ignore"):
            np.copyto(out, node.compute(*inputs))

    return [run]


_BINDERS: dict[type[Node], Callable[[Stage, Any, Arrays], list[Run]]] = {
    Conv: _real,
    BwnConv: _real,
    Int8Conv: _int8,
    Int8BwnConv: _int8,
    XnorConv: _binary,
    KbitConv: _levels,
    Quantise: _quantise,
    MaxPool: _largest,
    Identity: _largest,
    AvgPool: _average_pool,
    GlobalAverage: _average,
    Concatenate: _joined,
}
