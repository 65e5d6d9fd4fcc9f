"""A network of MXNet while it becomes a graph: results of operators, arrays, and the order of flattened features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ... import graph as nodes
from ...graph.graph import Array, Shape
from ..builder import Builder, refuse_reordered
from ..report import ConversionError, Options
from .symbol import Operator, Symbol

# Adds the nodes of an operator that reads these results: what it became, "" for nothing, and a note.
Became = tuple[str, str]
Reader = Callable[["Network", Operator, list[str]], Became]
_SHAPE = (28, 28, 1)  # of MNIST, the images of BMXNet's examples


class Network:
    """The network while it is built.

    Attributes
    ----------
    builder : Builder
    """

    def __init__(self, symbol: Symbol, arrays: Mapping[str, Array], options: Options) -> None:
        self.builder = Builder(options.input_shape or _shape_of(symbol.operators) or _SHAPE)
        self._symbol, self._operators = symbol, symbol.operators
        self._arrays = {name.partition(":")[2] or name: array for name, array in arrays.items()}
        self._results: dict[int, str] = {}
        # Of nodes whose features are a map (H, W, C), flattened as (channel, row, column): this map, and the order of
        # its features here, (row, column, channel).
        self._orders: dict[str, tuple[Shape, Array]] = {}
        self._used: set[str] = set()

    def build(self, readers: Mapping[str, Reader]) -> Builder:
        """Add the nodes of all operators; ``readers`` has the function for each kind."""
        for number, operator in enumerate(self._operators):
            if operator.op == "null":
                if operator.name == "data":
                    self._results[number] = self.builder.last
                continue
            if operator.op not in readers:
                raise ConversionError(f"{operator.name}: the operator {operator.op} is not supported")
            read = [self._results[n] for n, _ in operator.inputs if n in self._results]
            if not read:
                raise ConversionError(f"{operator.name} ({operator.op}) reads no result of another operator")
            self.builder.last, self._number = read[0], number
            try:
                became, note = readers[operator.op](self, operator, read)
            except ConversionError as error:
                raise ConversionError(f"{operator.name} ({operator.op}): {error}") from error
            self._results[number] = self.builder.last
            if became:
                self.builder.tell(operator.name, operator.op, became, note)
            else:
                self.builder.leave_out(operator.name, note)
        for name in sorted(set(self._arrays) - self._used):
            self.builder.leave_out(name, "an array that the network does not read")
        self._finish()
        return self.builder

    def _finish(self) -> None:
        """Make the result of the network that of the graph, and take out what it does not need."""
        self.builder.last = self._results[self._symbol.head]
        refuse_reordered(self._orders.get(self.builder.last, (None, None))[0])
        for name in self.builder.drop_unread():
            self.builder.leave_out(name, "the result does not need it")

    def is_read(self) -> bool:
        """Whether another operator reads the result of the current one."""
        return any(number == self._number for each in self._operators for number, _ in each.inputs)

    def array(self, operator: Operator, place: int, optional: bool = False) -> Any:
        """The array of the variable that is input ``place`` of an operator."""
        if place >= len(operator.inputs):
            if optional:
                return None
            raise ConversionError(f"it has no input {place}")
        name = self._operators[operator.inputs[place][0]].name
        if name not in self._arrays:
            raise ConversionError(f"the file has no array {name}")
        self._used.add(name)
        return self._arrays[name]

    def real(self, operator: Operator, place: int, shape: tuple[int, ...]) -> Array:
        """The same as float32 of a shape."""
        array = self.array(operator, place)
        if array.shape != shape or array.dtype.kind != "f":
            raise ConversionError(f"expected an array {shape} of floats, got {array.dtype} {array.shape}")
        return np.ascontiguousarray(array, np.float32)

    def flatten(self, name: str) -> None:
        """Flatten the map that is read, and remember the order of its features."""
        shape = self.builder.shape()
        if len(shape) == 3:
            self.builder.add(nodes.Flatten, name)
            if shape[:2] != (1, 1) and shape[2] > 1:
                order = np.arange(math.prod(shape)).reshape(shape[2], *shape[:2]).transpose(1, 2, 0).ravel()
                self._orders[self.builder.last] = shape, order

    def is_reordered(self, name: str) -> bool:
        """Whether the features of a node have another order than in MXNet."""
        return name in self._orders

    def order(self) -> Any:
        """The places, in MXNet's order, of the features that are read; all of them in a row where both orders agree."""
        return self._orders.get(self.builder.last, (None, slice(None)))[1]

    def element_wise(self, kind: Any, name: str, *inputs: str, **fields: Any) -> None:
        """Add an element-wise node, behind which features have the order that they had."""
        shapes = {self._orders.get(each, (None, None))[0] for each in inputs or (self.builder.last,)}
        if len(shapes) > 1:
            raise ConversionError("its inputs have their features in different orders")
        order = self._orders.get(inputs[0] if inputs else self.builder.last)
        self.builder.add(kind, name, *inputs, **fields)
        if order is not None:
            self._orders[self.builder.last] = order


def _shape_of(operators: list[Operator]) -> tuple[int, int, int] | None:
    """The shape of an image where the network says it, as (N, C, H, W)."""
    for operator in operators:
        if operator.name == "data" and "__shape__" in operator.attributes:
            _, c, h, w = operator.numbers("__shape__", None, 4)
            return h, w, c
    return None
