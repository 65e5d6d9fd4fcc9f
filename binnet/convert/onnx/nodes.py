"""ONNX operations of the nodes without filters, by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...graph import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concatenate,
    Constant,
    Divide,
    Flatten,
    GlobalAverage,
    MaxPool,
    Multiply,
    Pad,
    PRelu,
    Quantise,
    QuantiseLinear,
    Relu,
    Reshape,
    Scale,
    Shift,
    Sigmoid,
    Sign,
    Softmax,
    Tanh,
)
from .emitter import Place

Writer = Callable[[Place, Any], str]


def plain(kind: str, **attributes: Any) -> Writer:
    """A writer of a node that is one operation on the same inputs."""
    return lambda place, node: place.op(kind, *place.inputs, **attributes)


def batch_norm(place: Place, node: BatchNorm) -> str:
    """Three operations instead of BatchNormalization, so that each step is rounded as in the engine."""
    centred = place.op("Sub", place.inputs[0], place.by_channel("mean", node.mean))
    scaled = place.op("Mul", centred, place.by_channel("factor", node.factor))
    return place.op("Add", scaled, place.by_channel("shift", node.shift))


def scale(place: Place, node: Scale) -> str:
    """x * factor."""
    return place.op("Mul", place.inputs[0], place.by_channel("factor", node.factor))


def shift(place: Place, node: Shift) -> str:
    """x + shift."""
    return place.op("Add", place.inputs[0], place.by_channel("shift", node.shift))


def prelu(place: Place, node: PRelu) -> str:
    """PRelu, which broadcasts the slopes as they are."""
    return place.op("PRelu", place.inputs[0], place.by_channel("slope", node.slope))


def sign(place: Place, node: Sign) -> str:
    """Signs, against a threshold a channel where there are any."""
    threshold = None if node.threshold is None else place.by_channel("threshold", node.threshold)
    return place.signs(place.inputs[0], threshold)


def clip(place: Place, node: Clip) -> str:
    """Clip."""
    return place.op("Clip", place.inputs[0], place.number(node.low), place.number(node.high))


def odd_levels(place: Place, name: str, bits: int) -> str:
    """The odd whole numbers from -L to L, L = 2^bits - 1, that stand for the levels; 2 floor(n / 2) + 1."""
    most = place.number((1 << bits) - 1)
    within = place.op("Mul", place.op("Clip", name, place.number(-1), place.number(1)), most)
    halves = place.op("Floor", place.op("Mul", place.op("Floor", within), place.number(0.5)))
    return place.op("Add", place.op("Mul", halves, place.number(2)), place.number(1))


def quantise(place: Place, node: Quantise) -> str:
    """The levels themselves, from -1 to 1."""
    return place.op("Div", odd_levels(place, place.inputs[0], node.bits), place.number((1 << node.bits) - 1))


def quantise_linear(place: Place, node: QuantiseLinear) -> str:
    """Whole numbers as float32, as between nodes in binnet; Round rounds halves to even."""
    rounded = place.op("Round", place.op("Mul", place.inputs[0], place.number(float(node.factor))))
    shifted = place.op("Add", rounded, place.number(node.zero))
    return place.op("Clip", shifted, place.number(0), place.number(255))


def flatten(place: Place, node: Flatten) -> str:
    """Rows of values in binnet's order: row, column, channel."""
    return place.op("Flatten", place.channels_last(place.inputs[0], place.shapes[0]), axis=1)


def reshape(place: Place, node: Reshape) -> str:
    """The same values in binnet's order; 0 keeps the number of images."""
    shape = place.whole("shape", 0, *node.shape)
    shaped = place.op("Reshape", place.channels_last(place.inputs[0], place.shapes[0]), shape)
    return place.channels_first(shaped, node.shape)


def global_average(place: Place, node: GlobalAverage) -> str:
    """Mean over rows and columns."""
    return place.op("ReduceMean", place.inputs[0], place.whole("axes", 2, 3), keepdims=0)


def concatenate(place: Place, node: Concatenate) -> str:
    """Axis -1 of binnet is 1 here, of maps and of vectors."""
    axis = {-1: 1, -2: 3, -3: 2}[node.axis]
    return place.op("Concat", *place.inputs, axis=axis)


def pad(place: Place, node: Pad) -> str:
    """A border of any value."""
    return place.bordered(place.inputs[0], node.padding, node.value)


def constant(place: Place, node: Constant) -> str:
    """An array for a batch of one, which the operation that reads it broadcasts."""
    array = node.array[None]
    return place.constant("array", array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)


def max_pool(place: Place, node: MaxPool) -> str:
    """The border does not count."""
    return place.op("MaxPool", place.inputs[0], **window(node))


def avg_pool(place: Place, node: AvgPool) -> str:
    """The border counts as zeros."""
    return place.op("AveragePool", place.inputs[0], count_include_pad=1, **window(node))


def window(node: MaxPool | AvgPool) -> dict[str, Any]:
    """Attributes of the window of a pool."""
    top, bottom, left, right = node.padding
    return {"kernel_shape": node.kernel_size, "strides": node.stride, "pads": (top, left, bottom, right)}


WRITERS: dict[type, Writer] = {
    Add: plain("Add"),
    AvgPool: avg_pool,
    BatchNorm: batch_norm,
    Clip: clip,
    Concatenate: concatenate,
    Constant: constant,
    Divide: plain("Div"),
    Flatten: flatten,
    GlobalAverage: global_average,
    MaxPool: max_pool,
    Multiply: plain("Mul"),
    PRelu: prelu,
    Pad: pad,
    Quantise: quantise,
    QuantiseLinear: quantise_linear,
    Relu: plain("Relu"),
    Reshape: reshape,
    Scale: scale,
    Shift: shift,
    Sigmoid: plain("Sigmoid"),
    Sign: sign,
    Softmax: plain("Softmax", axis=1),  # channels, of maps and of vectors
    Tanh: plain("Tanh"),
}
