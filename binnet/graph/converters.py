"""Conversion of recorded calls of :mod:`binnet.ops` to nodes: one function for each op."""

from __future__ import annotations

from typing import Any

import numpy as np

import binnet_kernels as bk

from ..ops.activations import _PRelu, _Relu, _Softmax
from ..ops.arithmetic import _Add, _Divide, _Matmul, _Mul, _Subtract
from ..ops.binarize import NotFiniteError, WeightBinariser, _Sign
from ..ops.bwn_conv import _BwnConv2d
from ..ops.conv import _Conv2d, _ConvNormRelu
from ..ops.lowbit import InputQuantiser
from ..ops.lowbit.quantise import _Quantise
from ..ops.norm import _BatchNorm
from ..ops.pool import _AvgPool2d, _MaxPool2d
from ..ops.reduce import _Sum
from ..ops.shapes import _Concatenate, _Pad, _Reshape
from ..ops.xnor_conv import BinaryConv, _NormXnorConv2d, _XnorConv2d
from ..recording import Call
from . import maps, pools, windows
from .graph import Four, Node
from .tracer import Tracer, converts


@converts(_Conv2d)
def _conv(t: Tracer, call: Call) -> None:
    x, weight, bias = call.inputs
    _real(t, call, x, weight, bias, **call.options)


def _real(
    t: Tracer,
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: Any,
    padding: Any,
    groups: int = 1,
    last: bool = True,
) -> str:
    """Add a real convolution; with ``last`` its result is the call's, else that of an intermediate node."""
    array = t.copied(t.constant(weight))
    fields: dict[str, Any] = {"bias": None if bias is None else t.copied(t.constant(bias)), "groups": groups}
    window = _window(stride, padding)
    # A 1x1 convolution of a feature vector is a dense layer, whose weights have two axes.
    rows = t.rows(x) if array.shape[1:3] == (1, 1) and groups == 1 and window == _window(1, 0) else None
    if rows is not None:
        array = array.reshape(len(array), -1)

    def make(name: str, inputs: tuple[str, ...]) -> windows.Conv:
        return windows.Conv(name, inputs, array.shape, **window, weight=array, **fields)

    source = t.node(x) if rows is None else rows
    return t.add(call, make, source) if last else t.between(make, source, suffix="conv2d")


@converts(_BwnConv2d)
def _bwn(t: Tracer, call: Call) -> None:
    x, weight, alpha = call.inputs
    window = _window(call.options["stride"], call.options["padding"])
    signs, scales = _one_bit(t, call.options["weights"], weight, alpha)
    shape = weight.shape
    rows = t.rows(x) if shape[1:3] == (1, 1) and window == _window(1, 0) else None
    if rows is not None:
        shape = (shape[0], shape[3])  # as in `_real`

    def make(name: str, inputs: tuple[str, ...]) -> windows.BwnConv:
        return windows.BwnConv(name, inputs, shape, **window, signs=signs, alpha=scales)

    t.add(call, make, t.node(x) if rows is None else rows)


@converts(_XnorConv2d)
def _xnor(t: Tracer, call: Call) -> None:
    x, weight, alpha = call.inputs
    dense = weight.ndim == 2
    source = t.flat(x) if dense else t.node(x)
    _product(t, call, source, weight, alpha)


def _product(t: Tracer, call: Call, source: str, weight: Any, alpha: Any, last: bool = True) -> str:
    """Add an XnorConv node when weights and inputs have one bit each, else a KbitConv node."""
    conv: BinaryConv = call.options["conv"]
    weights, inputs = conv.weights, conv.inputs
    window = _window(conv.stride, conv.padding)
    settings: dict[str, Any] = {"pad_value": inputs.pad_value, "use_k": inputs.use_k}
    if not isinstance(inputs, InputQuantiser):
        signs, scales = _one_bit(t, weights, weight, alpha)

        def make(name: str, inputs: tuple[str, ...]) -> Node:
            return windows.XnorConv(name, inputs, weight.shape, **window, signs=signs, alpha=scales, **settings)
    else:
        latent, scales = _binarised(t, weights, weight, alpha)
        bits, act_bits = weights.precision, inputs.bits
        planes = t.derived(
            ("planes", weights),
            weight.array,
            lambda: bk.pack_planes(bk.quantise_weight(latent, bits).ravel(), bits),
        )

        def make(name: str, inputs: tuple[str, ...]) -> Node:
            fields = {"planes": planes, "alpha": scales, "act_bits": act_bits, **settings}
            return windows.KbitConv(name, inputs, weight.shape, **window, **fields)

    return t.add(call, make, source) if last else t.between(make, source, suffix="xnor_conv2d")


def _one_bit(t: Tracer, weights: WeightBinariser, weight: Any, alpha: Any) -> tuple[Any, Any]:
    """The packed signs, uint64, and the scales, float32 (O,) or None, of a weight."""
    latent, scales = _binarised(t, weights, weight, alpha)
    return t.derived(("signs", weights), weight.array, lambda: bk.pack_signs(latent.ravel())), scales


def _binarised(t: Tracer, weights: WeightBinariser, weight: Any, alpha: Any) -> tuple[Any, Any]:
    """The real values to binarise, and the scales, float32 (O,), or None when they are all 1."""
    learned = None if alpha is None else t.constant(alpha)
    try:
        latent, scales = weights.binarise(t.constant(weight), learned)
    except NotFiniteError:
        t.refuse("its weights are not finite")
    return latent, None if weights.scale == "none" else np.array(scales, np.float32)


@converts(_BatchNorm)
def _batch_norm(t: Tracer, call: Call) -> None:
    x, gamma, beta = call.inputs
    make = _affine(t, gamma, beta, call.options["statistics"])
    if call.options["relu"]:
        t.add(call, maps.Relu, t.between(make, t.node(x), suffix="batch_norm"), suffix="relu")
    else:
        t.add(call, make, t.node(x))


def _affine(t: Tracer, gamma: Any, beta: Any, statistics: Any) -> Any:
    """The constructor of a BatchNorm node with the constants of a batch normalisation in evaluation mode."""
    if statistics.training:
        t.refuse("a batch normalisation uses the statistics of the batch; it must be in evaluation mode")
    factor = t.constant(gamma) / np.sqrt(statistics.running_var + np.float32(statistics.eps))
    # Copies, because training that goes on would otherwise change the graph.
    mean, shift = statistics.running_mean.copy(), t.copied(t.constant(beta))
    return lambda name, inputs: maps.BatchNorm(name, inputs, mean, factor, shift)


@converts(_ConvNormRelu)
def _conv_norm_relu(t: Tracer, call: Call) -> None:
    x, weight, gamma, beta = call.inputs
    options = {name: call.options[name] for name in ("stride", "padding")}
    source = _real(t, call, x, weight, None, **options, last=False)
    source = t.between(_affine(t, gamma, beta, call.options["statistics"]), source, suffix="batch_norm")
    t.add(call, maps.Relu, source, suffix="relu")


@converts(_NormXnorConv2d)
def _norm_xnor(t: Tracer, call: Call) -> None:
    x, gamma, beta, weight, alpha = call.inputs
    source = t.between(_affine(t, gamma, beta, call.options["statistics"]), t.node(x), suffix="batch_norm")
    if weight.ndim == 2:
        source = t.between(maps.Flatten, source, suffix="flatten")
    relu = call.options["relu"]
    source = _product(t, call, source, weight, alpha, last=not relu)
    if relu:
        t.add(call, maps.Relu, source, suffix="relu")


@converts(_Relu)
def _relu(t: Tracer, call: Call) -> None:
    t.add(call, maps.Relu, t.node(call.inputs[0]))


@converts(_Sign)
def _sign(t: Tracer, call: Call) -> None:
    t.add(call, maps.Sign, t.node(call.inputs[0]))


@converts(_Quantise)
def _quantise(t: Tracer, call: Call) -> None:
    t.add(call, lambda name, inputs: maps.Quantise(name, inputs, call.options["bits"]), t.node(call.inputs[0]))


@converts(_Reshape)
def _reshape(t: Tracer, call: Call) -> None:
    t.view(call, call.inputs[0])


@converts(_Add)
def _add(t: Tracer, call: Call) -> None:
    _symmetric(t, call, maps.Add, maps.Shift)


@converts(_Mul)
def _mul(t: Tracer, call: Call) -> None:
    _symmetric(t, call, maps.Multiply, maps.Scale)


def _symmetric(t: Tracer, call: Call, of_maps: Any, by_channel: Any) -> None:
    """A sum or product of two operands, either of which may be a constant for each channel."""
    # At least one depends on the images, or the call would not be converted.
    x, y = call.inputs if t.depends(call.inputs[0]) else reversed(call.inputs)
    vector = _vector(t, x, y)
    if vector is None:
        t.add(call, of_maps, *t.operands(call))
    else:
        t.add(call, lambda name, inputs: by_channel(name, inputs, vector), t.node(x))


@converts(_Subtract)
def _subtract(t: Tracer, call: Call) -> None:
    """Convert ``x - y`` to ``x + (-y)``, which is equal bit by bit."""
    x, y = call.inputs
    vector = _vector(t, x, y) if t.depends(x) else _vector(t, y, x)
    if vector is not None and t.depends(x):
        t.add(call, lambda name, inputs: maps.Shift(name, inputs, -vector), t.node(x))
        return
    first, second = t.operands(call)
    minus = np.full(1, -1, np.float32)  # there is no node for a difference
    negative = t.between(lambda name, inputs: maps.Scale(name, inputs, minus), second, suffix="neg")
    if vector is not None:
        t.add(call, lambda name, inputs: maps.Shift(name, inputs, vector), negative)
    else:
        t.add(call, maps.Add, first, negative)


@converts(_Divide)
def _divide(t: Tracer, call: Call) -> None:
    t.add(call, maps.Divide, *t.operands(call))


@converts(_Matmul)
def _matmul(t: Tracer, call: Call) -> None:
    x, y = call.inputs
    if not t.depends(x):
        t.refuse("its matrix product has the images on the right; put the weights there")
    weight = t.copied(t.constant(y).T)
    window = _window(1, 0)
    t.add(call, lambda name, inputs: windows.Conv(name, inputs, weight.shape, **window, weight=weight), t.flat(x))


def _vector(t: Tracer, x: Any, y: Any) -> Any:
    """The constant operand ``y`` of ``x`` as float32 (1,) or, one value per channel, (C,); None when it is neither."""
    if t.depends(y):
        return None
    shape = t.shape(x)
    array = t.of_image(y, len(shape))
    if array.ndim > len(shape) + 1 or array.size not in (1, *shape[-1:]) or array.shape[-1:] not in ((), (array.size,)):
        return None
    return np.array(array, np.float32).reshape(array.size)


@converts(_PRelu)
def _prelu(t: Tracer, call: Call) -> None:
    x, slope = call.inputs
    vector = t.copied(t.constant(slope))
    t.add(call, lambda name, inputs: maps.PRelu(name, inputs, vector), t.node(x))


@converts(_Softmax)
def _softmax(t: Tracer, call: Call) -> None:
    t.add(call, maps.Softmax, t.node(call.inputs[0]))


@converts(_Pad)
def _pad(t: Tracer, call: Call) -> None:
    padding, value = call.options["padding"], call.options["value"]
    t.add(call, lambda name, inputs: maps.Pad(name, inputs, padding, value), t.node(call.inputs[0]))


@converts(_Concatenate)
def _concatenate(t: Tracer, call: Call) -> None:
    axis = call.options["axis"] - call.result.ndim  # counted from the end: nodes have no batch axis
    t.add(call, lambda name, inputs: maps.Concatenate(name, inputs, axis), *t.operands(call))


@converts(_MaxPool2d)
def _max_pool(t: Tracer, call: Call) -> None:
    _pooled(t, call, pools.MaxPool)


@converts(_AvgPool2d)
def _avg_pool(t: Tracer, call: Call) -> None:
    _pooled(t, call, pools.AvgPool)


def _pooled(t: Tracer, call: Call, kind: Any) -> None:
    size = _pair(call.options["kernel_size"])
    stride = size if call.options["stride"] is None else _pair(call.options["stride"])
    padding = _four(call.options["padding"])
    t.add(call, lambda name, inputs: kind(name, inputs, size, stride, padding), t.node(call.inputs[0]))


@converts(_Sum)
def _mean(t: Tracer, call: Call) -> None:
    x, axis = call.inputs[0], call.options["axis"]
    axes = np.lib.array_utils.normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    if not call.options["average"] or x.ndim != 4 or set(axes) != {1, 2}:
        t.refuse("of sums and means only the mean over rows and columns of a map, axis=(1, 2), has a node")
    t.add(call, maps.GlobalAverage, t.node(x), suffix="mean")  # keepdims only gives it another shape


def _window(stride: Any, padding: Any) -> dict[str, Any]:
    return {"stride": _pair(stride), "padding": _four(padding)}


def _pair(value: Any) -> tuple[int, int]:
    a, b = (value, value) if isinstance(value, int | np.integer) else value
    return int(a), int(b)


def _four(padding: Any) -> Four:
    """A padding as (top, bottom, left, right), given as one number, as (rows, columns), or as these four."""
    if not isinstance(padding, int | np.integer) and len(padding) == 4:
        top, bottom, left, right = map(int, padding)
        return top, bottom, left, right
    rows, columns = _pair(padding)
    return rows, rows, columns, columns
