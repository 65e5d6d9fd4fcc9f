"""Conversion of a graph to named arrays and a JSON description, and back (``docs/format.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from ..graph import KINDS, Conv, Filters, Graph, Int8Conv, Node
from ..graph.graph import Array, described
from ..graph.int8 import Int8

Arrays = dict[str, Array]


def to_parts(graph: Graph) -> tuple[list[dict[str, Any]], Arrays]:
    """The description of each node, ready for JSON, and all arrays by the name ``node.field``.

    Equal weights of several nodes are stored once, under the name of the first node. The same holds for all arrays of a
    layer that is used several times.
    """
    arrays, descriptions, shared = Arrays(), [], dict[Any, list[str]]()
    named: dict[str, dict[str, str]] = {}
    for node in graph.nodes:
        names = {field: f"{node.name}.{field}" for field in node.arrays()}
        if isinstance(node, Filters):
            names[node.weights] = _shared(node, names[node.weights], arrays, shared)
        for field, name in named.get(_layer(node.name), {}).items():  # names at the layer's first use
            if field in names and np.array_equal(arrays[name], node.arrays()[field]):
                names[field] = name
        named[node.name] = names
        for field, name in names.items():
            arrays.setdefault(name, node.arrays()[field])
        descriptions.append(
            {
                "name": node.name,
                "kind": node.kind,
                "inputs": list(node.inputs),
                "settings": {name: _plain(value) for name, value in node.settings().items() if value is not None},
                "arrays": names,
            }
        )
    return descriptions, arrays


def _layer(name: str) -> str:
    """The name of the node at a layer's first use, such as ``conv`` for the later use ``conv.xnor_conv2d``."""
    return name.rpartition(".")[0]


def _shared(node: Filters, own: str, arrays: Arrays, shared: dict[Any, list[str]]) -> str:
    """The name under which a node's weights are stored: that of equal weights stored before, or else ``own``."""
    held = node.held
    # The first 64 values sort out most candidates, so that few arrays are compared in full.
    names = shared.setdefault((held.dtype, held.shape, held.reshape(-1)[:64].tobytes()), [])
    same = next((name for name in names if arrays[name] is held or np.array_equal(arrays[name], held)), None)
    if same is None:
        names.append(own)
    return same or own


def _plain(value: Any) -> Any:
    """A setting as JSON has it: tuples become lists."""
    return list(value) if isinstance(value, tuple) else value


def from_parts(descriptions: Any, arrays: Mapping[str, Array]) -> tuple[Graph, str]:
    """The graph out of the results of :func:`to_parts`, and the dtype of its stored float weights.

    Raises
    ------
    ValueError
        When a description is malformed, a kind of node is unknown, or an array is missing, unused, of a wrong shape or
        dtype, or not finite.
    """
    if not isinstance(descriptions, list) or not descriptions:
        raise ValueError("the nodes of its graph must be a list")
    reader = _Reader(arrays)
    graph = Graph(tuple(map(reader.node, descriptions)))
    unknown = set(arrays) - reader.used
    if unknown:
        raise ValueError(f"unknown array {min(unknown)}")
    graph.check_finite()
    if reader.real == "float16" and any(isinstance(node, Int8) for node in graph):
        raise ValueError("weights in float16 beside layers in eight bits, which go with float32")
    return graph, reader.real


class _Reader:
    """Builder of nodes from descriptions and arrays; ``used`` collects the names of the arrays that were used."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays, self.used, self._widened = arrays, set[str](), Arrays()
        self.real = "float16" if any(array.dtype == np.float16 for array in arrays.values()) else "float32"

    def node(self, description: Any) -> Node:
        """The node of a description; ValueError when the description is malformed."""
        if not isinstance(description, dict) or set(description) != {"name", "kind", "inputs", "settings", "arrays"}:
            raise ValueError("a node is described by name, kind, inputs, settings and arrays")
        name, settings, named = description["name"], description["settings"], description["arrays"]
        if not isinstance(settings, dict) or not isinstance(named, dict) or not isinstance(description["inputs"], list):
            raise ValueError(f"settings and arrays of node {name} must be objects, and inputs a list")
        kind = _kind(name, description["kind"])
        own = {field.name: field for field in fields(kind) if field.name not in ("name", "inputs")}
        extra = ((set(settings) | set(named)) - set(own)) | (set(settings) & set(named))
        if extra:
            raise ValueError(f"node {name} has the unknown field {min(extra)}")
        values = {field: _tuples(value) for field, value in settings.items()}
        for field, stored in named.items():
            values[field] = self._array(kind, name, field, stored)
        for field, definition in own.items():
            # A field that may be None was left out of the file when it was None.
            if field not in values and definition.default is MISSING and "None" not in str(definition.type):
                raise ValueError(f"{name}.{field} is missing")
            values.setdefault(field, None if definition.default is MISSING else definition.default)
        return kind(name, tuple(description["inputs"]), **values)

    def _array(self, kind: type[Node], name: str, field: str, stored: Any) -> Array:
        """The array of a node's field, with float16 converted to float32."""
        if not isinstance(stored, str) or stored not in self._arrays:
            raise ValueError(f"{name}.{field} is missing")
        self.used.add(stored)
        array = self._arrays[stored]
        expected: tuple[str, ...] = ("float32", "uint64")
        if field == "weight" and kind in (Conv, Int8Conv):
            # Only the real filters may be stored as float16; all of them have the same dtype.
            expected = ("int8",) if kind is Int8Conv else (self.real,)
        if array.dtype.name not in expected:
            raise ValueError(f"{name}.{field} must be {' or '.join(expected)}, got {described(array)}")
        return self._wide(stored) if array.dtype == np.float16 else array

    def _wide(self, stored: str) -> Array:
        """A float16 array as float32, converted once even when several nodes share it."""
        if stored not in self._widened:
            self._widened[stored] = self._arrays[stored].astype(np.float32)
        return self._widened[stored]


def _kind(name: Any, kind: Any) -> type[Node]:
    """The class of a node's kind; ValueError when the kind is unknown."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(
            f"node {name} has the unknown kind {kind!r}; "
            "if it is one of your own, import the module that defines it first"
        )
    return KINDS[kind]


def _tuples(value: Any) -> Any:
    """A setting with its lists as tuples, which are hashable; ValueError for a JSON object."""
    if isinstance(value, dict):
        raise ValueError(f"a setting must be a number, a word or a list, got {value!r}")
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
