"""The choice of the layers that get eight bits, and the layers themselves."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..graph import BwnConv, Conv, Graph, Int8BwnConv, Int8Conv, Node, QuantiseLinear
from ..graph.graph import Float
from ..graph.int8 import MOST, MOST_SUM, MOST_WEIGHT
from .folding import Float64, Folded
from .rounding import whole_weights

# One-bit dense layers with more weights stay as they are: as bytes the weights would take eight times the memory.
MOST_DENSE_BITS = 1 << 20


@dataclass(frozen=True)
class LayerReport:
    """What became of a real layer.

    Attributes
    ----------
    name, kind : str
        Kind of its node after quantisation.
    reason : str
        Why it stays real; empty for a layer in eight bits.
    step : float or None
        The step of its input; None for pixels, and for layers that stay real.
    zero : int or None
        The number that stands for 0 in its input; None as ``step``.
    input_error, weight_error : float or None
        Relative errors of rounding, see :mod:`binnet.quantise.rounding`; None where nothing is rounded.
    """

    name: str
    kind: str
    reason: str = ""
    step: float | None = None
    zero: int | None = None
    input_error: float | None = None
    weight_error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON."""
        return asdict(self)


def reason_against(node: Conv | BwnConv, keep: Collection[str]) -> str:
    """Why a layer stays real, in words; empty when it gets eight bits."""
    if node.name in keep:
        return "named to be kept"
    if isinstance(node, Conv) and node.groups > 1:
        return "it has groups"
    if isinstance(node, BwnConv) and node.is_dense and math.prod(node.shape) > MOST_DENSE_BITS:
        return "its one-bit weights take less memory"
    largest = MOST * (MOST_WEIGHT if isinstance(node, Conv) else 1) * math.prod(node.shape[1:])
    return "its sums could overflow" if largest > MOST_SUM else ""


def real_layers(graph: Graph, keep: Collection[str]) -> dict[str, str]:
    """The names of all layers with real inputs, each with the reason why it stays real, or an empty text.

    Raises
    ------
    ValueError
        When ``keep`` names no such layer.
    """
    nodes = [node for node in graph if isinstance(node, Conv | BwnConv)]
    unknown = set(keep) - {node.name for node in nodes}
    if unknown:
        there = ", ".join(node.name for node in nodes) or "none"
        raise ValueError(f"there is no real layer {min(unknown)!r} to keep; there are: {there}")
    return {node.name: reason_against(node, keep) for node in nodes}


def of_pixels(layer: Folded, windows: Float, zero: Float, step: Float64) -> tuple[Node, LayerReport]:
    """The first layer, which reads pixels: normalisation is part of its weights and of its zero.

    ``windows`` are samples of normalised pixels (n, KH KW C), ``zero`` and ``step`` (C,) are their constants.
    """
    steps = np.tile(step, windows.shape[1] // len(step))  # for each weight of a filter
    q, scale, error = whole_weights(layer.weight() * step, windows / steps)
    node = _int8_conv(layer, layer.source, zero, q, scale)
    return node, LayerReport(node.name, node.kind, weight_error=error)


def of_map(layer: Folded, windows: Float, quantise: QuantiseLinear, input_error: float) -> tuple[Node, LayerReport]:
    """A layer that reads whole numbers made from a map; ``windows`` are samples of the map (n, KH KW C)."""
    zero, error = np.full(1, quantise.zero, np.float32), None
    node: Node
    if isinstance(layer.node, Conv):
        q, scale, error = whole_weights(layer.weight(), windows.astype(np.float64))
        node = _int8_conv(layer, quantise.name, zero, q, scale * quantise.step)
    else:
        old = layer.node
        alpha = np.ones(old.shape[0], np.float32) if old.alpha is None else old.alpha
        scaled = _in_float32(old.name, alpha.astype(np.float64) * quantise.step)
        where = (old.name, (quantise.name,), old.shape, old.stride, layer.padding)
        node = Int8BwnConv(*where, zero=zero, signs=old.signs, alpha=scaled)
    return node, LayerReport(node.name, node.kind, "", quantise.step, quantise.zero, input_error, error)


def _int8_conv(layer: Folded, source: str, zero: Float, q: Any, scale: Float64) -> Int8Conv:
    old, bias = layer.node, layer.bias()
    # The scale of a filter of tiny weights could become 0.
    scale32 = np.maximum(_in_float32(old.name, scale), np.finfo(np.float32).tiny)
    bias32 = None if bias is None else _in_float32(old.name, bias)
    where = (old.name, (source,), old.shape, old.stride, layer.padding)
    return Int8Conv(*where, zero, q, scale32, bias=bias32)


def _in_float32(name: str, values: Float64) -> Float:
    with np.errstate(over="ignore"):
        found: Float = values.astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError(f"the numbers of layer {name} are too large for eight bits with a float32 scale; keep it real")
    return found
