"""The JSON of a Keras network: its layers, and the calls of them in an order in which they can be computed."""

from __future__ import annotations

import graphlib
import math
from dataclasses import dataclass
from typing import Any

from ...graph import Flatten
from ...graph.graph import Shape
from ..builder import Builder
from ..report import ConversionError
from .settings import Settings, function_name, short, whole_shape

Key = tuple[str, int]  # name of a layer, and which of its calls
OPERATOR = "TFOpLambda"  # the class that Keras 2 gives to functions such as x + y
_MOST_CALLS = 10_000
_MOST_OF_ONE = 100  # calls of one layer; each holds the layer's arrays again while the network is made


@dataclass(frozen=True)
class Layer:
    """A layer: its name, its class, and its settings as JSON."""

    name: str
    kind: str
    values: dict[str, Any]

    def settings(self) -> Settings:
        """The settings, to be read once for each call."""
        return Settings(self.values)


@dataclass(frozen=True)
class Call:
    """One call of a layer, or the input of the network.

    Attributes
    ----------
    inputs : tuple of (name of a layer, number of its call)
        Whose results it reads; empty for the input.
    axes : int
        Axes of an image as Keras has it: 1, 2 or 3; of the input alone. Only a Flatten or Reshape may read two.
    shape : (H, W, C)
        Of the image as binnet has it; of the input alone.
    """

    key: Key
    layer: Layer
    inputs: tuple[Key, ...]
    axes: int = 3
    shape: tuple[int, int, int] = (1, 1, 1)

    def adapt(self, builder: Builder) -> str:
        """The node that gives the input as Keras has it; binnet's is always (H, W, C)."""
        return builder.add(Flatten, "rows") if self.axes == 1 else builder.last


def calls_of(structure: Any, given: tuple[int, int, int] | None) -> tuple[list[Call], Key]:
    """The calls of all layers in order, the input first, and the key of the call that gives the result.

    ``given`` is the size of an image, where the JSON leaves it open.
    """
    if not isinstance(structure, dict) or not isinstance(structure.get("class_name"), str):
        raise ConversionError("the JSON of the network does not name its class")
    kind, config = structure["class_name"], structure.get("config")
    if kind == "Sequential":
        # In old files the settings are the list of layers.
        calls, shape = _sequential(config if isinstance(config, dict) else {"layers": config})
        result = calls[-1].key
    elif kind in ("Functional", "Model") and isinstance(config, dict):
        calls, shape = _functional(config)
        result = _one(config.get("output_layers"), "output")
    else:
        raise ConversionError(f"the network is a {short(kind)}; binnet reads Sequential and Functional ones")
    first = calls[0]
    sizes, axes = _image(shape, given)
    return [Call(first.key, first.layer, (), axes, sizes), *calls[1:]], result


def _image(shape: Shape | tuple[int | None, ...] | None, given: Any) -> tuple[tuple[int, int, int], int]:
    """(H, W, C) of an image and the number of axes in the file, from the file's shape and the one that was given."""
    if shape is None or None in shape:
        if given is None:
            raise ConversionError("the file does not say the size of an image; give it with --input-shape")
        if shape is not None and (
            len(shape) != 3 or any(n not in (None, m) for n, m in zip(shape, given, strict=True))
        ):
            raise ConversionError(f"images of {given} do not fit the file's {shape}")
        return given, 3
    known = [n for n in shape if n is not None]
    one = (1, 1, known[0]) if len(known) == 1 else (*known, 1)[:3] if len(known) < 4 else ()
    if len(one) != 3:
        raise ConversionError(f"images must have 1 to 3 axes, got {shape}")
    # Rows of 784 numbers may be given the shape 28,28,1 of the images that they were made of.
    if given is not None and (math.prod(given) != math.prod(one) or (len(known) == 3 and given != one)):
        raise ConversionError(f"images of {given} do not fit the file's {shape}")
    return (one if given is None else given), len(known)


def _layer(description: Any) -> Layer:
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise ConversionError("a layer in the JSON of the network does not have the form that it must have")
    values = description["config"]
    name = description.get("name", values.get("name"))
    if not isinstance(name, str) or not 0 < len(name) <= 1000:
        raise ConversionError("a layer in the JSON of the network has no name")
    # Newer Keras writes "Package>Class" for registered classes.
    return Layer(name, short(function_name(description.get("class_name"))).rsplit(">", 1)[-1], values)


def _layers(config: dict[str, Any]) -> list[Any]:
    found = config.get("layers")
    if not isinstance(found, list) or not 0 < len(found) <= _MOST_CALLS:
        raise ConversionError(f"the network must have 1 to {_MOST_CALLS:,} layers")
    return found


def _shape(layer: Layer) -> tuple[int | None, ...] | None:
    return whole_shape(layer.values.get("batch_input_shape") or layer.values.get("batch_shape"))


def _sequential(config: dict[str, Any]) -> tuple[list[Call], tuple[int | None, ...] | None]:
    layers = [_layer(description) for description in _layers(config)]
    shape = _shape(layers[0]) or whole_shape(config.get("build_input_shape"))
    if layers[0].kind != "InputLayer":
        layers.insert(0, Layer("input", "InputLayer", {}))
    if len({layer.name for layer in layers}) < len(layers):
        raise ConversionError("two layers of the network have the same name")
    calls = [Call((layers[0].name, 0), layers[0], ())]
    for layer in layers[1:]:
        calls.append(Call((layer.name, 0), layer, (calls[-1].key,)))
    return calls, shape


def _functional(config: dict[str, Any]) -> tuple[list[Call], tuple[int | None, ...] | None]:
    calls = dict[Key, Call]()
    for description in _layers(config):
        layer = _layer(description)
        for number, inputs in enumerate(_nodes(layer, description.get("inbound_nodes"))):
            if (layer.name, number) in calls:
                raise ConversionError(f"two layers of the network have the name {layer.name}")
            calls[layer.name, number] = Call((layer.name, number), layer, inputs)
    first = _one(config.get("input_layers"), "input")
    if first not in calls or calls[first].layer.kind != "InputLayer" or len(calls) > _MOST_CALLS:
        raise ConversionError(f"the network does not begin with an input, or has more than {_MOST_CALLS:,} calls")
    missing = [key[0] for call in calls.values() for key in call.inputs if key not in calls]
    if missing:
        raise ConversionError(f"the network has no layer {short(missing[0])}, whose result another one reads")
    try:
        order = list(graphlib.TopologicalSorter({key: call.inputs for key, call in calls.items()}).static_order())
    except graphlib.CycleError as error:
        raise ConversionError(f"the layer {error.args[1][0][0]} reads its own result") from error
    order.remove(first)
    if any(not calls[key].inputs for key in order):
        raise ConversionError("the network has several inputs; binnet reads networks with one")
    return [calls[first], *(calls[key] for key in order)], _shape(calls[first].layer)


def _nodes(layer: Layer, nodes: Any) -> list[tuple[Key, ...]]:
    """The inputs of each call of a layer."""
    if not isinstance(nodes, list) or len(nodes) > _MOST_OF_ONE:
        raise ConversionError(f"the layer {layer.name} has no list of at most {_MOST_OF_ONE} calls")
    if not nodes and layer.kind == "InputLayer":
        return [()]
    return [tuple(_inputs(layer, node)) for node in nodes]


def _inputs(layer: Layer, node: Any) -> list[Key]:
    """The inputs of one call: Keras 2 lists [name, call, tensor, arguments], Keras 3 tensors that hold such lists."""
    if isinstance(node, dict):
        found, arguments = list[Any](), [node.get("kwargs")]
        _histories(node.get("args"), found)
    else:
        # [name, call, tensor] alone stands for a list of one.
        found = [node] if isinstance(node, list) and node and isinstance(node[0], str) else node
        if not isinstance(found, list) or not all(isinstance(each, list) and len(each) in (3, 4) for each in found):
            raise ConversionError(f"the layer {layer.name} does not list its inputs as Keras does")
        arguments = [each[3] for each in found if len(each) == 4]
        found = [each[:3] for each in found]
    for each in arguments:
        extra = dict(each) if isinstance(each, dict) else {}
        if layer.kind == OPERATOR and isinstance(extra.get("y"), list):
            found.append(extra.pop("y"))  # the second operand; numbers in its place are refused as a key
        if any(value not in (None, False) for value in extra.values()):
            raise ConversionError(f"the layer {layer.name} is called with arguments: {short(extra)}")
    return [_key(each) for each in found]


def _histories(value: Any, found: list[Any]) -> None:
    """Append the origins of all tensors in the arguments of a call to ``found``."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        found.append(value["config"].get("keras_history"))
    elif isinstance(value, list):
        for each in value:
            _histories(each, found)


def _key(value: Any) -> Key:
    """[name of a layer, number of its call, number of its result], of which there is one."""
    if (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and type(value[1]) is int
        and value[2] == 0
    ):
        return value[0], value[1]
    raise ConversionError(f"the network refers to a layer by {short(value)}, expected [name, call, 0]")


def _one(value: Any, what: str) -> Key:
    """The only input or output of a network: [[name, 0, 0]], or [name, 0, 0]."""
    listed = [value] if isinstance(value, list) and value and isinstance(value[0], str) else value
    if not isinstance(listed, list) or len(listed) != 1:
        raise ConversionError(f"the network has several {what}s; binnet reads networks with one")
    return _key(listed[0])
