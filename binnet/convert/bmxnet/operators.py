"""From the operators of MXNet and BMXNet to nodes.

What BMXNet does otherwise than binnet: a binary layer gives (dot + n) / 2, the number of equal signs, for windows of n
signs; its border counts as +1; packed weights have bit 1 for +1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import graph as nodes
from ...graph.graph import Array
from ..builder import Builder, batch_norm, channels_last, packed_signs
from ..report import ConversionError, Options
from .network import Became, Network, Reader
from .symbol import Operator, Symbol


def build(symbol: Symbol, arrays: Mapping[str, Array], options: Options) -> Builder:
    """The graph of a network; ConversionError when an operator is not known or an array does not fit."""
    return Network(symbol, arrays, options).build(_READERS)


def _window(operator: Operator) -> dict[str, Any]:
    operator.only(layout="None", num_group="1")
    if operator.attributes.get("dilate", "(1, 1)").replace(" ", "") not in ("(1,1)", "()"):
        raise ConversionError("dilated windows are not supported")
    ph, pw = operator.numbers("pad", (0, 0), 2)
    return {"stride": operator.numbers("stride", (1, 1), 2), "padding": (ph, ph, pw, pw)}


def _convolution(net: Network, operator: Operator, read: list[str]) -> Became:
    (kh, kw), filters = operator.numbers("kernel", None, 2), operator.numbers("num_filter", None)
    channels = net.builder.shape()[-1]
    weight = channels_last(net.real(operator, 1, (filters, channels, kh, kw)))
    bias = None if operator.flag("no_bias") else net.real(operator, 2, (filters,))
    net.builder.add(nodes.Conv, operator.name, shape=weight.shape, weight=weight, bias=bias, **_window(operator))
    return f"Conv {kh}x{kw}, {filters} filters", ""


def _dense(net: Network, operator: Operator, read: list[str]) -> Became:
    filters = operator.numbers("num_hidden", None)
    net.flatten(f"{operator.name}_flat")
    (inputs,) = net.builder.shape()
    weight = net.real(operator, 1, (filters, inputs))[:, net.order()]
    bias = None if operator.flag("no_bias") else net.real(operator, 2, (filters,))
    _add_dense(net, nodes.Conv, operator, weight=np.ascontiguousarray(weight), bias=bias)
    return f"dense Conv, {inputs} to {filters}", ""


def _add_dense(net: Network, kind: Any, operator: Operator, **fields: Any) -> None:
    shape = (int(operator.numbers("num_hidden", None)), net.builder.shape()[0])
    net.builder.add(kind, operator.name, shape=shape, stride=(1, 1), padding=(0, 0, 0, 0), **fields)


def _signs(net: Network, operator: Operator, shape: tuple[int, ...], by_block: bool) -> Array:
    """Whether each weight is negative, boolean of ``shape``, of packed or real weights.

    Packed weights are words within floats; those of dense layers are stored block by block, not filter by filter.
    """
    array = net.array(operator, 1)
    if array.shape == shape:
        real = net.real(operator, 1, shape)
        if not np.isfinite(real).all():
            raise ConversionError("a weight is not finite")
        return np.asarray(real < 0)
    bits, inputs = 8 * array.dtype.itemsize, int(np.prod(shape[1:]))
    if array.dtype.kind != "f" or bits not in (32, 64) or inputs % bits or array.size * bits != np.prod(shape):
        raise ConversionError(f"its weights {array.dtype} {array.shape} are no packed signs of {shape}")
    words = array.ravel().view(f"<u{bits // 8}")
    if by_block:
        words = words.reshape(inputs // bits, shape[0]).T
    found = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little").reshape(shape)
    negative: Array = found == 0  # bit 1 is +1
    return negative


def _equal_signs(net: Network, name: str, n: int) -> None:
    """(dot + n) / 2, where the layer before has the scale 1/2."""
    net.builder.add(nodes.Shift, f"{name}_equal", shift=np.full(1, n / 2, np.float32))


def _binary(operator: Operator) -> None:
    operator.only(
        act_bit="1", weight_bit="1", scaling_factor="False", no_bias=operator.attributes.get("no_bias", "True")
    )


def _binary_convolution(net: Network, operator: Operator, read: list[str]) -> Became:
    _binary(operator)
    (kh, kw), filters = operator.numbers("kernel", None, 2), int(operator.numbers("num_filter", None))
    channels = net.builder.shape()[-1]
    negative = channels_last(_signs(net, operator, (filters, channels, kh, kw), False))
    fields = {"signs": packed_signs(negative), "alpha": np.full(filters, 0.5, np.float32), "pad_value": 1}
    net.builder.add(nodes.XnorConv, operator.name, shape=negative.shape, **fields, **_window(operator))
    _equal_signs(net, operator.name, kh * kw * channels)
    return f"XnorConv {kh}x{kw}, {filters} filters, Shift", "(dot + n) / 2" + _pad_note(operator)


def _pad_note(operator: Operator) -> str:
    return "; the border counts as +1" if any(operator.numbers("pad", (0, 0), 2)) else ""


def _binary_dense(net: Network, operator: Operator, read: list[str]) -> Became:
    _binary(operator)
    net.flatten(f"{operator.name}_flat")
    (inputs,) = net.builder.shape()
    filters = int(operator.numbers("num_hidden", None))
    negative = _signs(net, operator, (filters, inputs), True)[:, net.order()]
    fields = {"signs": packed_signs(negative), "alpha": np.full(filters, 0.5, np.float32)}
    _add_dense(net, nodes.XnorConv, operator, **fields)
    _equal_signs(net, operator.name, inputs)
    return f"dense XnorConv, {inputs} to {filters}, Shift", "(dot + n) / 2"


def _binary_activation(net: Network, operator: Operator, read: list[str]) -> Became:
    operator.only(act_bit="1")
    if operator.flag("backward_only"):
        return "", "the next layer takes the signs itself"
    net.element_wise(nodes.Sign, operator.name)
    return "Sign", "sign(0) = +1"


def _batch_norm(net: Network, operator: Operator, read: list[str]) -> Became:
    operator.only(axis="1")
    shape = net.builder.shape()[-1:]
    gamma, beta, mean, variance = (net.real(operator, place, shape)[net.order()] for place in range(1, 5))
    fixed, epsilon = operator.flag("fix_gamma", True), float(operator.numbers("eps", 1e-3))
    net.element_wise(
        nodes.BatchNorm, operator.name, **batch_norm(mean, variance, None if fixed else gamma, beta, epsilon)
    )
    return "BatchNorm", f"ε {epsilon:g}" + (", γ = 1 (fix_gamma)" if fixed else "")


def _activation(net: Network, operator: Operator, read: list[str]) -> Became:
    kinds = {"relu": nodes.Relu, "tanh": nodes.Tanh, "sigmoid": nodes.Sigmoid}
    kind = kinds.get(operator.attributes.get("act_type", ""))
    if kind is None:
        raise ConversionError(f"the activation {operator.attributes.get('act_type')!r} is not supported")
    net.element_wise(kind, operator.name)
    return kind.__name__, ""


def _leaky(net: Network, operator: Operator, read: list[str]) -> Became:
    kind = operator.attributes.get("act_type", "leaky")
    if kind == "leaky":
        slope = np.full(1, operator.numbers("slope", 0.25), np.float32)
    elif kind == "prelu":
        slope = net.real(operator, 1, net.builder.shape()[-1:])[net.order()]
    else:
        raise ConversionError(f"the activation {kind!r} is not supported")
    net.element_wise(nodes.PRelu, operator.name, slope=slope)
    return "PRelu", ""


def _pooling(net: Network, operator: Operator, read: list[str]) -> Became:
    kind = operator.attributes.get("pool_type", "max")
    if kind not in ("max", "avg"):
        raise ConversionError(f"pooling by {kind!r} is not supported")
    shape = net.builder.shape()
    if len(shape) != 3:
        raise ConversionError("it pools something else than a map")
    if operator.flag("global_pool"):
        size, stride, padding = shape[:2], (1, 1), (0, 0, 0, 0)
    else:
        size, (ph, pw) = operator.numbers("kernel", None, 2), operator.numbers("pad", (0, 0), 2)
        stride, padding = operator.numbers("stride", (1, 1), 2), (ph, ph, pw, pw)
        if operator.attributes.get("pooling_convention", "valid") != "valid":
            # Windows that begin on the map count, so the border below and to the right grows up to a whole window.
            more = [-(n + 2 * p - k) % s for n, p, k, s in zip(shape, (ph, pw), size, stride, strict=False)]
            if kind == "avg" and any(more):
                raise ConversionError("a mean with the pooling convention 'full' is not supported here")
            padding = (ph, ph + more[0], pw, pw + more[1])
    if kind == "avg" and any(padding):
        operator.only(count_include_pad="True")
    pool = nodes.MaxPool if kind == "max" else nodes.AvgPool
    net.builder.add(pool, operator.name, kernel_size=size, stride=stride, padding=padding)
    return f"{pool.__name__} {size[0]}x{size[1]}", ""


def _flatten(net: Network, operator: Operator, read: list[str]) -> Became:
    net.flatten(operator.name)
    return "Flatten", "weights behind it in the order row, column, channel"


def _add(net: Network, operator: Operator, read: list[str]) -> Became:
    if len(read) != 2:
        raise ConversionError(f"it adds {len(read)} results, expected 2")
    net.element_wise(nodes.Add, operator.name, *read)
    return "Add", ""


def _concatenate(net: Network, operator: Operator, read: list[str]) -> Became:
    operator.only(dim="1")
    if len(read) != len(operator.inputs):
        raise ConversionError("it joins an array of the file, which is not supported")
    if any(net.is_reordered(name) for name in read):
        raise ConversionError("it joins flattened maps, which is not supported")
    net.builder.add(nodes.Concatenate, operator.name, *read, axis=-1)
    return "Concatenate", ""


def _softmax(net: Network, operator: Operator, read: list[str]) -> Became:
    if not net.is_read():
        return "", "the scores before the softmax are kept"
    operator.only(temperature="None")
    if len(net.builder.shape()) != 1 or operator.attributes.get("axis", "-1") not in ("-1", "1"):
        raise ConversionError("a softmax of a map is not supported")
    net.element_wise(nodes.Softmax, operator.name)
    return "Softmax", ""


def _left_out(reason: str) -> Reader:
    return lambda net, operator, read: ("", reason)


_READERS: dict[str, Reader] = {
    "Convolution": _convolution,
    "FullyConnected": _dense,
    "QConvolution": _binary_convolution,
    "QFullyConnected": _binary_dense,
    "QActivation": _binary_activation,
    "Activation": _activation,
    "LeakyReLU": _leaky,
    "BatchNorm": _batch_norm,
    "Pooling": _pooling,
    "Flatten": _flatten,
    "elemwise_add": _add,
    "_Plus": _add,
    "Concat": _concatenate,
    "Dropout": _left_out("does nothing after training"),
    "SoftmaxOutput": _softmax,
    "softmax": _softmax,
}
