"""Activation functions of Keras and Larq, as layers and as the last step of other layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import Clip, PRelu, Relu, Sigmoid, Sign, Softmax, Tanh
from ..report import ConversionError
from .part import Part
from .settings import SIGNS, function_name, plain, short

_FUNCTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "relu": (Relu, {}),
    "relu6": (Clip, {"low": 0.0, "high": 6.0}),
    "softmax": (Softmax, {}),
    "tanh": (Tanh, {}),
    "sigmoid": (Sigmoid, {}),
    "hardtanh": (Clip, {"low": -1.0, "high": 1.0}),
} | {name: (Sign, {}) for name in SIGNS}


def activate(part: Part, function: Any) -> None:
    """Add the node of a function, given as the JSON has it: null, a word, or an object."""
    if function is None or (name := plain(function_name(function))) == "linear":
        return
    if name not in _FUNCTIONS:
        raise ConversionError(f"the activation {short(function_name(function))} is not supported")
    kind, fields = _FUNCTIONS[name]
    inner = function.get("config") if isinstance(function, dict) else None
    # A layer as an activation may have settings of its own, such as the largest value of a ReLU.
    if kind is not Sign and isinstance(inner, dict) and inner:
        raise ConversionError(f"the activation {short(function)} is not supported")
    # The layer's own name is taken by its filters, unless it has none.
    part.add(kind, f".{name}" if part.result not in part.inputs else "", **fields)


def activation(part: Part) -> None:
    """Activation."""
    activate(part, part.settings.get("activation"))


def sign(part: Part) -> None:
    """A quantiser of Larq as a layer."""
    for key in ("clip_value", "beta"):  # of the gradient
        part.settings.get(key)
    part.add(Sign)


def relu(part: Part) -> None:
    """ReLU with its limits."""
    settings = part.settings
    most, slope = settings.get("max_value"), settings.number("negative_slope", 0)
    settings.only("threshold", 0.0)
    if slope and most is not None:
        raise ConversionError("max_value with negative_slope is not supported")
    if slope:
        part.add(PRelu, slope=np.array([slope], np.float32))
    elif most is None:
        part.add(Relu)
    else:
        part.add(Clip, low=0.0, high=settings.number("max_value"))


def leaky_relu(part: Part) -> None:
    """LeakyReLU, whose slope is called alpha in Keras 2, and negative_slope in Keras 3."""
    slope = part.settings.number("negative_slope", part.settings.number("alpha", 0.3))
    part.add(PRelu, slope=np.array([slope], np.float32))


def prelu(part: Part) -> None:
    """PReLU with a slope for each channel; ``shared_axes`` leaves axes of length 1."""
    part.settings.get("shared_axes")  # the array's shape says the same
    slope = part.array("alpha", len(part.shape))
    if slope.size != slope.shape[-1]:
        raise ConversionError(f"its alpha differs between pixels, shape {slope.shape}; shared_axes must be [1, 2]")
    part.add(PRelu, slope=slope.reshape(-1))


def softmax(part: Part) -> None:
    """Softmax over the last axis."""
    part.settings.only("axis", -1, len(part.shape))
    part.add(Softmax)
