"""What each layer of a model costs: parameters, multiply-adds and bytes, one-bit and 32-bit apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .model import PackedModel
from .real import dtype_in_file
from .steps import Add, Shape, Step


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes
    ----------
    name, kind : str
    output : tuple of int
        Shape for one image, without the batch.
    params_1bit, params_32bit : int
        Weights stored in one bit, or in planes of one bit; everything else that is stored, real weights as float16 too.
    macs_1bit, macs_32bit : int
        Multiply-adds for one image, on one-bit and on real weights. Weights of k bits and inputs of m bits count once,
        though they take k m popcounts.
    bytes : int
        In the packed file, without the container's own overhead.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    params_1bit: int
    params_32bit: int
    macs_1bit: int
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
        """How many times smaller than float32 the file is."""
        return self.float32_bytes / self.file_bytes

    @property
    def binary_share(self) -> float:
        """Share of the multiply-adds that are on one-bit weights, 0 to 1."""
        macs = self.total("macs_1bit") + self.total("macs_32bit")
        return self.total("macs_1bit") / macs if macs else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        sums = ("params_1bit", "params_32bit", "macs_1bit", "macs_32bit", "bytes")
        totals = {name: self.total(name) for name in sums}
        sizes = {"file_bytes": self.file_bytes, "float32_bytes": self.float32_bytes, "compression": self.compression}
        return {
            "layers": [asdict(r) for r in self.rows],
            "total": {**totals, **sizes, "binary_share": self.binary_share},
        }


def summarise(model: PackedModel) -> Summary:
    """The costs of a packed model, for images of its own size."""
    rows: list[Row] = []
    _trace(model.steps, (*model.spec.image_size, model.spec.in_channels), model.real, rows)
    params = sum(row.params_1bit + row.params_32bit for row in rows)
    return Summary(rows, len(model.to_bytes()), 4 * params)


def _trace(steps: Sequence[Step], shape: Shape, real: str, rows: list[Row]) -> Shape:
    for step in steps:
        if isinstance(step, Add):
            for branch in (step.body, step.shortcut):
                _trace(branch, shape, real, rows)
        shape = step.output(shape)
        rows.append(_row(step, shape, real))
    return shape


def _row(step: Step, output: Shape, real: str) -> Row:
    arrays, macs = step.arrays(), step.macs(output)
    one_bit = int(np.prod(getattr(step, "shape", ()))) if step.binary else 0
    others = sum(a.size for a in arrays.values() if a.dtype == np.float32)
    split = (macs, 0) if step.binary else (0, macs)
    size = sum(a.size * np.dtype(dtype_in_file(step, field, real)).itemsize for field, a in arrays.items())
    return Row(step.name, type(step).__name__, output, one_bit, others, *split, size)
