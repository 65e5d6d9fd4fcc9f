"""Element-wise operations: arithmetic, signs, activation functions, normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...graph import (
    Add,
    BatchNorm,
    Clip,
    Divide,
    Multiply,
    PRelu,
    QuantiseLinear,
    Relu,
    Scale,
    Sigmoid,
    Sign,
    Softmax,
    Tanh,
)
from ..builder import batch_norm
from .merging import NORMALISE, QUANTISE
from .part import Part, Test, Value

LARGEST = float(np.finfo(np.float32).max)
COMPARISONS = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual")


def plain(kind: Any) -> Callable[[Part], Value]:
    """A function without parameters."""
    return lambda part: part.follow(part.value(), kind)


def arithmetic(kind: type) -> Callable[[Part], Value]:
    """Add, Multiply or Divide of two values, or of a value and an array."""

    def read(part: Part) -> Value:
        one, other = part.inputs[0], part.inputs[1]
        if isinstance(other, np.ndarray):
            return part.combine(kind, part.value(), other)
        if isinstance(one, np.ndarray) and kind is not Divide:
            return part.combine(kind, part.value(1), one)
        if isinstance(one, np.ndarray):
            raise part.refuse("divides an array by a map, which binnet does not read")
        return part.two(kind, part.value(0), part.value(1))

    return read


def subtract(part: Part) -> Value:
    """x - y is x + (-y)."""
    one, other = part.inputs[0], part.inputs[1]
    if isinstance(other, np.ndarray):
        return part.combine(Add, part.value(), -np.asarray(other, np.float32))
    negative = part.follow(part.value(1), Scale, factor=np.array([-1], np.float32))
    if isinstance(one, np.ndarray):
        return part.combine(Add, negative, one)
    return part.two(Add, part.value(0), negative)


def normalise(part: Part) -> Value:
    """BatchNormalization with fixed mean and variance."""
    part.expect(training_mode=0, spatial=1)
    value = part.value()
    if value.is_map:
        part.as_map(value)
    gamma, beta, mean, variance = (part.by_channel(part.array(n), value) for n in (1, 2, 3, 4))
    fields = batch_norm(mean, variance, gamma, beta, part.attribute("epsilon", 1e-5))
    return part.follow(value, BatchNorm, **fields)


def normalise_in_steps(part: Part) -> Value:
    """Sub, Mul, Add with a number for each channel, which is a BatchNorm; a map's numbers in three nodes."""
    value = part.value()
    mean, factor, shift = (part.constant(part.array(n), value) for n in (1, 2, 3))
    if all(each.size == each.shape[-1] for each in (mean, factor, shift)):
        vectors = (np.broadcast_to(each.ravel(), value.shape[-1:]).copy() for each in (mean, factor, shift))
        return part.follow(value, BatchNorm, **dict(zip(("mean", "factor", "shift"), vectors, strict=True)))
    centred = part.combine(Add, value, -np.asarray(part.array(1), np.float32))
    return part.combine(Add, part.combine(Multiply, centred, part.array(2)), part.array(3))


def quantise(part: Part) -> Value:
    """Mul, Round, Add, Clip to whole numbers from 0 to 255."""
    factor, zero = float(np.ravel(part.array(1))[0]), int(np.ravel(part.array(2))[0])
    step = float(np.float32(1 / factor))
    # Some reciprocals have no reciprocal that is the factor again: a step beside is tried, else it differs a little.
    near = (step, *(float(np.nextafter(np.float32(step), np.float32(end))) for end in (0, np.inf)))
    step = next((each for each in near if np.float32(1 / each) == np.float32(factor)), step)
    return replace(part.follow(part.value(), QuantiseLinear, step=step, zero=zero), whole=True)


def bipolar(part: Part) -> Value:
    """QONNX's BipolarQuant, +scale for x >= 0, else -scale, and Quant to one signed bit."""
    scale = np.asarray(part.array(1), np.float32)
    if scale.size != 1 or not 0 < float(scale.ravel()[0]) <= LARGEST:
        raise part.refuse(f"has a scale of shape {scale.shape}, expected one number above 0")
    return signs(part, part.value(), float(scale.ravel()[0]))


def quant(part: Part) -> Value:
    """QONNX's Quant of a map, to one signed bit."""
    zero, bits = np.ravel(part.array(2)), np.ravel(part.array(3))
    part.expect(signed=1)
    if zero.tolist() != [0] or bits.tolist() != [1]:
        raise part.refuse(f"quantises a map to {bits.tolist()} bits, expected one")
    return bipolar(part)


def sign(part: Part) -> Value:
    """ONNX's Sign, which gives 0 for 0."""
    part.notes.append("a value of exactly 0 counts as +1, not 0")
    return signs(part, part.value(), 1.0)


def signs(part: Part, value: Value, scale: float) -> Value:
    """±scale by the sign of a value; the node is made when something other than XnorConv reads it."""
    return replace(value, scale=scale, unsigned=True, whole=scale == 1)


def compare(part: Part) -> Test:
    """A comparison that a Where reads."""
    return Test(part.value(), part.operation.kind, part.array(1))


def where(part: Part) -> Value:
    """``Where(x < t, -s, s)`` and its like: a sign, with a threshold that may differ between channels."""
    test, yes, no = part.inputs[0], part.array(1), part.array(2)
    if not isinstance(test, Test) or yes.size != 1 or no.size != 1:
        raise part.refuse("must choose between two numbers by a comparison")
    below = test.kind.startswith("Less")
    low, high = (float(each.ravel()[0]) for each in ((yes, no) if below else (no, yes)))
    if not 0 < high <= LARGEST or low != -high:
        raise part.refuse(f"gives {low} below the threshold and {high} above, expected -s and s")
    threshold = part.constant(test.array, test.value)
    if threshold.size != threshold.shape[-1]:
        raise part.refuse("has a threshold for each pixel, expected one for each channel")
    if test.kind in ("LessOrEqual", "Greater"):
        # x > t is x >= the next number.
        threshold = np.nextafter(threshold, np.float32(np.inf))
    if not threshold.any():
        return signs(part, test.value, high)
    vector = np.broadcast_to(threshold.ravel(), test.value.shape[-1:]).copy()
    signed = part.follow(test.value, Sign, threshold=vector)
    signed = signed if high == 1 else part.follow(signed, Scale, factor=np.array([high], np.float32))
    return replace(signed, scale=high)


def clip(part: Part) -> Value:
    """Clip; an absent end is that of float32."""
    ends = []
    for name, number, default in (("min", 1, -LARGEST), ("max", 2, LARGEST)):
        found = part.operation.attributes.get(name, part.array(number, optional=True))
        ends.append(default if found is None else float(np.clip(np.float32(np.ravel(found)[0]), -LARGEST, LARGEST)))
    return part.follow(part.value(), Clip, low=ends[0], high=ends[1])


def leaky(part: Part) -> Value:
    """LeakyRelu."""
    return part.follow(part.value(), PRelu, slope=np.array([part.attribute("alpha", 0.01)], np.float32))


def absolute(part: Part) -> Value:
    """|x| is a PReLU of slope -1."""
    return part.follow(part.value(), PRelu, slope=np.array([-1], np.float32))


def negative(part: Part) -> Value:
    """-x."""
    return part.follow(part.value(), Scale, factor=np.array([-1], np.float32))


def prelu(part: Part) -> Value:
    """PRelu with a slope, or one for each channel."""
    value = part.value()
    slope = part.constant(part.array(1), value)
    if slope.size not in (1, value.shape[-1]) or slope.size != slope.shape[-1]:
        raise part.refuse(f"has slopes {slope.shape}, expected one for each channel")
    return part.follow(value, PRelu, slope=np.ascontiguousarray(slope.ravel()))


def softmax(part: Part) -> Value:
    """Softmax over channels."""
    value = part.value()
    axis = part.attribute("axis", -1 if part.opset >= 13 else 1)
    axis += len(value.axes) + 1 if axis < 0 else 0
    if not 1 <= axis <= len(value.axes) or value.axes[axis - 1] != len(value.axes) - 1:
        raise part.refuse(f"is over axis {axis}, expected that of the channels")
    if value.is_map and part.opset < 13 and value.size != value.shape[-1]:
        raise part.refuse("is over all values of a map, expected those of the channels")
    return part.follow(value, Softmax)


def round_(part: Part) -> Value:
    """Rounding, which changes no whole number."""
    if not part.raw().whole:
        raise part.refuse("rounds real numbers, for which binnet has no node")
    return part.raw()


def same(part: Part) -> Value:
    """An operation that changes nothing here."""
    return part.raw()


def cast(part: Part) -> Value:
    """A cast to real numbers."""
    if part.attribute("to", 1) not in (1, 10, 11):
        raise part.refuse("makes other than real numbers of the network's values")
    return part.raw()


READERS: dict[str, Callable[[Part], Value | Test]] = {
    "Abs": absolute,
    "Add": arithmetic(Add),
    "BatchNormalization": normalise,
    "BipolarQuant": bipolar,
    "Cast": cast,
    "Clip": clip,
    "Div": arithmetic(Divide),
    "Dropout": same,
    "Identity": same,
    "LeakyRelu": leaky,
    "Mul": arithmetic(Multiply),
    "Neg": negative,
    "PRelu": prelu,
    "Quant": quant,
    "Relu": plain(Relu),
    "Round": round_,
    "Sigmoid": plain(Sigmoid),
    "Sign": sign,
    "Softmax": softmax,
    "Sub": subtract,
    "Tanh": plain(Tanh),
    "Where": where,
    NORMALISE: normalise_in_steps,
    QUANTISE: quantise,
    **dict.fromkeys(COMPARISONS, compare),
}
