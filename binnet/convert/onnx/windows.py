"""Operations with windows or weights: Conv, MatMul, Gemm, and pools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...graph import AvgPool, BwnConv, Conv, GlobalAverage, MaxPool, Reshape, Shift, XnorConv
from ...graph.graph import Array, Four
from ..builder import packed_signs
from .part import Part, Value

NONE = (0, 0, 0, 0)


def conv(part: Part) -> Value:
    """Conv with weights (O, C / groups, KH, KW)."""
    value, weight = part.raw(), part.array(1)
    part.as_map(value)
    if weight.ndim != 4 or not weight.size:
        raise part.refuse(f"has weights {weight.shape}, expected (O, C, KH, KW)")
    part.expect(dilations=(1, 1), kernel_shape=weight.shape[2:])
    stride = pair(part, "strides")
    shape = value.shape if value.border is None else _grown(value.shape, value.border[0])
    padding = pads(part, weight.shape[2:], stride, shape)
    groups = part.attribute("group", 1)
    bias = part.array(2, optional=True)
    ordered = np.ascontiguousarray(weight.transpose(0, 2, 3, 1))
    where = {"shape": ordered.shape, "stride": stride, "padding": padding}
    node, whole = _filters(part, value, ordered, bias, groups, where)
    return replace(part.new_map(node), whole=whole)


def matmul(part: Part) -> Value:
    """MatMul of rows with weights (I, O)."""
    return _dense(part, part.array(1), None, transposed=False)


def gemm(part: Part) -> Value:
    """Gemm, ``alpha x W + beta bias``."""
    part.expect(transA=0)
    weight = part.array(1) * np.float32(part.attribute("alpha", 1.0))
    bias = part.array(2, optional=True)
    if bias is not None:
        outputs = weight.shape[0 if part.attribute("transB", 0) else -1]
        if bias.shape not in ((outputs,), (1, outputs)) and bias.size != 1:
            raise part.refuse(f"has biases {bias.shape}, expected {outputs} numbers or one")
        bias = np.broadcast_to(bias.ravel(), outputs) * np.float32(part.attribute("beta", 1.0))
    return _dense(part, weight, bias, transposed=bool(part.attribute("transB", 0)))


def _dense(part: Part, weight: Array, bias: Array | None, transposed: bool) -> Value:
    value = part.raw()
    weight = weight if transposed else weight.T
    if value.is_map or weight.ndim != 2 or weight.shape[1] != value.size:
        raise part.refuse(f"multiplies {('N', *value.shape)} by weights {weight.shape}, expected (N, I) and (O, I)")
    # Numbers that ONNX flattened in another order have their weights put in the node's order.
    weight = weight if value.order is None else weight[:, value.order]
    where = {"shape": weight.shape, "stride": (1, 1), "padding": NONE}
    node, whole = _filters(part, value, np.ascontiguousarray(weight), bias, 1, where)
    return replace(part.vector(node), whole=whole)


def _filters(
    part: Part, value: Value, weight: Array, bias: Array | None, groups: int, where: dict[str, Any]
) -> tuple[str, bool]:
    """The node of a layer, one-bit where weights are ±a in each filter; and whether it gives whole numbers."""
    weight = weight.astype(np.float32)
    rows = np.abs(weight.reshape(len(weight), -1))
    alpha = rows[:, 0]
    if bias is not None and bias.size != len(weight):
        raise part.refuse(f"has {bias.size} biases for {len(weight)} filters")
    # A filter of one weight is always ±a, and as a real layer is as small.
    one_bit = groups == 1 and rows.shape[1] > 1 and bool((rows == alpha[:, None]).all() and (alpha > 0).all())
    if not one_bit:
        held = None if bias is None else np.float32(bias.ravel())
        whole = value.whole and bias is None and bool((weight == np.rint(weight)).all())
        return part.add(Conv, part.made(value).node, **where, weight=weight, bias=held, groups=groups), whole
    words = packed_signs(weight < 0)
    border = _border(value, where["padding"])
    if value.scale is None or border is None:
        scale = None if (alpha == 1).all() else alpha
        node = part.add(BwnConv, part.made(value).node, **where, signs=words, alpha=scale)
    else:
        scale = alpha * np.float32(value.scale)
        scale = None if (scale == 1).all() else scale
        where = {**where, "padding": border[0], "pad_value": border[1]}
        # The node takes the sign itself, so it reads what the sign was taken of.
        node = part.add(XnorConv, value.node, **where, signs=words, alpha=scale)
    whole = value.whole and scale is None and bias is None
    return node if bias is None else part.add(Shift, node, shift=np.float32(bias.ravel())), whole


def _border(value: Value, padding: Four) -> tuple[Four, int] | None:
    """Padding and its value after the sign; None when the border that was made is neither 0 nor ±scale."""
    if value.border is None:
        return padding, 0
    made, number = value.border
    sign = number / (value.scale or 1)
    return (made, int(sign)) if padding == NONE and sign in (0, 1, -1) else None


def pair(part: Part, name: str, default: tuple[int, ...] = (1, 1)) -> tuple[int, int]:
    """Two whole numbers of an attribute."""
    found = part.attribute(name, default)
    if len(found) != 2 or not all(1 <= n < 1 << 16 for n in found):
        raise part.refuse(f"has {name} = {found}, expected two whole numbers above 0")
    return int(found[0]), int(found[1])


def pads(part: Part, size: Any, stride: tuple[int, int], shape: Any) -> Four:
    """The border (top, bottom, left, right) of a window, also where ``auto_pad`` computes it from the map's shape."""
    auto = part.attribute("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sides: list[int] = []
        for n, k, s in zip(shape[:2], size, stride, strict=False):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            small, large = total // 2, total - total // 2
            sides += [small, large] if auto == "SAME_UPPER" else [large, small]
        return sides[0], sides[1], sides[2], sides[3]
    found = part.attribute("pads", NONE) if auto == "NOTSET" else NONE
    if len(found) != 4 or auto not in ("NOTSET", "VALID"):
        raise part.refuse(f"has pads {found} and auto_pad {auto}, expected four numbers")
    top, left, bottom, right = found
    return top, bottom, left, right


def _grown(shape: Any, padding: Four) -> Any:
    top, bottom, left, right = padding
    return shape[0] + top + bottom, shape[1] + left + right, shape[2]


# ------------------------------------------------------------------------------------------- pools


def max_pool(part: Part) -> Value:
    """MaxPool; of signs it gives signs."""
    part.expect(dilations=(1, 1))
    value = part.map()
    where = _window(part, value)
    if part.attribute("ceil_mode", 0):
        where["padding"] = _ceil(value, **where)
    pooled = part.follow(value, MaxPool, **where)
    return replace(pooled, scale=value.scale, whole=value.whole)


def avg_pool(part: Part) -> Value:
    """AveragePool whose border counts as zeros, if it has one."""
    part.expect(dilations=(1, 1))
    value = part.map()
    where = _window(part, value)
    if part.attribute("ceil_mode", 0) and _ceil(value, **where) != where["padding"]:
        raise part.refuse("rounds its size up, which binnet's averages do not")
    if any(where["padding"]) and not part.attribute("count_include_pad", 0):
        raise part.refuse("leaves its border out of the mean, while binnet's counts as zeros")
    return part.follow(value, AvgPool, **where)


def _window(part: Part, value: Value) -> dict[str, Any]:
    size, stride = pair(part, "kernel_shape", ()), pair(part, "strides")
    return {"kernel_size": size, "stride": stride, "padding": pads(part, size, stride, value.shape)}


def _ceil(value: Value, kernel_size: tuple[int, int], stride: tuple[int, int], padding: Four) -> Four:
    """Padding with which sizes that are rounded down are those that are rounded up without it."""
    result = list(padding)
    for axis in (0, 1):
        before, after = padding[2 * axis : 2 * axis + 2]
        rest = (value.shape[axis] + before + after - kernel_size[axis]) % stride[axis]
        more = (stride[axis] - rest) % stride[axis]
        # A window that would begin behind the map is left out.
        begin = value.shape[axis] + before + after + more - kernel_size[axis]
        result[2 * axis + 1] += more if begin < value.shape[axis] + before else 0
    return result[0], result[1], result[2], result[3]


def global_average(part: Part) -> Value:
    """GlobalAveragePool, whose result is a map of one pixel."""
    value = part.map()
    node = part.add(GlobalAverage, value.node)
    return part.new_map(part.add(Reshape, node, shape=(1, 1, value.shape[2])))


def global_max(part: Part) -> Value:
    """GlobalMaxPool."""
    value = part.map()
    size = value.shape[:2]
    pooled = part.follow(value, MaxPool, kernel_size=size, stride=(1, 1), padding=NONE)
    return replace(pooled, scale=value.scale, whole=value.whole)


def reduce_mean(part: Part) -> Value:
    """The mean over rows and columns, or over channels, which is a layer of equal weights."""
    value, axes = part.value(), part.numbers("axes", 1)
    keep = bool(part.attribute("keepdims", 1))
    axes = tuple(sorted(n % (len(value.axes) + 1) for n in axes or ()))
    over = tuple(sorted(value.axes[n - 1] for n in axes if n))
    if 0 in axes or over not in ((0, 1), (len(value.axes) - 1,)):
        raise part.refuse(f"is over axes {axes}, expected those of rows and columns or that of the channels")
    if over == (0, 1):
        node = part.add(GlobalAverage, value.node)
        if not keep:
            return part.vector(node)
        node = part.add(Reshape, node, shape=(1, 1, value.shape[2]))
        return Value(node, part.builder.shape(node), value.axes)
    if not keep:
        raise part.refuse("leaves out the axis of the channels, which binnet's maps have")
    c = value.shape[-1]
    shape = (1, 1, 1, c) if value.is_map else (1, c)
    weight = np.full(shape, 1 / c, np.float32)
    node = part.add(Conv, value.node, shape=shape, stride=(1, 1), padding=NONE, weight=weight)
    return Value(node, part.builder.shape(node), value.axes)


READERS: dict[str, Callable[[Part], Value]] = {
    "AveragePool": avg_pool,
    "Conv": conv,
    "Gemm": gemm,
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_max,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "ReduceMean": reduce_mean,
}
