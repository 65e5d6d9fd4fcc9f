"""Functions that exchange and round the weights of nodes, and find shared weights.

An engine keeps nodes without weights once it has prepared these for kernels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import Conv, Filters, Graph
from ..graph.graph import Array

if TYPE_CHECKING:  # loading a model needs no stages
    from .stages import Stage

REAL = ("float32", "float16")  # "int8" is made by binnet.quantise


def with_weights(node: Filters, weights: Array) -> Filters:
    """The node with other weights."""
    changed: dict[str, Any] = {node.weights: weights}
    return replace(node, **changed)


def without_weights(node: Filters) -> Filters:
    """The node with an array of zeros in the place of its weights, which takes no memory."""
    # A view with strides of 0 has the shape of the weights and takes no memory.
    return with_weights(node, np.broadcast_to(node.held.dtype.type(0), node.held.shape))


def sharing(stages: Iterable[Stage]) -> dict[Stage, Stage]:
    """For each stage with filters, the first one that has the same: that of the first use of a layer used repeatedly.

    Two nodes share filters when they hold one array of weights and are equal in everything else that is prepared.
    """
    first: dict[Any, Stage] = {}
    return {stage: first.setdefault(_key(stage.node), stage) for stage in stages if isinstance(stage.node, Filters)}


def _key(node: Filters) -> Any:
    # Tracing and reading give all uses of a layer one array of weights, but each use may have its own scales and bias.
    others = [(name, array.tobytes()) for name, array in node.arrays().items() if name != node.weights]
    return node.kind, id(node.held), *node.settings().items(), *others


def rounded(graph: Graph, real: str) -> Graph:
    """The graph with real weights that ``real`` holds exactly: rounded to nearest, ties to even.

    Raises
    ------
    ValueError
        For another word than those in ``REAL``, and where a weight is too large for float16.
    """
    if real not in REAL:
        raise ValueError(f"unknown real {real!r}; there are: {', '.join(REAL)}, and int8 for binnet.pack")
    return graph if real == "float32" else Graph(tuple(map(_in_float16, graph.nodes)))


def _in_float16(node: Any) -> Any:
    if not isinstance(node, Conv):
        return node
    with np.errstate(over="ignore"):
        half = node.weight.astype(np.float16)
    if np.isinf(half).any():
        raise ValueError(f"{node.name}.weight does not fit into float16, which ends at 65504")
    return replace(node, weight=half.astype(np.float32))
