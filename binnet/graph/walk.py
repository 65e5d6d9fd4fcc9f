"""Evaluation of a graph in NumPy: the executable specification that the engine is tested against."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph import Float, Graph


def walk(graph: Graph, x: Any) -> Float:
    """The result of a graph for normalised images, computed node by node.

    Sums of real convolutions are computed in float64 and rounded once. The engine adds in float32 in the order of the
    window, so its sums may differ by (number of terms) · 2⁻²⁴ of the sum of magnitudes. Everything else is equal bit by
    bit, except means (average pooling, the map K), which may differ in the last bit.

    Parameters
    ----------
    x : float32 (N, H, W, C)

    Returns
    -------
    float32 (N, ...)
    """
    return values(graph, x)[graph.nodes[-1].name]


def values(graph: Graph, x: Any) -> dict[str, Float]:
    """The results of all nodes by name, for images as in :func:`walk`."""
    found: dict[str, Float] = {graph.input.name: np.asarray(x, np.float32)}
    with np.errstate(all="ignore"):  # NaN and infinities pass without a warning, as in the engine
        for node in graph.nodes[1:]:
            found[node.name] = node.compute(*(found[name] for name in node.inputs))
    return found
