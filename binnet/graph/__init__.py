"""The graph of a network: what every way to make a network ends in, and what everything that uses one starts from.

Importing it brings no training code; :func:`trace` and :func:`register`, which look at modules, do when they are first
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .filters import BwnConv, Conv, Filters, KbitConv, XnorConv
from .graph import Graph
from .maps import (
    Add,
    AvgPool,
    Concatenate,
    Constant,
    Divide,
    Flatten,
    GlobalAverage,
    MaxPool,
    Multiply,
    Pad,
    Reshape,
    Softmax,
)
from .nodes import (
    KINDS,
    BatchNorm,
    ElementWise,
    Input,
    Node,
    PRelu,
    Quantise,
    Relu,
    Scale,
    Shift,
    Sign,
    kind,
)
from .walk import walk

if TYPE_CHECKING:
    from .tracer import register
    from .tracing import trace

__all__ = [
    "KINDS",
    "Add",
    "AvgPool",
    "BatchNorm",
    "BwnConv",
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
    "KbitConv",
    "MaxPool",
    "Multiply",
    "Node",
    "PRelu",
    "Pad",
    "Quantise",
    "Relu",
    "Reshape",
    "Scale",
    "Shift",
    "Sign",
    "Softmax",
    "XnorConv",
    "kind",
    "register",
    "trace",
    "walk",
]


def __getattr__(name: str) -> Any:
    """``trace`` and ``register`` on their first use."""
    if name in ("trace", "register"):
        value = getattr(import_module(f"{__name__}.{'tracing' if name == 'trace' else 'tracer'}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
