"""The layers of Keras and Larq that binnet reads, by class; filters, pools and activations have files of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...graph import Add, BatchNorm, Concatenate, Flatten, Multiply, Pad, Reshape, Scale, Shift
from ..builder import batch_norm
from ..report import ConversionError
from . import activations, filters, pools
from .network import OPERATOR
from .part import Part
from .settings import short


def normalise(part: Part) -> None:
    """BatchNormalization of channels."""
    settings, axes = part.settings, len(part.shape)
    settings.only("axis", -1, [-1], axes, [axes])
    gamma = part.array("gamma", 1) if settings.flag("scale", True) else None
    beta = part.array("beta", 1) if settings.flag("center", True) else None
    mean, variance = part.array("moving_mean", 1), part.array("moving_variance", 1)
    part.add(BatchNorm, **batch_norm(mean, variance, gamma, beta, settings.number("epsilon", 1e-3)))
    if gamma is not None and (gamma < 0).any():
        part.notes.append(f"gamma is negative for {int((gamma < 0).sum())} channels")


def standardise(part: Part) -> None:
    """Normalization of the images: (x − mean) / max(√variance, 1e-7)."""
    settings, axes = part.settings, len(part.shape)
    settings.only("axis", -1, [-1], axes, [axes], None)
    settings.only("invert", False)
    if settings.get("mean") is not None or settings.get("variance") is not None:
        raise ConversionError("mean and variance as settings are not supported")
    mean, variance = part.array("mean", 1), part.array("variance", 1)
    if (variance < 0).any():
        raise ConversionError("a variance is below 0")
    # In float64, as the square of 1e-7 is small for float32.
    factor = (1 / np.maximum(np.sqrt(variance.astype(np.float64)), 1e-7)).astype(np.float32)
    part.add(BatchNorm, mean=mean, factor=factor, shift=np.zeros_like(mean))
    part.notes.append("the images are not normalised: --mean 0 --std 0.00392156862745098 for pixels")


def rescale(part: Part) -> None:
    """Rescaling: x · scale + offset."""
    scale, offset = part.settings.number("scale"), part.settings.number("offset", 0)
    part.add(Scale, factor=np.array([scale], np.float32))
    if offset:
        part.add(Shift, ".offset", shift=np.array([offset], np.float32))
    # Such as 1 / 255: a network that normalises pixels itself.
    if abs(scale) < 0.1:
        part.notes.append("the images are pixels 0 to 255: --mean 0 --std 0.00392156862745098")


def flatten(part: Part) -> None:
    """Flatten: rows, columns, channels, in both tools."""
    part.settings.only("data_format", "channels_last")
    if len(part.shape) > 1:
        part.add(Flatten)


def reshape(part: Part) -> None:
    """Reshape to a map or a row."""
    shape = part.settings.get("target_shape")
    if (
        not isinstance(shape, list)
        or not all(type(n) is int and -1 <= n < 1 << 31 for n in shape)
        or shape.count(-1) > 1
    ):
        raise ConversionError(f"target_shape must be whole numbers, got {short(shape)}")
    rest = math.prod(n for n in shape if n != -1)  # -1 stands for what is left
    free = math.prod(part.shape) // rest if rest else 0
    part.add(Reshape, shape=tuple(free if n == -1 else n for n in shape))


def pad(part: Part) -> None:
    """ZeroPadding2D: ((top, bottom), (left, right)), (rows, columns), or one number."""
    part.settings.only("data_format", "channels_last")
    given = part.settings.get("padding", 1)  # what does not fit is refused by the node
    both = given if isinstance(given, list) else [given, given]
    sides = [each if isinstance(each, list) else [each, each] for each in both]
    part.add(Pad, padding=tuple(n for side in sides for n in side))


def total(part: Part) -> None:
    """Add of two or more maps."""
    _fold(part, Add)


def product(part: Part) -> None:
    """Multiply of two or more maps."""
    _fold(part, Multiply)


def operator(part: Part) -> None:
    """x + y and x · y of two maps, written as such and not as layers."""
    function = part.settings.get("function")
    kinds: dict[Any, Any] = {"add": Add, "mul": Multiply, "multiply": Multiply}
    kind = kinds.get(function.rsplit(".", 1)[-1]) if isinstance(function, str) else None
    # Whole names, as there are other functions that end alike.
    if kind is None or function.rsplit(".", 1)[0] not in ("math", "__operators__"):
        raise ConversionError(f"the function {short(function)} is not supported")
    _fold(part, kind)


def join(part: Part) -> None:
    """Concatenate."""
    axis = part.settings.get("axis", -1)
    # Keras counts the batch as axis 0.
    from_end = axis - len(part.shape) - 1 if type(axis) is int and axis > 0 else axis
    part.add(Concatenate, inputs=part.inputs, axis=from_end)


def leave_out(part: Part) -> None:
    """Layers that work in training alone."""
    for key in ("rate", "stddev", "noise_shape", "seed", "l1", "l2", "data_format"):
        part.settings.get(key)
    part.notes.append("works in training alone")


def _fold(part: Part, kind: type[Add] | type[Multiply]) -> None:
    if len(part.inputs) < 2:
        raise ConversionError("it must have two or more inputs")
    for other in part.inputs[1:]:
        part.add(kind, inputs=(part.result, other))


HANDLERS: dict[str, Callable[[Part], None]] = {
    "Conv2D": filters.convolution,
    "QuantConv2D": filters.convolution,
    "Dense": filters.dense,
    "QuantDense": filters.dense,
    "DepthwiseConv2D": filters.depthwise,
    "QuantDepthwiseConv2D": filters.depthwise,
    "SeparableConv2D": filters.separable,
    "QuantSeparableConv2D": filters.separable,
    "BatchNormalization": normalise,
    "BatchNormalizationV1": normalise,
    "BatchNormalizationV2": normalise,
    "SyncBatchNormalization": normalise,
    "Activation": activations.activation,
    "SteSign": activations.sign,
    "ApproxSign": activations.sign,
    "SwishSign": activations.sign,
    "ReLU": activations.relu,
    "LeakyReLU": activations.leaky_relu,
    "PReLU": activations.prelu,
    "Softmax": activations.softmax,
    "MaxPooling2D": pools.max_pool,
    "AveragePooling2D": pools.average_pool,
    "GlobalAveragePooling2D": pools.global_average,
    "GlobalMaxPooling2D": pools.global_max,
    "Flatten": flatten,
    "Reshape": reshape,
    "ZeroPadding2D": pad,
    "Add": total,
    "Multiply": product,
    "Concatenate": join,
    OPERATOR: operator,
    "Normalization": standardise,
    "Rescaling": rescale,
    "Dropout": leave_out,
    "SpatialDropout2D": leave_out,
    "GaussianNoise": leave_out,
    "GaussianDropout": leave_out,
    "AlphaDropout": leave_out,
    "ActivityRegularization": leave_out,
}
