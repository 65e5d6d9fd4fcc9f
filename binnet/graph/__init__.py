"""The graph of a network: the result of all ways to make a network, and the input of everything that uses one.

Importing it does not import training code; :func:`trace` and :func:`register`, which need it, are imported on use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .activations import Clip, Sigmoid, Tanh
from .graph import KINDS, Graph, Input, Node, kind
from .int8 import Int8BwnConv, Int8Conv, QuantiseLinear
from .maps import (
    Add,
    BatchNorm,
    Concatenate,
    Constant,
    Divide,
    ElementWise,
    Flatten,
    GlobalAverage,
    Monotone,
    Multiply,
    Pad,
    PRelu,
    Quantise,
    Relu,
    Reshape,
    Scale,
    Shift,
    Sign,
    Softmax,
)
from .pools import AvgPool, MaxPool
from .walk import walk
from .windows import BwnConv, Conv, Filters, KbitConv, XnorConv

if TYPE_CHECKING:
    from .tracer import register
    from .tracing import trace

__all__ = [
    "KINDS",
    "Add",
    "AvgPool",
    "BatchNorm",
    "BwnConv",
    "Clip",
    "Concatenate",
    "Constant",
    "Conv",
    "Divide",
    "ElementWise",
    "Filters",
    "Flatten",
    "GlobalAverage",
    "Graph",
    "Input",
    "Int8BwnConv",
    "Int8Conv",
    "KbitConv",
    "MaxPool",
    "Monotone",
    "Multiply",
    "Node",
    "PRelu",
    "Pad",
    "Quantise",
    "QuantiseLinear",
    "Relu",
    "Reshape",
    "Scale",
    "Shift",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Tanh",
    "XnorConv",
    "kind",
    "register",
    "trace",
    "walk",
]


def __getattr__(name: str) -> Any:
    """Import ``trace`` and ``register`` on their first use."""
    if name in ("trace", "register"):
        # Stored in the module, so that this function is not called again for the name.
        value = getattr(import_module(f"{__name__}.{'tracing' if name == 'trace' else 'tracer'}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
