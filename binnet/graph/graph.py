"""A network as a graph: the base class of nodes, the input node, and the graph itself.

A node is a frozen dataclass. Its array fields are stored as arrays, its other fields as JSON. Shapes are those of one
image, without the batch axis: (H, W, C) for a map, (C,) for a feature vector. ``compute`` defines in NumPy what a node
computes for a batch; the engine computes the same faster. The kinds of nodes are in ``windows.py`` and ``maps.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Four = tuple[int, int, int, int]
# Limits against files that would make a small graph take all memory.
LARGEST_MAP = 1 << 30  # values of one image's map, 4 GB as float32
MOST_PADDING = 1 << 12  # rows or columns


@dataclass(frozen=True, eq=False)
class Node:
    """One operation of a network.

    Attributes
    ----------
    name
        Unique in its graph; printable, without slashes.
    inputs
        Names of the nodes whose results are the inputs, in order.

    Raises
    ------
    ValueError
        On construction, when a field has a wrong type, shape or range.
    """

    name: str
    inputs: tuple[str, ...]

    arity: ClassVar[int | None] = 1  # number of inputs; None for one or more
    binary: ClassVar[bool] = False  # whether the weights of its multiply-adds are quantised to a few bits
    takes_bytes: ClassVar[bool] = False  # whether its inputs are whole numbers from 0 to 255

    def __post_init__(self) -> None:
        name = self.name
        if not isinstance(name, str) or not name or not name.isprintable() or "/" in name or name == ".":
            raise ValueError(f"the name of a node must be a printable word without slashes, got {name!r}")
        if not isinstance(self.inputs, tuple) or not all(isinstance(each, str) for each in self.inputs):
            raise ValueError(f"{name}: inputs must be the names of nodes, got {self.inputs!r}")
        if len(self.inputs) != self.arity and (self.arity is not None or not self.inputs):
            expected = "one or more" if self.arity is None else self.arity
            raise ValueError(f"{name}: a {self.kind} has {expected} inputs, got {len(self.inputs)}")
        self.check()

    def check(self) -> None:
        """Raise ValueError unless the fields are valid; called on construction."""

    def output(self, *shapes: Shape) -> Shape:
        """The shape of the result for inputs of these shapes (without batch axis); ValueError when they do not fit."""
        return shapes[0]

    def compute(self, *inputs: Any) -> Float:
        """The result for a batch, a new float32 array (N, ...), from float32 inputs (N, ...); to be overridden."""
        raise NotImplementedError(f"{self.kind} does not say how it is computed")

    def macs(self, output: Shape) -> int:
        """Number of multiply-adds for one image, given the shape of the result."""
        return 0

    @property
    def kind(self) -> str:
        """The name of the node's class, which identifies the kind in a file."""
        return type(self).__name__

    def gives_bytes(self, of_bytes: bool) -> bool:
        """Whether its results are whole numbers from 0 to 255; ``of_bytes`` says whether all its inputs are."""
        return False

    def arrays(self) -> dict[str, Array]:
        """The array fields by name."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """All other fields except ``name`` and ``inputs``, ready for JSON; an absent array is None."""
        left_out = {"name", "inputs", *self.arrays()}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}

    def vector(self, name: str, optional: bool = False) -> None:
        """Raise ValueError unless the field ``name`` is float32 (C,), or None when it is ``optional``."""
        array = getattr(self, name)
        if array is None and optional:
            return
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim != 1 or not len(array):
            raise ValueError(f"{self.name}.{name} must be float32 (channels,), got {described(array)}")

    def whole(self, name: str, count: int, least: int, most: int = 1 << 16) -> None:
        """Raise ValueError unless the field ``name`` is a tuple of ``count`` integers from ``least`` to ``most``."""
        value = getattr(self, name)
        # `type` instead of isinstance, since JSON's true would pass as the integer 1.
        fits = isinstance(value, tuple) and len(value) == count
        if not fits or not all(type(n) is int and least <= n <= most for n in value):
            raise ValueError(f"{self.name}.{name} must be {count} whole numbers from {least} to {most}, got {value!r}")

    def expect_channels(self, shape: Shape, channels: int) -> Shape:
        """Return ``shape``; ValueError unless its last axis has ``channels`` entries."""
        if shape[-1:] != (channels,):
            raise ValueError(f"{self.name} expects {channels} channels, got {text(shape)}")
        return shape

    def expect_map(self, shape: Shape) -> Shape:
        """Return ``shape``; ValueError unless it is (H, W, C)."""
        if len(shape) != 3:
            raise ValueError(f"{self.name} expects maps (N, H, W, C), got {text(shape)}")
        return shape


KINDS: dict[str, type[Node]] = {}
Kind = TypeVar("Kind", bound=type[Node])


def kind(cls: Kind) -> Kind:
    """Class decorator that registers a kind of node, so that files with it can be loaded.

    A user-defined kind needs ``compute``, and ``output`` when it changes the shape. The module that defines it must be
    imported before a file with such nodes is loaded. ValueError when the name belongs to another class.
    """
    # A module that is reloaded defines its classes again, and may replace them.
    known = KINDS.setdefault(cls.__name__, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"there is a kind of node {cls.__name__} already, in {known.__module__}")
    KINDS[cls.__name__] = cls
    return cls


def text(shape: Shape) -> str:
    """A shape with the batch axis in front, for error messages."""
    return f"({', '.join(map(str, ('N', *shape)))})"


def described(array: Any) -> str:
    """Dtype and shape of an array, or the class of any other object, for error messages."""
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


def window_output(
    name: str, size: Sequence[int], stride: Sequence[int], padding: Four, shape: Shape
) -> tuple[int, int]:
    """Rows and columns of a sliding window's result; ValueError when the padded map is smaller than the window.

    ``size`` and ``stride`` are (rows, columns), ``padding`` is (top, bottom, left, right), ``shape`` begins (H, W).
    """
    h, w = shape[0] + padding[0] + padding[1], shape[1] + padding[2] + padding[3]
    if h < size[0] or w < size[1]:
        raise ValueError(
            f"{name}: a map of {shape[0]}x{shape[1]} with padding {padding} is smaller than the window "
            f"of {size[0]}x{size[1]}"
        )
    return (h - size[0]) // stride[0] + 1, (w - size[1]) // stride[1] + 1


@kind
@dataclass(frozen=True, eq=False)
class Input(Node):
    """The images (N, H, W, C): normalised, float32, or pixels 0..255.

    Attributes
    ----------
    shape : (H, W, C)
        Size and channels of the images that the network was made for.
    any_size
        Whether the network also takes images of other sizes.
    pixels
        Whether the images are pixels, uint8; then the nodes that read them contain the normalisation.
    """

    shape: tuple[int, int, int]
    any_size: bool = False
    pixels: bool = False

    arity: ClassVar[int | None] = 0

    def check(self) -> None:
        self.whole("shape", 3, 1)
        for name in ("any_size", "pixels"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{self.name}.{name} must be true or false, got {getattr(self, name)!r}")

    def gives_bytes(self, of_bytes: bool) -> bool:
        return self.pixels

    def settings(self) -> dict[str, Any]:
        found = super().settings()
        # Left out where it is false, so that a file without eight bits is the same as before there were any.
        return found if self.pixels else {name: value for name, value in found.items() if name != "pixels"}

    def output(self, *shapes: Shape) -> Shape:
        return self.shape


@dataclass(frozen=True, eq=False)
class Graph:
    """The nodes of a network in an order in which they can be computed; independent of training and of the engine.

    Attributes
    ----------
    nodes : tuple of Node
        The first is the :class:`Input`, the last computes the result; the inputs of each are nodes before it.
    shapes : dict of str to tuple
        The shape of each node's result for one image of the input's own size.

    Raises
    ------
    ValueError
        On construction, when names are used twice, inputs are missing, nodes are unused, shapes do not fit, or a node
        that takes whole numbers from 0 to 255 may get other ones.
    """

    nodes: tuple[Node, ...]
    shapes: dict[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        if not self.nodes or not isinstance(self.nodes[0], Input):
            raise ValueError("the first node of a graph must be its input")
        known, read = dict[str, bool](), set[str]()  # whether the results of the nodes so far are whole numbers
        for node in self.nodes:
            if node.name in known:
                raise ValueError(f"two nodes have the name {node.name}")
            if isinstance(node, Input) and node is not self.nodes[0]:
                raise ValueError(f"{node.name} is a second input; a graph has one")
            for name in node.inputs:
                if name not in known:
                    raise ValueError(f"{node.name} reads {name}, which is no node before it")
                if node.takes_bytes and not known[name]:
                    raise ValueError(f"{node.name} takes whole numbers in eight bits, which {name} does not give")
            known[node.name] = node.gives_bytes(all(known[name] for name in node.inputs))
            read.update(node.inputs)
        # An unused node is refused, since it would take time and memory without effect on the result.
        unused = known.keys() - read - {self.nodes[-1].name}
        if unused:
            raise ValueError(f"nothing reads the result of {min(unused)}")
        object.__setattr__(self, "shapes", self.shapes_for(self.input.shape))

    @property
    def input(self) -> Input:
        """The input node."""
        first = self.nodes[0]
        assert isinstance(first, Input)
        return first

    @property
    def result(self) -> Shape:
        """The shape of the result for one image, such as (classes,)."""
        return self.shapes[self.nodes[-1].name]

    def __getitem__(self, name: str) -> Node:
        """The node called ``name``; KeyError when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def shapes_for(self, image: Shape) -> dict[str, Shape]:
        """The shape of each node's result for one image (H, W, C); ValueError when it does not fit."""
        shapes = dict[str, Shape]()
        for node in self.nodes:
            shape = image if node is self.nodes[0] else node.output(*(shapes[name] for name in node.inputs))
            if math.prod(shape) > LARGEST_MAP:
                raise ValueError(f"{node.name}: the result {text(shape)} is larger than {LARGEST_MAP} values an image")
            shapes[node.name] = shape
        return shapes

    def up_to(self, name: str) -> Graph:
        """The part of the graph whose result is that of node ``name``; KeyError when there is no such node."""
        needed, nodes = {self[name].name}, list[Node]()
        for node in reversed(self.nodes):
            if node.name in needed or node is self.nodes[0]:
                needed.update(node.inputs)
                nodes.append(node)
        return Graph(tuple(reversed(nodes)))

    def difference(self, other: Graph) -> str:
        """The first difference in nodes or settings (without the input's), in words; empty when there is none."""
        if len(self) != len(other):
            return f"{len(self)} nodes in one, {len(other)} in the other"
        for a, b in zip(self.nodes[1:], other.nodes[1:], strict=True):
            if (a.kind, a.name, a.inputs) != (b.kind, b.name, b.inputs):
                return f"{a.kind} {a.name} in one, {b.kind} {b.name} in the other"
            if a.settings() != b.settings():
                return f"{a.name} has other settings"
        return ""

    def check_finite(self) -> None:
        """Raise ValueError with the names of node and array when an array holds NaN or an infinity."""
        checked = set[int]()  # a file from an untrusted source may refer to one array thousands of times
        for node in self.nodes:
            for name, array in node.arrays().items():
                if id(array) in checked:
                    continue
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    raise ValueError(f"{node.name}.{name} has values that are not finite")
                checked.add(id(array))
