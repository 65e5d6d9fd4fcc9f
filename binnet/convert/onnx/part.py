"""An operation that is being read, and what is known about the values it reads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph import Add, Constant, Divide, Flatten, Reshape, Scale, Shift, Sign
from ...graph.graph import Array, Four, Shape
from ..builder import Builder
from ..report import ConversionError
from .loading import Operation

CHANNELS_FIRST = (2, 0, 1)
CHANNELS_LAST = (0, 1, 2)


@dataclass(frozen=True)
class Value:
    """A result of the network that depends on the image.

    Attributes
    ----------
    node : str
        The node that computes it, before the sign and the border that are not made yet.
    shape : (H, W, C) or (C,)
        Of the node.
    axes : tuple of int
        Which of the node's axes the axes behind the batch are: :data:`CHANNELS_FIRST` for maps of ONNX; (0,) of rows.
    order : int (C,) or None
        For rows that ONNX flattened in another order: number i of the node is number ``order[i]`` in ONNX.
    scale : float or None
        When it is ±scale everywhere, which a layer of one-bit weights makes use of.
    unsigned : bool
        Whether the node gives the values before the sign; XnorConv takes the sign itself.
    border : (top, bottom, left, right) and value, or None
        A border around it that no node makes yet.
    whole : bool
        Whether it is whole numbers, which rounding does not change.
    """

    node: str
    shape: Shape
    axes: tuple[int, ...]
    order: npt.NDArray[np.int64] | None = None
    scale: float | None = None
    unsigned: bool = False
    border: tuple[Four, float] | None = None
    whole: bool = False

    @property
    def is_map(self) -> bool:
        """Whether it has rows and columns."""
        return len(self.axes) == 3

    @property
    def size(self) -> int:
        """Numbers for an image."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Test:
    """A comparison of a value with an array: ``kind`` of ONNX, such as Less."""

    value: Value
    kind: str
    array: Array


@dataclass
class Part:
    """An operation with what it reads: values of the network, comparisons, or arrays; None for an absent input."""

    builder: Builder
    operation: Operation
    inputs: list[Value | Test | Array | None]
    opset: int
    notes: list[str] = field(default_factory=list)

    # ---- what it reads

    def refuse(self, why: str) -> ConversionError:
        """An error that names the operation."""
        return ConversionError(f"{self.operation.name}, a {self.operation.kind}, {why}")

    def raw(self, number: int = 0) -> Value:
        """A value with the sign or border that no node makes yet."""
        value = self.inputs[number] if number < len(self.inputs) else None
        if not isinstance(value, Value):
            raise self.refuse(f"must have a result of the network as input {number + 1}")
        return value

    def value(self, number: int = 0) -> Value:
        """A value that a node gives as it is."""
        return self.made(self.raw(number))

    def map(self, number: int = 0) -> Value:
        """A map (N, C, H, W) that a node gives as it is."""
        return self.as_map(self.value(number))

    def as_map(self, value: Value) -> Value:
        """The value, which must be a map whose channels come first in ONNX."""
        if not value.is_map:
            raise self.refuse("reads no map (N, C, H, W)")
        if value.axes != CHANNELS_FIRST:
            raise self.refuse("reads a map whose second axis is not that of the channels")
        return value

    def array(self, number: int, optional: bool = False) -> Any:
        """An array of the file; None for an absent input that is ``optional``."""
        value = self.inputs[number] if number < len(self.inputs) else None
        if value is None and optional:
            return None
        if not isinstance(value, np.ndarray):
            raise self.refuse(f"must have an array of the file as input {number + 1}")
        return value

    def numbers(self, name: str, number: int) -> tuple[int, ...] | None:
        """Whole numbers of an attribute (older versions) or an input; None when there is neither."""
        found = self.operation.attributes.get(name)
        found = self.array(number, optional=True) if found is None else found
        return None if found is None else tuple(int(n) for n in np.ravel(found))

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, which must have the type of its default."""
        found = self.operation.attributes.get(name, default)
        if not isinstance(found, type(default) if type(default) is not float else (int, float)):
            raise self.refuse(f"has {name} of a wrong type")
        return found

    def expect(self, **expected: Any) -> None:
        """Refuse attributes with values other than these."""
        for name, value in expected.items():
            if self.operation.attributes.get(name, value) != value:
                raise self.refuse(f"has {name} = {self.operation.attributes[name]}, expected {value}")

    def by_channel(self, array: Array, value: Value) -> Any:
        """An array (C,) for the channels of a value, in the order of its node."""
        flat = np.asarray(array, np.float32).ravel()
        if flat.size not in (1, value.shape[-1]):
            raise self.refuse(f"has {flat.size} numbers for {value.shape[-1]} channels")
        return flat[value.order] if value.order is not None and flat.size > 1 else flat

    # ---- what it becomes

    def add(self, kind: Any, *inputs: str, **settings: Any) -> str:
        """Add a node, see :meth:`Builder.add`."""
        return self.builder.add(kind, self.operation.outputs[0], *inputs, **settings)

    def follow(self, value: Value, kind: Any, **settings: Any) -> Value:
        """A node that reads one value and gives one in the same order."""
        node = self.add(kind, value.node, **settings)
        return Value(node, self.builder.shape(node), value.axes, value.order)

    def vector(self, node: str) -> Value:
        """The value of a node that gives rows."""
        return Value(node, self.builder.shape(node), (0,))

    def new_map(self, node: str) -> Value:
        """The value of a node that gives maps."""
        return Value(node, self.builder.shape(node), CHANNELS_FIRST)

    def made(self, value: Value) -> Value:
        """The value with its sign and border made by nodes."""
        from ...graph import Pad

        if value.unsigned:
            node = self.add(Sign, value.node)
            if value.scale != 1:
                node = self.add(Scale, node, factor=np.array([value.scale], np.float32))
            value = replace(value, node=node, unsigned=False)
        if value.border is not None:
            padding, number = value.border
            node = self.add(Pad, value.node, padding=padding, value=number)
            scale = value.scale if value.scale is not None and abs(number) == value.scale else None
            value = replace(value, node=node, shape=self.builder.shape(node), border=None, scale=scale)
        return value

    def constant(self, array: Array, value: Value) -> Array:
        """An array that ONNX broadcasts to a value, as float32 in the order of the value's node, without batch axis."""
        axes = len(value.axes) + 1
        if array.ndim > axes:
            raise self.refuse(f"has an array {array.shape} of more axes than the map")
        full = np.asarray(array, np.float32).reshape((1,) * (axes - array.ndim) + array.shape)
        if full.shape[0] != 1:
            raise self.refuse(f"has an array {array.shape} with other numbers for each image")
        ordered = np.transpose(full[0], np.argsort(value.axes))
        if value.order is not None and ordered.size > 1:
            if ordered.shape != value.shape:
                raise self.refuse(f"has an array {array.shape} that does not fit {value.size} numbers")
            ordered = ordered[value.order]
        return ordered

    def combine(self, kind: type, value: Value, array: Array) -> Value:
        """Add, Multiply or Divide with an array of the file: Scale or Shift for channels, a Constant for a map."""
        ordered = self.constant(array, value)
        vector = ordered.size == ordered.shape[-1]
        fits = vector and (ordered.size in (1, value.shape[-1]))
        if fits and kind is Divide:
            with np.errstate(all="ignore"):
                ordered = (1 / ordered.astype(np.float64)).astype(np.float32)
        if fits and kind is Add:
            return self.follow(value, Shift, shift=np.ascontiguousarray(ordered.ravel()))
        if fits:
            return self.follow(value, Scale, factor=np.ascontiguousarray(ordered.ravel()))
        held = self.add(Constant, array=np.ascontiguousarray(ordered))
        node = self.add(kind, value.node, held)
        return Value(node, self.builder.shape(node), value.axes, value.order)

    def two(self, kind: type, one: Value, other: Value) -> Value:
        """Add, Multiply or Divide of two values."""
        # One number fits any order.
        orders = [value.order for value in (one, other) if value.shape != (1,)]
        if one.axes != other.axes or any(not _same(orders[0], each) for each in orders):
            raise self.refuse("combines values of different order")
        node = self.add(kind, one.node, other.node)
        return Value(node, self.builder.shape(node), one.axes, orders[0] if orders else None)

    def reshaped(self, value: Value, shape: Shape) -> Value:
        """The value as ONNX's (N, ...) of ``shape``, read in ONNX's order."""
        if math.prod(shape) != value.size or len(shape) not in (1, 3):
            raise self.refuse(f"gives {('N', *shape)}, expected 2 or 4 axes and {value.size} numbers for an image")
        current = tuple(value.shape[axis] for axis in value.axes)
        if shape == current:
            return value
        # In ONNX, number k of an image is number positions[k] of the node.
        positions = np.arange(value.size).reshape(value.shape).transpose(value.axes).ravel()
        positions = positions if value.order is None else np.argsort(value.order)
        plain = bool((positions == np.arange(value.size)).all())
        if len(shape) == 1:
            node = self.add(Flatten, value.node) if value.is_map else value.node
            return Value(node, self.builder.shape(node), (0,), None if plain else np.argsort(positions))
        if not plain:
            raise self.refuse("gives a map from values of another order, which binnet does not read")
        # Where one axis has all the numbers, the map is the same with its channels first.
        c, h, w = shape
        if c == 1 or h * w == 1:
            return self.new_map(self.add(Reshape, value.node, shape=(h, w, c)))
        node = self.add(Reshape, value.node, shape=shape)
        return Value(node, shape, CHANNELS_LAST)


def _same(one: Array | None, other: Array | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))
