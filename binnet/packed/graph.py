"""The steps of a network as a graph: who reads whose map. Fusion rewrites it, plans run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from binnet_kernels.checks import Float

from .steps import Add, ElementWise, Step
from .thresholds import Ints, Truth


@dataclass(frozen=True, eq=False)
class Input(Step):
    """The images."""


@dataclass(frozen=True, eq=False)
class Map(Step):
    """Nothing by itself: carries a tail, or packs, where no convolution could."""


@dataclass(eq=False)
class Node:
    """A step, the nodes it reads, and what has been fused into it.

    Attributes
    ----------
    step
    inputs
        The map it reads; for a sum two, the body first.
    tail
        Element-wise steps and sums after it, in order, done before anything is written.
    residual
        The map that the sum in the tail adds.
    seen
        Of a binary convolution: the element-wise steps between the map it reads and its sign.
    flat
        Of a binary dense layer: it reads an image as if it were flattened.
    bits_for
        The binary convolution for which it writes the signs of its map, as bits.
    limits
        Between which values a bit is 1, for each channel.
    most, flips
        Instead of limits, where whole dot products are compared, or bits are pooled.
    floats
        Whether it writes its map as floats.
    """

    step: Step
    inputs: list[Node]
    tail: list[Step] = field(default_factory=list)
    residual: Node | None = None
    seen: list[ElementWise] = field(default_factory=list)
    flat: bool = False
    bits_for: Node | None = None
    limits: tuple[Float, Float] | None = None
    most: Ints | None = None
    flips: Truth | None = None
    floats: bool = True

    @property
    def reads(self) -> list[Node]:
        """All nodes whose results it needs."""
        return self.inputs if self.residual is None else [*self.inputs, self.residual]

    @property
    def name(self) -> str:
        """Its step's."""
        return self.step.name


@dataclass(eq=False)
class Graph:
    """Nodes in an order in which they can run; the first is the images, the last the result."""

    nodes: list[Node]

    def users(self, node: Node) -> list[Node]:
        """The nodes that read a node."""
        return [user for user in self.nodes if node in user.reads]

    def only_user(self, node: Node, user: Node) -> bool:
        """Whether nobody else needs the node's result."""
        return node is not self.nodes[-1] and self.users(node) == [user] and user.reads.count(node) == 1

    def replace(self, old: Node, new: Node) -> None:
        """Take a node out; those that read it read another one."""
        self.nodes.remove(old)
        for node in self.nodes:
            node.inputs = [new if each is old else each for each in node.inputs]
            node.residual = new if node.residual is old else node.residual

    def insert_before(self, node: Node, new: Node) -> None:
        """Put a new node directly before another one."""
        self.nodes.insert(self.nodes.index(node), new)


def to_graph(steps: Sequence[Step]) -> Graph:
    """A node for each step; shortcuts come before the bodies that they are added to."""
    nodes = [Node(Input("images"), [])]
    _append(nodes, steps, nodes[0])
    return Graph(nodes)


def _append(nodes: list[Node], steps: Sequence[Step], x: Node) -> Node:
    for step in steps:
        inputs = [x]
        if isinstance(step, Add):
            shortcut = _append(nodes, step.shortcut, x)
            inputs = [_append(nodes, step.body, x), shortcut]
        x = Node(step, inputs)
        nodes.append(x)
    return x
