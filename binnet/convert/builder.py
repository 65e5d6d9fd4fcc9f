"""Builds a graph node by node, with the conversions that several formats need."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Graph, Input, Node
from ..graph.graph import Array, Float, Shape
from ..graph.windows import Words
from .report import ConversionError, Report, Row

LARGEST_MAP = 1 << 26  # values for an image; a small file could ask for more than fits into memory


class Builder:
    """Nodes in the order in which they were added, their shapes, and the report about them.

    Attributes
    ----------
    report : Report
    last : str
        Name of the node that was added last.
    """

    def __init__(self, input_shape: tuple[int, int, int], any_size: bool = False) -> None:
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {}
        self.report = Report()
        self.last = self._keep(_input(input_shape, any_size))

    def add(self, kind: Any, name: str, *inputs: str, **settings: Any) -> str:
        """Add ``kind(name, inputs, **settings)`` and return its name, which is made valid and unique.

        Without ``inputs`` it reads the node that was added last, unless its kind reads none. ConversionError when it
        does not fit.
        """
        reads = inputs or (() if kind.arity == 0 else (self.last,))
        try:
            return self._keep(kind(self._unique(name), reads, **settings))
        except (ValueError, TypeError) as error:
            raise ConversionError(str(error)) from error

    def shape(self, name: str | None = None) -> Shape:
        """The shape of a node's result for one image, (H, W, C) or (C,); of the last one without a name."""
        return self._shapes[self.last if name is None else name]

    def since(self, name: str) -> list[Node]:
        """The nodes that were added after the node called ``name``."""
        names = list(self._nodes)
        return [self._nodes[each] for each in names[names.index(name) + 1 :]]

    def tell(self, name: str, kind: str, became: str, note: str = "") -> None:
        """Add a row to the report."""
        self.report.rows.append(Row(name, kind, became, note))

    def leave_out(self, name: str, reason: str) -> None:
        """Add a part that was read and not used to the report."""
        self.report.left_out.append((name, reason))

    def drop_unread(self) -> list[str]:
        """Take out the nodes whose results the last one does not depend on; their names."""
        read = {self.last}
        for name in reversed(self._nodes):
            if name in read:
                read.update(self._nodes[name].inputs)
        unread = [name for name, node in self._nodes.items() if name not in read and not isinstance(node, Input)]
        for name in unread:
            del self._nodes[name]
        return unread

    def graph(self) -> Graph:
        """The graph; ConversionError when nodes do not fit together or an array is not finite."""
        try:
            graph = Graph(tuple(self._nodes.values()))
            graph.check_finite()
        except ValueError as error:
            raise ConversionError(str(error)) from error
        return graph

    def _keep(self, node: Node) -> str:
        shape = self._shapes[node.name] = node.output(*(self._shapes[name] for name in node.inputs))
        if math.prod(shape) > LARGEST_MAP:
            raise ConversionError(
                f"{node.name} gives {math.prod(shape):,} values for an image, more than {LARGEST_MAP:,}"
            )
        self._nodes[node.name] = node
        self.last = node.name
        return node.name

    def _unique(self, name: str) -> str:
        """The name with unprintable characters and slashes replaced, and a number behind it where it is taken."""
        word = "".join(c if c.isprintable() and c != "/" else "." for c in name).strip(".") or "node"
        unique, number = word, 2
        while unique in self._nodes:
            unique, number = f"{word}_{number}", number + 1
        return unique


def _input(shape: tuple[int, int, int], any_size: bool) -> Input:
    try:
        return Input("input", (), shape, any_size)
    except ValueError as error:
        raise ConversionError(str(error)) from error


def batch_norm(mean: Array, variance: Array, gamma: Array | None, beta: Array | None, epsilon: float) -> dict[str, Any]:
    """The fields of a :class:`binnet.graph.BatchNorm` node from what training tools store for each channel (C,).

    γ is 1 and β is 0 where they are None. ConversionError when the lengths differ or σ² + ε is not above 0.
    """
    mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
    gamma = np.ones(mean.shape) if gamma is None else np.asarray(gamma, np.float64)
    beta = np.zeros(mean.shape) if beta is None else np.asarray(beta, np.float64)
    if mean.ndim != 1 or not mean.shape == variance.shape == gamma.shape == beta.shape:
        shapes = mean.shape, variance.shape, gamma.shape, beta.shape
        raise ConversionError(f"mean, variance, gamma and beta must have one length, got {shapes}")
    if not (variance + epsilon > 0).all():
        raise ConversionError("a variance of a normalisation is not above 0")
    factor = gamma / np.sqrt(variance + epsilon)
    return {"mean": np.float32(mean), "factor": np.float32(factor), "shift": np.float32(beta)}


def packed_signs(negative: Array) -> Words:
    """Words for a node with one-bit weights: bit 1 where ``negative`` (boolean, of the weights' shape) is true."""
    bits = np.packbits(np.ascontiguousarray(negative, bool).ravel(), bitorder="little")
    padded = np.zeros(-(-bits.size // 8) * 8, np.uint8)
    padded[: bits.size] = bits
    return padded.view("<u8").astype(np.uint64)


def refuse_reordered(shape: Shape | None) -> None:
    """ConversionError where the result is a flattened map (H, W, C), whose values other tools have in another order."""
    if shape is not None and shape[0] * shape[1] > 1 and shape[2] > 1:
        size = "x".join(map(str, shape))
        raise ConversionError(f"the result is a flattened map of {size}, whose order is another here")


def channels_last(weight: Array) -> Array:
    """Filters (O, C, KH, KW) as (O, KH, KW, C)."""
    return np.ascontiguousarray(np.moveaxis(weight, 1, -1))


def rows_of_map(weight: Array, shape: Shape) -> Float:
    """Weights (O, I) of a dense layer behind a map flattened as channel, row, column, for one flattened as (H, W, C).

    ``shape`` is that of the map, (H, W, C). ConversionError when I is not its number of values.
    """
    h, w, c = shape
    if weight.ndim != 2 or weight.shape[1] != h * w * c:
        raise ConversionError(f"a dense layer of weights {weight.shape} does not fit a map of {h}x{w}x{c}")
    by_row: Float = weight.reshape(-1, c, h, w).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return np.ascontiguousarray(by_row)
