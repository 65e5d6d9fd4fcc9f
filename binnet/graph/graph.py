"""A network as a graph: its nodes in an order in which they can run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .nodes import LARGEST_MAP, Input, Node, Shape, text


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes and what they read; it knows neither training nor how it is run.

    Attributes
    ----------
    nodes : tuple of Node
        The first is the :class:`Input`, the last gives the result; each reads only nodes before it.
    shapes : dict of str to tuple
        The shape of each node's result for one image of the input's own size.

    Raises
    ------
    ValueError
        On construction, when names are used twice, inputs are missing, nodes are unused, or shapes do not fit.
    """

    nodes: tuple[Node, ...]
    shapes: dict[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        if not self.nodes or not isinstance(self.nodes[0], Input):
            raise ValueError("the first node of a graph must be its input")
        known, read = set[str](), set[str]()
        for node in self.nodes:
            if node.name in known:
                raise ValueError(f"two nodes have the name {node.name}")
            if isinstance(node, Input) and node is not self.nodes[0]:
                raise ValueError(f"{node.name} is a second input; a graph has one")
            for name in node.inputs:
                if name not in known:
                    raise ValueError(f"{node.name} reads {name}, which is no node before it")
            known.add(node.name)
            read.update(node.inputs)
        unused = known - read - {self.nodes[-1].name}
        if unused:
            raise ValueError(f"nothing reads the result of {min(unused)}")
        object.__setattr__(self, "shapes", self.shapes_for(self.input.shape))

    @property
    def input(self) -> Input:
        """The node of the images."""
        first = self.nodes[0]
        assert isinstance(first, Input)
        return first

    @property
    def result(self) -> Shape:
        """The shape of the result for one image, such as (classes,)."""
        return self.shapes[self.nodes[-1].name]

    def __getitem__(self, name: str) -> Node:
        """The node of a name; KeyError when there is none."""
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
        shapes: dict[str, Shape] = {self.input.name: image}
        for node in self.nodes[1:]:
            shape = node.output(*(shapes[name] for name in node.inputs))
            if math.prod(shape) > LARGEST_MAP:
                raise ValueError(f"{node.name}: the result {text(shape)} is larger than {LARGEST_MAP} values an image")
            shapes[node.name] = shape
        return shapes

    def up_to(self, name: str) -> Graph:
        """The nodes that lead to a node, which gives the result; KeyError when there is none of this name."""
        needed, nodes = {self[name].name}, list[Node]()
        for node in reversed(self.nodes):
            if node.name in needed or node is self.nodes[0]:
                needed.update(node.inputs)
                nodes.append(node)
        return Graph(tuple(reversed(nodes)))

    def difference(self, other: Graph) -> str:
        """Where another graph has other nodes or settings, apart from the input's; empty for nowhere."""
        if len(self) != len(other):
            return f"{len(self)} nodes in one, {len(other)} in the other"
        for a, b in zip(self.nodes[1:], other.nodes[1:], strict=True):
            if (a.kind, a.name, a.inputs) != (b.kind, b.name, b.inputs):
                return f"{a.kind} {a.name} in one, {b.kind} {b.name} in the other"
            if a.settings() != b.settings():
                return f"{a.name} has other settings"
        return ""

    def check_finite(self) -> None:
        """ValueError that names a node and its array when it holds NaN or an infinity."""
        for node in self.nodes:
            for name, array in node.arrays().items():
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    raise ValueError(f"{node.name}.{name} has values that are not finite")
