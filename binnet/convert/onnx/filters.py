"""ONNX operations of the nodes with filters, by kind.

Weights are stored as int8 where they are whole numbers, and cast to float32: sums of whole numbers below 2^24 are exact
in it, in any order. ConvInteger is not used, since some processors add in 16 bits and saturate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import BwnConv, Conv, Filters, Int8BwnConv, Int8Conv, KbitConv, XnorConv
from ...graph.graph import Array
from ...graph.windows import OneBit, bordered, patches, signs_of
from ..report import ConversionError
from .emitter import QONNX, Place
from .nodes import Writer, odd_levels

EXACT = 1 << 24  # whole numbers of float32 up to here


def conv(place: Place, node: Conv) -> str:
    """Conv, or Gemm for a dense layer."""
    weight = place.constant("weight", node.weight if node.is_dense else node.weight.transpose(0, 3, 1, 2))
    bias = () if node.bias is None else (place.constant("bias", node.bias),)
    if node.is_dense:
        return place.op("Gemm", place.inputs[0], weight, *bias, transB=1)
    return place.op("Conv", place.inputs[0], weight, *bias, group=node.groups, **window(node))


def bwn_conv(place: Place, node: BwnConv) -> str:
    """Real input by ±1."""
    return scaled(place, convolution(place, node, place.inputs[0], one_bit(place, node)), node.alpha)


def xnor_conv(place: Place, node: XnorConv) -> str:
    """±1 by ±1, and the map K."""
    bits = place.bordered(place.signs(place.inputs[0]), node.padding if node.pad_value else (0,), node.pad_value)
    sums = whole_sums(place, node, bits, node.weight_sign, 1)
    return with_scale_map(place, node, scaled(place, sums, node.alpha))


def kbit_conv(place: Place, node: KbitConv) -> str:
    """Odd whole numbers by odd whole numbers, and the map K."""
    lm, lk = (1 << node.act_bits) - 1, (1 << len(node.planes)) - 1
    weight = sum(np.float32(1 << i) * signs_of(plane, node.shape) for i, plane in enumerate(node.planes))
    x = odd_levels(place, place.inputs[0], node.act_bits)
    x = place.bordered(x, node.padding if node.pad_value else (0,), node.pad_value * lm)
    alpha = np.ones(node.shape[:1], np.float32) if node.alpha is None else node.alpha
    sums = whole_sums(place, node, x, np.asarray(weight), lm)
    return with_scale_map(place, node, scaled(place, sums, alpha / np.float32(lm * lk)))


def int8_conv(place: Place, node: Int8Conv | Int8BwnConv) -> str:
    """0..255 by int8; what is added depends on which taps of the window lie on the image."""
    sums = whole_sums(place, node, place.inputs[0], node.whole_weight, 255)
    return place.op("Add", scaled(place, sums, node.factors), offsets(place, node))


def offsets(place: Place, node: Int8Conv | Int8BwnConv) -> str:
    """The offsets of all windows (O, OH, OW), from a table of the different rows and columns of windows."""
    (kh, kw), (top, bottom, left, right) = node.filters[1:3], node.padding
    if not any(node.padding):
        return place.by_channel("offset", node.offsets(np.ones((kh, kw), bool)))
    sides = []
    for axis, before, after in ((0, top, bottom), (1, left, right)):
        ones = np.ones((1, place.shapes[0][axis], 1, 1), bool)
        inside = patches(
            bordered(ones, (before, after, 0, 0), False), (node.filters[1 + axis], 1), (node.stride[axis], 1)
        )
        sides.append(np.unique(inside[0, :, 0, 0, :, 0], axis=0, return_inverse=True))
    (rows, row), (columns, column) = sides
    table = node.offsets(rows[:, None, :, None] & columns[None, :, None, :]).transpose(2, 0, 1)
    by_row = place.op("Gather", place.constant("offsets", table), place.constant("rows", row.astype(np.int64)), axis=1)
    return place.op("Gather", by_row, place.constant("columns", column.astype(np.int64)), axis=2)


def scaled(place: Place, sums: str, factors: Array | None) -> str:
    """Sums multiplied by a factor for each filter."""
    return sums if factors is None else place.op("Mul", sums, place.by_channel("alpha", factors, place.shape))


def with_scale_map(place: Place, node: XnorConv | KbitConv, y: str) -> str:
    """``y`` multiplied by K, the mean of the input's magnitude over channels and window; the border counts 0."""
    if not node.use_k:
        return y
    k = place.op("ReduceMean", place.op("Abs", place.inputs[0]), place.whole("axes", 1), keepdims=1)
    if not node.is_dense:
        k = place.bordered(k, node.padding)
        k = place.op("AveragePool", k, kernel_shape=node.filters[1:3], strides=node.stride)
    return place.op("Mul", y, k)


# ------------------------------------------------------------------------------------------- weights and sums


def one_bit(place: Place, node: OneBit) -> str:
    """The weights ±1 as float32."""
    return whole(place, node, node.weight_sign, place.emitter.qonnx)


def whole(place: Place, node: Filters, weight: Array, qonnx: bool = False) -> str:
    """Whole weights of ``node.shape`` as float32, in the order in which ``convolution`` takes them."""
    ordered = weight.T if node.is_dense else weight.transpose(0, 3, 1, 2)
    if qonnx:
        weights = place.constant("weight", ordered.astype(np.float32))
        return place.op("BipolarQuant", weights, place.number(1), domain=QONNX)
    # Weights of eight bits in KbitConv go beyond int8.
    stored = ordered.astype(np.int8 if np.abs(weight).max() < 128 else np.int16)
    return place.op("Cast", place.constant("weight", stored), to=1)


def convolution(place: Place, node: Filters, x: str, weight: str, padded: bool = False) -> str:
    """Conv or MatMul of float32; ``padded``: ``x`` has its border already."""
    if node.is_dense:
        return place.op("MatMul", x, weight)
    return place.op("Conv", x, weight, **{**window(node), **({"pads": (0, 0, 0, 0)} if padded else {})})


def whole_sums(place: Place, node: Filters, x: str, weight: Array, most: int) -> str:
    """Exact sums of whole numbers up to ``most`` by whole weights, rounded once to float32.

    Where a sum may be too large for float32, groups of channels are summed apart and added in float64.
    """
    padded = bool(getattr(node, "pad_value", 0))
    qonnx = isinstance(node, OneBit) and place.emitter.qonnx
    by_channel = np.abs(weight.astype(np.int64)).reshape(node.filters).sum(axis=(1, 2)) * most
    parts = groups(node, by_channel)
    if len(parts) == 1:
        sums = convolution(place, node, x, whole(place, node, weight, qonnx), padded)
        # Round changes no sum; without it ONNX Runtime multiplies α into the weights, and sums are not exact any more.
        return place.op("Round", sums)
    ends = np.cumsum(parts).tolist()
    total = ""
    for start, end in zip([0, *ends], ends, strict=False):
        part = place.op("Slice", x, *(place.whole("bound", n) for n in (start, end, 1)))
        sums = convolution(place, node, part, whole(place, node, weight[..., start:end], qonnx), padded)
        exact = place.op("Cast", sums, to=11)
        total = place.op("Add", total, exact) if total else exact
    return place.op("Cast", total, to=1)


def groups(node: Filters, by_channel: Array) -> list[int]:
    """Sizes of the groups of channels whose sums are exact, for bounds of sums (O, C); ConversionError if none is."""
    if by_channel.max() > EXACT:
        raise ConversionError(f"{node.name}: sums over one channel are too large for ONNX's float32")
    sizes, total = [0], np.zeros(len(by_channel), np.int64)
    for bound in by_channel.T:
        total = total + bound
        if total.max() > EXACT:
            sizes, total = [*sizes, 0], bound
        sizes[-1] += 1
    return sizes


def window(node: Filters) -> dict[str, Any]:
    """Attributes of a convolution's window."""
    top, bottom, left, right = node.padding
    return {"kernel_shape": node.filters[1:3], "strides": node.stride, "pads": (top, left, bottom, right)}


WRITERS: dict[type, Writer] = {
    BwnConv: bwn_conv,
    Conv: conv,
    Int8BwnConv: int8_conv,
    Int8Conv: int8_conv,
    KbitConv: kbit_conv,
    XnorConv: xnor_conv,
}
