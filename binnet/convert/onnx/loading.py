"""Reads an ONNX file into plain Python: operations in order, and arrays. Nothing in it is executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...graph.graph import Array
from ..report import ConversionError
from .package import onnx_package

MOST_OPERATIONS = 10_000
LARGEST_FILE = 1 << 31  # bytes, the limit of a protocol buffer
DOMAINS = ("", "ai.onnx", "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")  # of operations
KINDS = "bifu"  # of numbers in arrays: booleans, integers, real numbers


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation: names of its inputs ("" for an absent one) and its results, and its attributes."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Network:
    """What the file holds.

    Attributes
    ----------
    operations : tuple of Operation
        Those that the result needs; each reads results of earlier ones.
    arrays : dict of str to array
    source : str
        Name of the input with the images.
    pixels : bool
        Whether it takes uint8.
    shape : tuple of int or None
        Its shape with the batch axis; None where a size is left open.
    result : str
    opset : int
    facts : dict of str to str
        The properties of the model, such as ``class_names`` of our own files.
    left_out : list of str
        Names of operations that the result does not need.
    """

    operations: tuple[Operation, ...]
    arrays: dict[str, Array]
    source: str
    pixels: bool
    shape: tuple[int | None, ...]
    result: str
    opset: int
    facts: dict[str, str]
    left_out: list[str]


def load(path: Path) -> Network:
    """Read a file; ConversionError in one sentence when it is damaged or has what binnet does not read."""
    onnx = onnx_package()
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ConversionError(f"the file has {size:,} bytes, more than an ONNX file may have")
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ConversionError(f"cannot read it: {error.strerror or error}") from error
    except ConversionError:
        raise
    except Exception as error:  # DecodeError of whichever protocol buffers are installed
        raise ConversionError("it is damaged, or no ONNX file") from error
    graph = model.graph
    if not graph.node or len(graph.node) > MOST_OPERATIONS:
        raise ConversionError(f"it has {len(graph.node):,} operations, expected 1 to {MOST_OPERATIONS:,}")
    if len(model.functions) or len(graph.sparse_initializer):
        raise ConversionError("it has functions or sparse arrays, which binnet does not read")
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if not 7 <= opset <= 30:
        raise ConversionError(f"its operations are of version {opset}, expected 7 to 30")
    arrays = {tensor.name: array_of(tensor, tensor.name) for tensor in graph.initializer}
    operations = [_operation(node, number) for number, node in enumerate(graph.node)]
    source = _only([each for each in graph.input if each.name not in arrays], "input")
    result = _only(list(graph.output), "output").name
    needed = _needed(operations, {source.name, *arrays}, result)
    tensor = source.type.tensor_type
    if tensor.elem_type not in (1, 2, 10, 11):
        raise ConversionError(f"its input {source.name} must take real numbers or uint8")
    if not tensor.HasField("shape"):
        raise ConversionError(f"its input {source.name} has no shape")
    shape = tuple(each.dim_value if each.dim_value > 0 else None for each in tensor.shape.dim)
    facts = {each.key: each.value for each in model.metadata_props}
    kept = set(needed)
    left_out = [each.name for each in operations if each not in kept]
    return Network(tuple(needed), arrays, source.name, tensor.elem_type == 2, shape, result, opset, facts, left_out)


def array_of(tensor: Any, name: str) -> Array:
    """The array of a tensor; ConversionError when its data are elsewhere, too few, or no numbers."""
    numpy_helper = onnx_package().numpy_helper
    if tensor.data_location == 1 or len(tensor.external_data):
        raise ConversionError(f"the array {name} is in another file, which binnet does not read")
    try:
        array = np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # of many kinds, for lengths and types that do not fit
        raise ConversionError(f"the array {name} is damaged") from error
    if array.dtype.kind not in KINDS or array.dtype.itemsize > 8 or array.ndim > 8:
        raise ConversionError(f"the array {name} is {array.dtype} of {array.ndim} axes, expected numbers")
    return array


def _operation(node: Any, number: int) -> Operation:
    name = node.name or (node.output[0] if node.output else f"operation {number}")
    attributes = {each.name: _attribute(each, name) for each in node.attribute}
    if node.domain not in DOMAINS:
        raise ConversionError(f"{name} is a {node.op_type} of the domain {node.domain!r}, which binnet does not know")
    if not node.output or not node.output[0]:
        raise ConversionError(f"{name} is a {node.op_type} without a result")
    return Operation(node.op_type, name, tuple(node.input), tuple(node.output), attributes)


def _attribute(attribute: Any, operation: str) -> Any:
    """A number, a word, a list of numbers, or an array."""
    kinds = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
    if attribute.type not in kinds:
        raise ConversionError(f"{operation}.{attribute.name} is a graph or something else that binnet does not read")
    value = getattr(attribute, kinds[attribute.type])
    if attribute.type == 4:
        return array_of(value, f"{operation}.{attribute.name}")
    if attribute.type == 3:
        return value.decode("utf-8", "replace")
    return value if attribute.type < 3 else tuple(value)


def _only(values: list[Any], what: str) -> Any:
    if len(values) != 1:
        raise ConversionError(f"it has {len(values)} {what}s, expected one")
    return values[0]


def _needed(operations: list[Operation], known: set[str], result: str) -> list[Operation]:
    """The operations that the result needs; ConversionError for a missing input, a cycle, or a name used twice."""
    for operation in operations:
        for name in operation.inputs:
            if name and name not in known:
                raise ConversionError(f"{operation.name} reads {name}, which nothing before it gives")
        for name in filter(None, operation.outputs):
            if name in known:
                raise ConversionError(f"two operations or arrays give {name}")
            known.add(name)
    if result not in known:
        raise ConversionError(f"nothing gives the result {result}")
    wanted, needed = {result}, list[Operation]()
    for operation in reversed(operations):
        if wanted.intersection(operation.outputs):
            wanted.update(operation.inputs)
            needed.append(operation)
    return needed[::-1]
