"""ONNX and QONNX files: a network of operations, with arrays for weights.

Maps are (N, C, H, W) there and (N, H, W, C) here: nothing is moved, but each value knows which axis is which, and
weights behind a flattened map are put in order. Signs are QONNX's BipolarQuant, a Where on a comparison with 0, or
Sign; a layer of ±a behind signs becomes XnorConv.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...engine import PackedModel
from ...graph import Flatten, Node, Scale
from ...graph.graph import Array
from ...graph.windows import Filters
from ..builder import LARGEST_MAP, Builder
from ..report import ConversionError, Imported, Options
from . import elements, layout, windows
from .folding import fold
from .loading import Network, load
from .merging import merged
from .part import CHANNELS_FIRST, CHANNELS_LAST, Part, Test, Value
from .start import Start, start_of

READERS: dict[str, Any] = {**elements.READERS, **layout.READERS, **windows.READERS}


def read(source: Path, options: Options) -> Imported:
    """Read an ONNX or QONNX file, see :func:`binnet.convert.read`.

    Raises
    ------
    ConversionError
        Also for several inputs or results, data in other files, subgraphs, and operations that have no node.
    """
    try:
        network = merged(load(source))
        start = start_of(network, options)
        builder = Builder(start.shape)
        _Reader(network, builder, start).run()
        info = start.options.info(source.name, "ONNX")
        return Imported(PackedModel(builder.graph(), info), builder.report)
    except ConversionError as error:
        raise ConversionError(f"{source}: {error}") from error
    except ValueError as error:
        raise ConversionError(f"{source}: {error}") from error


class _Reader:
    """The nodes in the making: what each name of the file stands for."""

    def __init__(self, network: Network, builder: Builder, start: Start) -> None:
        self._network, self._builder, self._start = network, builder, start
        self._values: dict[str, Value | Test | Array] = dict(network.arrays)

    def run(self) -> None:
        """Read all operations."""
        network, builder = self._network, self._builder
        images = self._images()
        check_size(network.source, images)
        self._values[self._start.name] = images
        for operation in network.operations:
            if operation.outputs[0] not in self._values and operation not in self._start.operations:
                self._read(operation)
        self._finish()
        for name in network.left_out:
            builder.leave_out(name, "the result does not need it")
        for operation in network.operations:
            if operation.kind == "Dropout":
                builder.leave_out(operation.name, "dropout, for training only")

    def _images(self) -> Value:
        builder, start = self._builder, self._start
        size = "x".join(map(str, start.shape))
        note = "normalisation kept as mean and std" if start.operations else ""
        builder.tell(self._network.source, "input", f"Input {size}", note)
        node = builder.last
        if start.times != 1:
            # Pixels, which are whole numbers.
            node = builder.add(Scale, "times 255", factor=np.array([start.times], np.float32))
        if start.axes == 1:
            node = builder.add(Flatten, "rows")
            return Value(node, builder.shape(node), (0,))
        axes = CHANNELS_LAST if start.channels_last else CHANNELS_FIRST
        return Value(node, builder.shape(node), axes, whole=start.times != 1)

    def _read(self, operation: Any) -> None:
        inputs = [self._values.get(name) if name else None for name in operation.inputs]
        if operation.kind == "Shape" and isinstance(inputs[0], Value):
            value = inputs[0]
            sizes = (self._network.shape[0] or 1, *(value.shape[axis] for axis in value.axes))
            self._values[operation.outputs[0]] = np.array(sizes, np.int64)
            return
        if not any(isinstance(value, Value | Test) for value in inputs):
            self._values[operation.outputs[0]] = fold(operation, [_array(value) for value in inputs])
            return
        if operation.kind not in READERS:
            raise ConversionError(f"{operation.name} is a {operation.kind}, which binnet does not know")
        part = Part(self._builder, operation, inputs, self._network.opset)
        before = self._builder.last
        try:
            found = READERS[operation.kind](part)
        except ConversionError as error:
            named = str(error) if operation.name in str(error) else f"{operation.name}: {error}"
            raise ConversionError(named) from error
        except (IndexError, TypeError, OverflowError) as error:
            raise part.refuse("has attributes or inputs that do not fit it") from error
        if isinstance(found, Value):
            check_size(operation.name, found)
        self._values[operation.outputs[0]] = found
        self._tell(part, before, found)

    def _tell(self, part: Part, before: str, found: Value | Test) -> None:
        names = self._builder.since(before)
        became = ", ".join(described(node) for node in names) or "no node of its own"
        if not names and isinstance(found, Value) and found.unsigned:
            became = "the sign of what reads it"
        self._builder.tell(part.operation.name, part.operation.kind, became, "; ".join(part.notes))

    def _finish(self) -> None:
        """The node of the result, which must be the last."""
        operation = self._network.operations[-1]
        value = self._values[self._network.result]
        if not isinstance(value, Value):
            raise ConversionError(f"the result {self._network.result} does not depend on the input")
        part = Part(self._builder, replace(operation, outputs=("result",)), [value], self._network.opset)
        made = part.made(value)
        if made.order is not None:
            raise ConversionError(f"the result {self._network.result} is a flattened map, whose order is another here")
        if made.node != self._builder.last:
            raise ConversionError(f"the result is that of {made.node}, but {self._builder.last} comes after it")


def check_size(name: str, value: Value) -> None:
    """ConversionError for a map so large that constants for it would fill the memory."""
    if value.size > LARGEST_MAP:
        raise ConversionError(f"{name} gives {value.size:,} values for an image, more than {LARGEST_MAP:,}")


def described(node: Node) -> str:
    """A node in a few words, such as "XnorConv 5x5, 64 filters"."""
    if not isinstance(node, Filters):
        return node.kind
    o, kh, kw, _ = node.filters
    return f"{node.kind} {'dense' if node.is_dense else f'{kh}x{kw}'}, {o} filters"


def _array(value: Any) -> Array | None:
    return value if isinstance(value, np.ndarray) else None
