"""From the operators of MXNet and BMXNet to nodes.

What BMXNet does otherwise than binnet: a binary layer gives (dot + n) / 2, the number of equal signs, for windows of n
signs; its border counts as +1; packed weights have bit 1 for +1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ... import graph as nodes
from ...graph.graph import Array
from ..builder import Builder, batch_norm, channels_last, packed_signs
from ..report import ConversionError, Options
from .symbol import Operator

_SHAPE = (28, 28, 1)  # of MNIST, the images of BMXNet's examples


class _Network:
    """The network while it is built.

    Attributes
    ----------
    builder : Builder
    node : str
        Name of the node that the current operator reads.
    """

    def __init__(self, operators: Sequence[Operator], arrays: Mapping[str, Array], options: Options) -> None:
        self.builder = Builder(options.input_shape or _shape_of(operators) or _SHAPE)
        self._operators, self._arrays = operators, {name.partition(":")[2] or name: a for name, a in arrays.items()}
        self._results: dict[int, str] = {}
        # Maps that were flattened as (channel, row, column): the order of their features here, (row, column, channel).
        self._orders: dict[str, Array] = {}
        self._used: set[str] = set()

    def build(self) -> Builder:
        for number, operator in enumerate(self._operators):
            if operator.op == "null":
                if operator.name == "data":
                    self._results[number] = self.builder.last
                continue
            if operator.op not in _OPERATORS:
                raise ConversionError(f"{operator.name}: the operator {operator.op} is not supported")
            read = [self._results[n] for n, _ in operator.inputs if n in self._results]
            if not read:
                raise ConversionError(f"{operator.name} ({operator.op}) reads no result of another operator")
            self.builder.last, self._number = read[0], number
            try:
                became, note = _OPERATORS[operator.op](self, operator, read)
            except ConversionError as error:
                raise ConversionError(f"{operator.name} ({operator.op}): {error}") from error
            self._results[number] = self.builder.last
            if became:
                self.builder.tell(operator.name, operator.op, became, note)
            else:
                self.builder.leave_out(operator.name, note)
        for name in sorted(set(self._arrays) - self._used):
            self.builder.leave_out(name, "an array that the network does not read")
        return self.builder

    def array(self, operator: Operator, place: int, optional: bool = False) -> Any:
        """The array of the variable that is input ``place`` of an operator."""
        if place >= len(operator.inputs):
            if optional:
                return None
            raise ConversionError(f"it has no input {place}")
        name = self._operators[operator.inputs[place][0]].name
        if name not in self._arrays:
            raise ConversionError(f"the file has no array {name}")
        self._used.add(name)
        return self._arrays[name]

    def real(self, operator: Operator, place: int, shape: tuple[int, ...]) -> Array:
        """The same as float32 of a shape."""
        array = self.array(operator, place)
        if array.shape != shape or array.dtype.kind != "f":
            raise ConversionError(f"expected an array {shape} of floats, got {array.dtype} {array.shape}")
        return np.ascontiguousarray(array, np.float32)

    def flatten(self, name: str) -> None:
        """Flatten the map that is read, and remember the order of its features."""
        shape = self.builder.shape()
        if len(shape) == 3:
            self.builder.add(nodes.Flatten, name)
            order = np.arange(np.prod(shape)).reshape(shape[2], *shape[:2]).transpose(1, 2, 0).ravel()
            self._orders[self.builder.last] = order

    def order(self) -> Any:
        """The places, in MXNet's order, of the features that are read; all of them in a row where both orders agree."""
        return self._orders.get(self.builder.last, slice(None))

    def element_wise(self, kind: Any, name: str, **fields: Any) -> None:
        """Add an element-wise node, behind which features have the order that they had."""
        order = self._orders.get(self.builder.last)
        self.builder.add(kind, name, **fields)
        if order is not None:
            self._orders[self.builder.last] = order


def build(operators: Sequence[Operator], arrays: Mapping[str, Array], options: Options) -> Builder:
    """The graph of a network; ConversionError when an operator is not known or an array does not fit."""
    return _Network(operators, arrays, options).build()


def _shape_of(operators: Sequence[Operator]) -> tuple[int, int, int] | None:
    """The shape of an image where the network says it, as (N, C, H, W)."""
    for operator in operators:
        if operator.name == "data" and "__shape__" in operator.attributes:
            _, c, h, w = operator.numbers("__shape__", None, 4)
            return h, w, c
    return None


Became = tuple[str, str]


def _window(operator: Operator) -> dict[str, Any]:
    operator.only(layout="None", num_group="1", dilate="(1, 1)", no_bias=operator.attributes.get("no_bias", "False"))
    if operator.attributes.get("dilate", "(1, 1)").replace(" ", "") not in ("(1,1)", "()"):
        raise ConversionError("dilated windows are not supported")
    ph, pw = operator.numbers("pad", (0, 0), 2)
    return {"stride": operator.numbers("stride", (1, 1), 2), "padding": (ph, ph, pw, pw)}


def _convolution(net: _Network, operator: Operator, read: list[str]) -> Became:
    (kh, kw), filters = operator.numbers("kernel", None, 2), operator.numbers("num_filter", None)
    channels = net.builder.shape()[-1]
    weight = channels_last(net.real(operator, 1, (filters, channels, kh, kw)))
    bias = None if operator.flag("no_bias") else net.real(operator, 2, (filters,))
    net.builder.add(nodes.Conv, operator.name, shape=weight.shape, weight=weight, bias=bias, **_window(operator))
    return f"Conv {kh}x{kw}, {filters} filters", ""


def _dense(net: _Network, operator: Operator, read: list[str]) -> Became:
    filters = operator.numbers("num_hidden", None)
    net.flatten(f"{operator.name}_flat")
    (inputs,) = net.builder.shape()
    weight = net.real(operator, 1, (filters, inputs))[:, net.order()]
    bias = None if operator.flag("no_bias") else net.real(operator, 2, (filters,))
    _add_dense(net, nodes.Conv, operator, weight=np.ascontiguousarray(weight), bias=bias)
    return f"dense Conv, {inputs} to {filters}", ""


def _add_dense(net: _Network, kind: Any, operator: Operator, **fields: Any) -> None:
    shape = (int(operator.numbers("num_hidden", None)), net.builder.shape()[0])
    net.builder.add(kind, operator.name, shape=shape, stride=(1, 1), padding=(0, 0, 0, 0), **fields)


def _signs(net: _Network, operator: Operator, shape: tuple[int, ...], by_block: bool) -> Array:
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
    return found == 0  # bit 1 is +1


def _equal_signs(net: _Network, name: str, n: int) -> None:
    """(dot + n) / 2, where the layer before has the scale 1/2."""
    net.builder.add(nodes.Shift, f"{name}_equal", shift=np.full(1, n / 2, np.float32))


def _binary(operator: Operator) -> None:
    operator.only(
        act_bit="1", weight_bit="1", scaling_factor="False", no_bias=operator.attributes.get("no_bias", "True")
    )


def _binary_convolution(net: _Network, operator: Operator, read: list[str]) -> Became:
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


def _binary_dense(net: _Network, operator: Operator, read: list[str]) -> Became:
    _binary(operator)
    net.flatten(f"{operator.name}_flat")
    (inputs,) = net.builder.shape()
    filters = int(operator.numbers("num_hidden", None))
    negative = _signs(net, operator, (filters, inputs), True)[:, net.order()]
    fields = {"signs": packed_signs(negative), "alpha": np.full(filters, 0.5, np.float32)}
    _add_dense(net, nodes.XnorConv, operator, **fields)
    _equal_signs(net, operator.name, inputs)
    return f"dense XnorConv, {inputs} to {filters}, Shift", "(dot + n) / 2"


def _binary_activation(net: _Network, operator: Operator, read: list[str]) -> Became:
    operator.only(act_bit="1")
    if operator.flag("backward_only"):
        return "", "the next layer takes the signs itself"
    net.element_wise(nodes.Sign, operator.name)
    return "Sign", "sign(0) = +1"


def _batch_norm(net: _Network, operator: Operator, read: list[str]) -> Became:
    operator.only(axis="1")
    shape = net.builder.shape()[-1:]
    gamma, beta, mean, variance = (net.real(operator, place, shape)[net.order()] for place in range(1, 5))
    fixed, epsilon = operator.flag("fix_gamma", True), float(operator.numbers("eps", 1e-3))
    net.element_wise(
        nodes.BatchNorm, operator.name, **batch_norm(mean, variance, None if fixed else gamma, beta, epsilon)
    )
    return "BatchNorm", f"ε {epsilon:g}" + (", γ = 1 (fix_gamma)" if fixed else "")


def _activation(net: _Network, operator: Operator, read: list[str]) -> Became:
    kinds = {"relu": nodes.Relu, "tanh": nodes.Tanh, "sigmoid": nodes.Sigmoid}
    kind = kinds.get(operator.attributes.get("act_type", ""))
    if kind is None:
        raise ConversionError(f"the activation {operator.attributes.get('act_type')!r} is not supported")
    net.element_wise(kind, operator.name)
    return kind.__name__, ""


def _leaky(net: _Network, operator: Operator, read: list[str]) -> Became:
    operator.only(act_type=operator.attributes.get("act_type", "leaky"))
    kind = operator.attributes.get("act_type", "leaky")
    if kind == "leaky":
        slope = np.full(1, operator.numbers("slope", 0.25), np.float32)
    elif kind == "prelu":
        slope = net.real(operator, 1, net.builder.shape()[-1:])[net.order()]
    else:
        raise ConversionError(f"the activation {kind!r} is not supported")
    net.element_wise(nodes.PRelu, operator.name, slope=slope)
    return "PRelu", ""


def _pooling(net: _Network, operator: Operator, read: list[str]) -> Became:
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


def _flatten(net: _Network, operator: Operator, read: list[str]) -> Became:
    net.flatten(operator.name)
    return "Flatten", "weights behind it in the order row, column, channel"


def _add(net: _Network, operator: Operator, read: list[str]) -> Became:
    if len(read) != 2:
        raise ConversionError(f"it adds {len(read)} results, expected 2")
    net.builder.add(nodes.Add, operator.name, *read)
    return "Add", ""


def _concatenate(net: _Network, operator: Operator, read: list[str]) -> Became:
    operator.only(dim="1")
    if any(name in net._orders for name in read):
        raise ConversionError("it joins flattened maps, which is not supported")
    net.builder.add(nodes.Concatenate, operator.name, *read, axis=-1)
    return "Concatenate", ""


def _left_out(reason: str) -> Callable[[_Network, Operator, list[str]], Became]:
    return lambda net, operator, read: ("", reason)


_OPERATORS: dict[str, Callable[[_Network, Operator, list[str]], Became]] = {
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
    "SoftmaxOutput": _left_out("the scores before the softmax are kept"),
    "softmax": _left_out("the scores before the softmax are kept"),
}
