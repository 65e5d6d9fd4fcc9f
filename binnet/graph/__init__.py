"""The graph of a network: what every way to make a network ends in, and what everything that uses one starts from.

Importing it brings no training code; :func:`trace` and :func:`register`, which look at modules, do when they are first
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .graph import KINDS, Graph, Input, Node, kind
from .maps import (
    Add,
    BatchNorm,
    Concatenate,
    Constant,
    Divide,
    ElementWise,
    Flatten,
    GlobalAverage,
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
