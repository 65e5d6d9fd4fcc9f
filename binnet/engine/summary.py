"""Costs of each layer: parameters, multiply-adds and bytes, with one-bit, eight-bit and 32-bit weights apart."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..graph import Conv, Filters, Node
from ..graph.graph import Shape
from .model import PackedModel

FIGURES = {  # columns of the table, by field
    "params_1bit": "1-bit params",
    "params_8bit": "8-bit params",
    "params_32bit": "32-bit params",
    "macs_1bit": "1-bit MACs",
    "macs_8bit": "8-bit MACs",
    "macs_32bit": "32-bit MACs",
    "bytes": "bytes",
}


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes
    ----------
    name, kind : str
    output : tuple of int
        Shape for one image, without the batch.
    params_1bit, params_8bit, params_32bit : int
        Weights stored in one bit, or in planes of one bit; in eight bits; everything else that is stored, real weights
        as float16 too.
    macs_1bit, macs_8bit, macs_32bit : int
        Multiply-adds for one image, on one-bit, eight-bit and real weights. Weights of k bits and inputs of m bits
        count once, though they take k m popcounts.
    bytes : int
        Size in the packed file, without the container's own overhead.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    params_1bit: int
    params_8bit: int
    params_32bit: int
    macs_1bit: int
    macs_8bit: int
    macs_32bit: int
    bytes: int


@dataclass(frozen=True)
class Summary:
    """All layers of a model and their totals.

    Attributes
    ----------
    rows : list of Row
    file_bytes : int
        Size of the packed model's file.
    float32_bytes : int
        The same parameters at four bytes each.
    """

    rows: list[Row]
    file_bytes: int
    float32_bytes: int

    def total(self, field: str) -> int:
        """Sum of one column."""
        return sum(getattr(row, field) for row in self.rows)

    @property
    def compression(self) -> float:
        """Size of the parameters in float32 divided by that of the file."""
        return self.float32_bytes / self.file_bytes

    @property
    def binary_share(self) -> float:
        """Share of the multiply-adds that are on one-bit weights, 0 to 1."""
        macs = sum(map(self.total, ("macs_1bit", "macs_8bit", "macs_32bit")))
        return self.total("macs_1bit") / macs if macs else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All rows and totals, ready for JSON."""
        totals = {name: self.total(name) for name in FIGURES}
        sizes = {"file_bytes": self.file_bytes, "float32_bytes": self.float32_bytes, "compression": self.compression}
        return {
            "layers": [asdict(r) for r in self.rows],
            "total": {**totals, **sizes, "binary_share": self.binary_share},
        }


def summarise(model: PackedModel) -> Summary:
    """The costs of a packed model, for images of its own size."""
    graph = model.graph
    rows = [_row(node, graph.shapes[node.name], model.real) for node in graph.nodes[1:]]
    params = sum(row.params_1bit + row.params_8bit + row.params_32bit for row in rows)
    return Summary(rows, len(model.to_bytes()), 4 * params)


def _row(node: Node, output: Shape, real: str) -> Row:
    arrays, macs = node.arrays(), node.macs(output)
    one_bit = math.prod(node.shape) if node.binary and isinstance(node, Filters) else 0
    eight_bit, others = (sum(a.size for a in arrays.values() if a.dtype == dtype) for dtype in (np.int8, np.float32))
    split = (macs, 0, 0) if node.binary else (0, macs, 0) if eight_bit else (0, 0, macs)
    size = sum(a.nbytes for a in arrays.values())
    if isinstance(node, Conv) and real == "float16":
        size -= node.weight.nbytes // 2
    return Row(node.name, node.kind, output, one_bit, eight_bit, others, *split, size)
