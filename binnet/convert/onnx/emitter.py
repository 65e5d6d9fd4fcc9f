"""Collects the operations and constants of an ONNX graph while the nodes of a network are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph import Node
from ...graph.graph import Array, Shape

QONNX = "qonnx.custom_op.general"
LARGEST = (1 << 31) - (1 << 24)  # bytes: a protocol buffer ends at 2 GB
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Emitter:
    """Operations and constants, each of which is kept once however often it is asked for.

    Attributes
    ----------
    operations : list of onnx.NodeProto
    arrays : dict of str to array
        The constants (initialisers) by name.
    qonnx
        Whether one-bit weights are to be held as QONNX's BipolarQuant.
    """

    def __init__(self, qonnx: bool = False) -> None:
        self.operations: list[Any] = []
        self.arrays: dict[str, Array] = {}
        self.qonnx = qonnx
        self._known: dict[Any, str] = {}
        self._names: set[str] = set()

    def op(self, place: str, kind: str, inputs: tuple[str, ...], domain: str = "", **attributes: Any) -> str:
        """Add an operation with one result and return the result's name, which begins with ``place``."""
        from onnx import helper

        # Two convolutions that read one map share its signs.
        key = kind, inputs, repr(sorted(attributes.items()))
        if key not in self._known:
            name = self._unique(f"{place}/{kind}")
            self.operations.append(helper.make_node(kind, list(inputs), [name], name, domain=domain, **attributes))
            self._known[key] = name
        return self._known[key]

    def constant(self, place: str, field: str, array: Any) -> str:
        """Add an array and return its name."""
        array = np.ascontiguousarray(array)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._known:
            name = self._unique(f"{place}/{field}")
            self.arrays[name], self._known[key] = array, name
        return self._known[key]

    def _unique(self, name: str) -> str:
        # Names of nodes have no slash, so a name with its number is no other node's.
        unique, number = name, 2
        while unique in self._names:
            unique, number = f"{name}/{number}", number + 1
        self._names.add(unique)
        return unique


@dataclass(frozen=True)
class Place:
    """A node that is being written, with the names of its inputs in the ONNX graph.

    Maps are (N, C, H, W) in the ONNX graph and vectors (N, C); ``shapes`` and ``shape`` are binnet's, (H, W, C), (C,).
    """

    emitter: Emitter
    node: Node
    inputs: tuple[str, ...]
    shapes: tuple[Shape, ...]
    shape: Shape

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operation and return the name of its result."""
        return self.emitter.op(self.node.name, kind, inputs, domain, **attributes)

    def constant(self, field: str, array: Any) -> str:
        """Add an array and return its name."""
        return self.emitter.constant(self.node.name, field, array)

    def number(self, value: float) -> str:
        """Add one float32 number and return its name."""
        return self.constant("number", np.float32(value))

    def whole(self, field: str, *numbers: int) -> str:
        """Add a vector of whole numbers, such as a shape, and return its name."""
        return self.constant(field, np.array(numbers, np.int64))

    def by_channel(self, field: str, vector: Array, shape: Shape | None = None) -> str:
        """Add a vector (C,), or (1,), that is combined with the channels of a map or vector of ``shape``."""
        axes = (1, 1) if len(self.shapes[0] if shape is None else shape) == 3 else ()
        return self.constant(field, vector.reshape(-1, *axes))

    def channels_last(self, name: str, shape: Shape) -> str:
        """A map as (N, H, W, C), whose memory order is that of binnet; a vector as it is."""
        return self.op("Transpose", name, perm=TO_CHANNELS_LAST) if len(shape) == 3 else name

    def channels_first(self, name: str, shape: Shape) -> str:
        """A map (N, H, W, C) as (N, C, H, W); a vector as it is."""
        return self.op("Transpose", name, perm=TO_CHANNELS_FIRST) if len(shape) == 3 else name

    def bordered(self, name: str, padding: tuple[int, ...], value: float = 0.0) -> str:
        """A map (N, C, H, W) with a border of (top, bottom, left, right) rows and columns of ``value``."""
        if not any(padding):
            return name
        top, bottom, left, right = padding
        pads = self.whole("pads", 0, 0, top, left, 0, 0, bottom, right)
        return self.op("Pad", name, pads, self.number(value), mode="constant")

    def signs(self, name: str, threshold: str | None = None) -> str:
        """-1 where a value is below the threshold, else +1, also at 0 and -0."""
        below = self.op("Less", name, threshold or self.number(0))
        return self.op("Where", below, self.number(-1), self.number(1))
