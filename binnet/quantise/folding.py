"""What layers in eight bits contain of the nodes around them: a border of zeros in front, a normalisation behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph import BatchNorm, BwnConv, Conv, Graph, Node, Pad
from ..graph.graph import MOST_PADDING, Four
from ..modelfile.info import DataInfo

Float64 = npt.NDArray[np.float64]
Readers = Mapping[str, Sequence[Node]]
_STEPS = 1 << 16  # of a pixel, to which 255 · mean is rounded


@dataclass(frozen=True, eq=False)
class Folded:
    """A real layer with the nodes that it will contain.

    Attributes
    ----------
    node : Conv or BwnConv
    source : str
        Name of the node that it reads.
    padding : (top, bottom, left, right)
        Its own border, and those of the ``Pad`` nodes between ``source`` and the layer.
    pads : tuple of str
        Names of these nodes.
    norm : BatchNorm or None
        The normalisation that alone reads its result. One-bit weights cannot contain it.
    """

    node: Conv | BwnConv
    source: str
    padding: Four
    pads: tuple[str, ...]
    norm: BatchNorm | None

    def weight(self) -> Float64:
        """The weights of a real layer, with the factor of the normalisation, in float64."""
        assert isinstance(self.node, Conv)
        weight = self.node.weight.astype(np.float64)
        return weight if self.norm is None else weight * _column(self.norm.factor, weight.ndim)

    def bias(self) -> Float64 | None:
        """The bias of a real layer, with the normalisation, in float64; None when there is neither."""
        assert isinstance(self.node, Conv)
        bias = None if self.node.bias is None else self.node.bias.astype(np.float64)
        if self.norm is None:
            return bias
        mean, factor, shift = (v.astype(np.float64) for v in (self.norm.mean, self.norm.factor, self.norm.shift))
        return ((0 if bias is None else bias) - mean) * factor + shift


def _column(vector: Any, ndim: int) -> Float64:
    """Values (O,) in the shape (O, 1, ...)."""
    column: Float64 = vector.astype(np.float64).reshape(-1, *[1] * (ndim - 1))
    return column


def readers_of(graph: Graph) -> dict[str, list[Node]]:
    """The nodes that read each node; the last is read by the caller, which counts as itself."""
    readers: dict[str, list[Node]] = {node.name: [] for node in graph}
    for node in graph:
        for name in node.inputs:
            readers[name].append(node)
    readers[graph.nodes[-1].name].append(graph.nodes[-1])
    return readers


def folded(graph: Graph, node: Conv | BwnConv, readers: Readers) -> Folded:
    """A layer with the borders in front of it and the normalisation behind it that nothing else reads."""
    padding, source, pads = node.padding, graph[node.inputs[0]], list[str]()
    while isinstance(source, Pad) and source.value == 0 and len(readers[source.name]) == 1:
        t, b, le, r = (one + other for one, other in zip(padding, source.padding, strict=True))
        if max(t, b, le, r) > MOST_PADDING:
            break
        padding, pads = (t, b, le, r), [*pads, source.name]
        source = graph[source.inputs[0]]
    behind = readers[node.name][0] if len(readers[node.name]) == 1 else None
    norm = behind if isinstance(behind, BatchNorm) and isinstance(node, Conv) else None
    return Folded(node, source.name, padding, tuple(pads), norm)


def pixel_constants(info: DataInfo, channels: int) -> tuple[npt.NDArray[np.float32], Float64] | None:
    """The pixel that normalises to 0, and what one step of a pixel normalises to, for each channel.

    Returns
    -------
    zero : float32 (C,)
        255 · mean, rounded to a multiple of 2^-16.
    step : float64 (C,)
        1 / (255 · std).
    or None, when the normalisation is unknown, or a mean lies outside of 0 to 1.
    """
    if info.mean is None or info.std is None:
        return None
    # In float32, as images are normalised.
    mean, std = (np.broadcast_to(np.array(v, np.float32), channels).astype(np.float64) for v in (info.mean, info.std))
    if not ((mean >= 0) & (mean <= 1)).all():
        return None
    return (np.rint(255 * mean * _STEPS) / _STEPS).astype(np.float32), 1 / (255 * std)
