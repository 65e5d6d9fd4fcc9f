"""Conversion of the recorded calls of one run of a module to nodes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..autograd import Function, Tensor
from ..nn import Module
from ..recording import Call
from ..watch import fingerprint
from .graph import Array, Float, Graph, Input, Node, Shape, text
from .maps import Constant, Flatten, Reshape

Make = Callable[..., Node]
Convert = Callable[["Tracer", Call], None]
CONVERTERS: dict[type[Function], Convert] = {}


def converts(*functions: type[Function]) -> Callable[[Convert], Convert]:
    """Decorator of a function that adds the nodes of a recorded call to a :class:`Tracer`."""

    def register(convert: Convert) -> Convert:
        CONVERTERS.update(dict.fromkeys(functions, convert))
        return convert

    return register


def register(function: type[Function], node: Make) -> None:
    """Register the node of a user-defined :class:`binnet.Function`, so that networks with it can be packed.

    Parameters
    ----------
    function
        The function class.
    node
        Called as ``node(name, inputs, *constants, **options)``, with the arrays of inputs that do not depend on the
        images (parameters) and the options that the function was applied with. A kind of node whose fields have these
        names is enough; see :func:`binnet.graph.kind`. What it computes is compared with what the function gave.
    """

    def convert(tracer: Tracer, call: Call) -> None:
        inputs = [tracer.node(value) for value in call.inputs if tracer.depends(value)]
        constants = [np.array(tracer.constant(v)) for v in call.inputs if v is not None and not tracer.depends(v)]
        # JSON has no NumPy numbers.
        options = {name: v.item() if isinstance(v, np.generic) else v for name, v in call.options.items()}
        tracer.add(
            call, lambda name, read: _of_own_kind(tracer, call, node, name, read, *constants, **options), *inputs
        )

    CONVERTERS[function] = convert


def _of_own_kind(tracer: Tracer, call: Call, make: Make, *arguments: Any, **options: Any) -> Node:
    """A node of a custom kind, which must compute what the function gave, and be one that a file can hold."""
    maps = [np.array(value.array) for value in call.inputs if tracer.depends(value)]
    for each in maps:
        each.flags.writeable = False  # a node that writes to its inputs would change the results of others
    try:
        node = make(*arguments, **options)
        json.dumps(node.settings())  # raises here rather than when the model is saved
        found = node.compute(*maps)
    except (TypeError, ValueError) as error:
        return tracer.refuse(f"its own node does not do what the op does: {error}")  # type: ignore[no-any-return]
    # Only roughly equal, because the node may add in another order than the op.
    if np.shape(found) != call.result.shape or not np.allclose(found, call.result.array, 1e-3, equal_nan=True):
        tracer.refuse(f"its node {node.kind} computes something else than the op {_word(call.function)}")
    return node


@dataclass(frozen=True)
class _Value:
    """A tensor that depends on the images: the node that computes it, its shape for one image (which may differ from
    the node's), and the name that a node for this view would get."""

    node: str
    shape: Shape
    name: str = ""


@dataclass
class Known:
    """State that several runs of a module share.

    Attributes
    ----------
    made
        Arrays that were made from parameters, each with the array that it was made from.
    prints
        Fingerprints of arrays that do not depend on the images, each with the array itself.
    """

    made: dict[Any, tuple[Array, Array]] = field(default_factory=dict)
    prints: dict[Any, tuple[Array, bytes]] = field(default_factory=dict)


class Tracer:
    """The nodes of one run of a module, and which tensor each of them gives.

    Parameters
    ----------
    images
        The tensor that the module is about to be called with.
    known
        State that is shared between runs.
    """

    def __init__(self, images: Tensor, known: Known) -> None:
        self._n, shape = len(images), images.shape[1:]
        h, w, c = shape
        self._nodes: list[Node] = [Input("input", (), (h, w, c))]
        self._shapes: dict[str, Shape] = {"input": shape}
        self._values: dict[int, _Value] = {id(images.array): _Value("input", shape)}
        self._kept = [images.array]  # so that no other array gets its id
        self._prints = {id(images.array): fingerprint(images.array)}
        self._known = known
        self._views: dict[tuple[str, Shape], str] = {}
        self._label = ""

    # ---- what converters ask for

    def depends(self, value: Any) -> bool:
        """Whether an input of a call depends on the images."""
        return isinstance(value, Tensor) and id(value.array) in self._values

    def shape(self, value: Tensor) -> Shape:
        """The shape of a tensor that depends on the images, for one image."""
        return self._values[id(value.array)].shape

    def node(self, value: Tensor) -> str:
        """The node that gives a tensor which depends on the images, in the shape that it has."""
        return self._in_shape(self._values[id(value.array)])

    def rows(self, value: Tensor) -> str | None:
        """The node with result (N, C) of which a tensor (N, 1, 1, C) is a view; None when there is none."""
        found = self._values[id(value.array)]
        is_view = len(found.shape) == 3 and found.shape[:2] == (1, 1) and self._shapes[found.node] != found.shape
        return self.flat(value) if is_view else None

    def flat(self, value: Tensor) -> str:
        """The node whose result is a tensor flattened to (N, C)."""
        found = self._values[id(value.array)]
        return self._in_shape(replace(found, shape=(math.prod(found.shape),)))

    def operands(self, call: Call) -> list[str]:
        """The nodes that give the inputs of a call: those of tensors that depend on the images, else constants."""
        axes = max(len(self.shape(value)) for value in call.inputs if self.depends(value))
        for value in call.inputs:
            if self.depends(value):
                self.node(value)  # refuses what is neither a map nor a row
        return [self.node(value) if self.depends(value) else self._constant(value, axes) for value in call.inputs]

    def _constant(self, value: Any, axes: int) -> str:
        """A new node of an array that is the same for all images; NumPy's broadcasting lets it have fewer axes."""
        array = self.of_image(value, axes)
        shape = array.shape[1:] if array.ndim == axes + 1 and len(array) == 1 else array.shape
        if len(shape) > axes or axes not in (1, 3):
            self.refuse(
                f"it uses an array {array.shape} that is not the same for each image of a batch, "
                "or that was computed from the images outside of binnet.ops"
            )
        # Leading axes of length 1, as broadcasting adds them: a node combines inputs with equally many axes.
        kept = np.array(array, np.float32).reshape((1,) * (axes - len(shape)) + shape)
        return self._append(Constant(self._name("constant"), (), kept))

    def of_image(self, value: Any, axes: int) -> Float:
        """The array of an input that does not depend on the images, which have ``axes`` axes: one row of it, when it
        repeats the same row for each image of the batch."""
        array = self.constant(value)
        repeated = array.ndim == axes + 1 and len(array) == self._n and (array == array[:1]).all()
        return array[:1] if repeated else array

    def constant(self, value: Any) -> Float:
        """The array of an input that does not depend on the images; ValueError when it does."""
        if self.depends(value):
            self.refuse("its weights depend on the images")
        return np.asarray(value.array if isinstance(value, Tensor) else value, np.float32)

    def derived(self, key: Any, array: Any, make: Callable[[], Array]) -> Array:
        """The result of ``make()``, cached by ``key`` and the memory of ``array``, see :func:`place_of`."""
        place = (key, *place_of(array))
        if place not in self._known.made:
            self._known.made[place] = (array, make())  # with the array itself, so that no other one gets its memory
        return self._known.made[place][1]

    def copied(self, array: Any) -> Float:
        """A copy of a parameter's array."""
        return self.derived("copy", array, lambda: np.array(array, np.float32, order="C"))

    def add(self, call: Call, make: Make, *inputs: str, suffix: str = "") -> str:
        """Add ``make(name, inputs)``, whose result is that of the call, and return its name."""
        name = self._append(make(self._name(suffix or _word(call.function)), inputs))
        self.gives(call, name)
        return name

    def between(self, make: Make, *inputs: str, suffix: str) -> str:
        """Add a node whose result is not that of a call; its name ends in ``suffix``."""
        return self._append(make(self._name(suffix), inputs))

    def gives(self, call: Call, node: str) -> None:
        """Record that a node computes the result of the call, perhaps in another shape."""
        shape, given = self._shapes[node], call.result.shape[1:]
        if math.prod(shape) != math.prod(given):
            self.refuse(f"its node says that it gives {text(shape)}, but the op gives {text(given)}")
        self._remember(call.result.array, _Value(node, given))

    def view(self, call: Call, value: Tensor) -> None:
        """Record that the result of the call is a tensor in another shape."""
        found = self._values[id(value.array)]
        name = found.name or self._base("flatten" if call.result.ndim == 2 else "reshape")
        self._remember(call.result.array, _Value(found.node, call.result.shape[1:], name))

    def refuse(self, why: str) -> Any:
        """Raise the ValueError that names the layer of the call."""
        raise ValueError(f"{self._label} cannot be packed: {why}")

    # ---- one run

    def convert(self, call: Call) -> None:
        """Add the nodes of a recorded call; nothing when it does not depend on the images."""
        self._module, op = call.module, _word(call.function)
        self._label = call.module.label if call.module else f"the op {op}"
        if not any(self.depends(value) for value in call.inputs):
            return
        # Not strict: `prints` ends with one more, that of the result.
        for value, seen in zip(call.inputs, call.prints, strict=False):
            self._expect_unchanged(value, seen)
        self._prints[id(call.result.array)] = call.prints[-1]
        if call.result.shape[:1] != (self._n,):
            self.refuse(f"the op {op} gives {call.result.shape}, whose first axis is not that of the batch")
        # A subclass of an op is converted as its base.
        convert = next((CONVERTERS[cls] for cls in call.function.__mro__ if cls in CONVERTERS), None)
        if convert is None:
            self.refuse(
                f"there is no node for the op {call.function.__name__}; use ops that have one, or say which node it "
                "becomes with binnet.graph.register"
            )
        assert convert is not None
        convert(self, call)

    def graph(self, module: Module, result: Any) -> Graph:
        """The graph of all nodes that the result needs."""
        self._label, self._module = module.label, None
        if not isinstance(result, Tensor):
            self.refuse(f"its forward must return one tensor, got {type(result).__name__}")
        if not self.depends(result):
            self.refuse("its result was not computed from the images by layers and binnet.ops")
        self._expect_unchanged(result, fingerprint(result.array))
        last = self.node(result)
        needed = {last}
        for node in reversed(self._nodes):  # a node stands behind its inputs
            needed.update(node.inputs if node.name in needed else ())
        return Graph(tuple(node for node in self._nodes if node.name in needed))

    def _expect_unchanged(self, value: Any, seen: bytes) -> None:
        """Raise ValueError when an array has changed since an op returned it, or weights between two calls."""
        array = value.array if isinstance(value, Tensor) else value
        if self.depends(value):
            same = self._prints[id(array)] == seen
        elif seen:  # weights; empty for what is no array
            first = self._known.prints.setdefault(place_of(array), (array, seen))[1]
            same = first == seen == fingerprint(array)
        else:
            return
        if not same:
            self.refuse("an array that it reads was changed in place, which the graph cannot say; use binnet.ops")

    def _in_shape(self, value: _Value) -> str:
        """The node of a value, or a new one that gives its result in the value's shape."""
        key = value.node, value.shape
        if self._shapes[value.node] == value.shape:
            return value.node
        if key not in self._views:
            name = self._unique(value.name or f"{value.node}.flatten")
            if len(value.shape) == 1:
                self._views[key] = self._append(Flatten(name, (value.node,)))
            elif len(value.shape) == 3:
                self._views[key] = self._append(Reshape(name, (value.node,), value.shape))
            else:
                self.refuse(f"maps are (N, H, W, C) and rows (N, C), got {text(value.shape)}")
        return self._views[key]

    def _append(self, node: Node) -> str:
        try:
            self._shapes[node.name] = node.output(*(self._shapes[name] for name in node.inputs))
        except ValueError as error:
            self.refuse(str(error))
        self._nodes.append(node)
        return node.name

    def _remember(self, array: Any, value: _Value) -> None:
        self._values[id(array)] = value
        self._kept.append(array)

    def _name(self, suffix: str) -> str:
        return self._unique(self._base(suffix))

    def _base(self, suffix: str) -> str:
        """The base of a node's name: the path of a layer; of its further ops, and in a custom forward, also the op."""
        module = self._module
        path = module.path if module is not None else ""
        is_layer = module is not None and path and not any(True for _ in module.children())
        # Only the first node of a layer has its very name; the names of the others have a dot, as no layer can have.
        if is_layer and path not in self._shapes:
            return path
        return f"{path}.{suffix}" if path else suffix

    def _unique(self, base: str) -> str:
        name, number = base, 1
        while name in self._shapes:
            number += 1
            name = f"{base}_{number}"
        return name


def place_of(array: Any) -> tuple[Any, ...]:
    """Address, shape and strides of an array; a matrix and its transpose have the same address."""
    return array.__array_interface__["data"][0], array.shape, array.strides


def _word(function: type[Function]) -> str:
    """The name of an op: ``max_pool2d`` for ``_MaxPool2d``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", function.__name__.strip("_")).lower()
