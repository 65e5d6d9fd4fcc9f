"""Stages: the nodes of a graph in the form that rewrites join and plans bind, about one kernel call each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..graph import Add, ElementWise, Flatten, Graph, Input, MaxPool, Node, QuantiseLinear, Reshape
from ..graph.graph import Float, Shape
from .thresholds import Ints, Truth


@dataclass(frozen=True, eq=False)
class Identity(Node):
    """Identity node that hosts an epilogue or bit packing."""


# Stages are keys of dictionaries and are changed: two are equal only if they are the same object.
@dataclass(eq=False)
class Stage:
    """A node, the stages it reads, and what has been fused into it.

    Attributes
    ----------
    node : Node
    inputs : list of Stage
    quantise : QuantiseLinear or None
        What makes whole numbers of the map that a convolution in eight bits reads.
    pool : MaxPool or None
        The pooling of a convolution's sums; everything below applies to its result.
    epilogue : list of Node
        Element-wise nodes and sums after it, in order, done before anything is written.
    residual : Stage or None
        The map that the sum in the epilogue adds.
    before_sign : list of ElementWise
        The element-wise nodes between the map that a binary convolution reads and its sign.
    flat
        Whether a binary dense layer reads a map as if it were flattened.
    bits_for : Stage or None
        The binary convolution for which it writes the signs of its map, as bits.
    limits : (low, high) or None
        The interval of values whose bit is 1, for each channel.
    most, flips
        Instead of limits, where whole dot products are compared, or bits are pooled.
    floats
        Whether it writes its map as floats.
    """

    node: Node
    inputs: list[Stage]
    quantise: QuantiseLinear | None = None
    pool: MaxPool | None = None
    epilogue: list[Node] = field(default_factory=list)
    residual: Stage | None = None
    before_sign: list[ElementWise] = field(default_factory=list)
    flat: bool = False
    bits_for: Stage | None = None
    limits: tuple[Float, Float] | None = None
    most: Ints | None = None
    flips: Truth | None = None
    floats: bool = True

    @property
    def reads(self) -> list[Stage]:
        """All stages whose results it needs."""
        return self.inputs if self.residual is None else [*self.inputs, self.residual]

    @property
    def name(self) -> str:
        """Name of its node."""
        return self.node.name

    @property
    def is_view(self) -> bool:
        """Whether its result is that of its input in another shape."""
        return isinstance(self.node, Flatten | Reshape)

    @property
    def bits_written(self) -> int:
        """The number of bits in memory for each value of its result."""
        if isinstance(self.node, Input) and self.node.pixels:
            return 8
        return 32 * self.floats + (self.bits_for is not None)

    @property
    def root(self) -> Stage:
        """The stage whose map it is: itself, or that of its input where it is a view."""
        return self.inputs[0].root if self.is_view else self

    def computed(self, *shapes: Shape) -> Shape:
        """The shape of what its node computes, before pooling; shapes are those of one image."""
        return self.node.output(*((math.prod(shape),) for shape in shapes) if self.flat else shapes)

    def output(self, *shapes: Shape) -> Shape:
        """The shape of its result; ValueError when the shapes do not fit."""
        shape = self.computed(*shapes)
        return shape if self.pool is None else self.pool.output(shape)


class Stages:
    """Stages in an order in which they can run, and the readers of each.

    Attributes
    ----------
    images, result : Stage
        The first stage and the last.
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        # The keys are all stages in order. A dict takes one out in the same time however many there are, unlike a list.
        self._users = _users(stages)
        self.images, self.result = next(iter(self._users)), next(reversed(self._users))

    @classmethod
    def of(cls, graph: Graph) -> Stages:
        """A stage for each node."""
        made: dict[str, Stage] = {}
        for node in graph.nodes:
            made[node.name] = Stage(node, [made[name] for name in node.inputs])
        return cls(made.values())

    @property
    def stages(self) -> list[Stage]:
        """All stages in order."""
        return list(self._users)

    def users(self, stage: Stage) -> list[Stage]:
        """The stages that read a stage."""
        return list(self._users[stage])

    def only_user(self, stage: Stage, user: Stage) -> bool:
        """Whether nothing else needs the stage's result."""
        # A sum of a map with itself reads it twice, and the last map is read by the caller.
        users = self._users[stage]
        return stage is not self.result and len(users) == 1 and users[user] == 1

    def replace(self, old: Stage, new: Stage) -> None:
        """Take a stage out; those that read it read another one."""
        for each in set(old.reads):
            del self._users[each][old]
        for user, times in self._users.pop(old).items():
            user.inputs = [new if each is old else each for each in user.inputs]
            user.residual = new if user.residual is old else user.residual
            self._users[new][user] += times
        self.result = new if self.result is old else self.result

    def add(self, stage: Stage, residual: Stage) -> None:
        """Let the epilogue of a stage add the map of another one."""
        stage.residual = residual
        self._users[residual][stage] += 1

    def insert_before(self, new: dict[Stage, Stage]) -> None:
        """Put each new stage directly before its key, the stage that reads it; all of them in one pass."""
        self._users = _users(each for stage in self._users for each in (new.get(stage), stage) if each)

    def shapes_for(self, image: Shape) -> dict[Stage, Shape]:
        """The shape of each stage's result for one image (H, W, C); ValueError when it does not fit."""
        shapes: dict[Stage, Shape] = {self.images: image}
        for stage in self.stages[1:]:
            shapes[stage] = stage.output(*(shapes[each] for each in stage.inputs))
            if stage.residual is not None and shapes[stage.residual] != shapes[stage]:
                sums = [node for node in stage.epilogue if isinstance(node, Add)]
                raise ValueError(f"{sums[0].name} cannot add {shapes[stage.residual]} to {shapes[stage]}")
        return shapes

    def most_bytes(self, image: Shape) -> int:
        """The most bytes that a stage reads and writes for an image (H, W, C), its weights apart; at least 1."""
        bits = {stage: stage.bits_written * math.prod(shape) for stage, shape in self.shapes_for(image).items()}
        return max(sum(bits[each] for each in (stage, *stage.reads)) for stage in self.stages) // 8 or 1


def _users(stages: Iterable[Stage]) -> dict[Stage, Counter[Stage]]:
    """The readers of each stage, and how often each reads it."""
    users: dict[Stage, Counter[Stage]] = {stage: Counter() for stage in stages}
    for stage in users:
        for each in stage.reads:
            users[each][stage] += 1
    return users
