"""Stages: the nodes of a graph in the form that rewrites join and plans bind, about one kernel call each."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..graph import Add, ElementWise, Flatten, Graph, Node, Reshape
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
    epilogue : list of Node
        Element-wise nodes and sums after it, in order, done before anything is written.
    residual : Stage or None
        The map that the sum in the epilogue adds.
    before_sign : list of ElementWise
        Of a binary convolution: the element-wise nodes between the map it reads and its sign.
    flat
        Of a binary dense layer: it reads a map as if it were flattened.
    bits_for : Stage or None
        The binary convolution for which it writes the signs of its map, as bits.
    limits : (low, high) or None
        Between which values a bit is 1, for each channel.
    most, flips
        Instead of limits, where whole dot products are compared, or bits are pooled.
    floats
        Whether it writes its map as floats.
    """

    node: Node
    inputs: list[Stage]
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


@dataclass(eq=False)
class Stages:
    """Stages in an order in which they can run; the first is the images, the last the result."""

    stages: list[Stage]

    @classmethod
    def of(cls, graph: Graph) -> Stages:
        """A stage for each node."""
        made: dict[str, Stage] = {}
        for node in graph.nodes:
            made[node.name] = Stage(node, [made[name] for name in node.inputs])
        return cls(list(made.values()))

    def users(self, stage: Stage) -> list[Stage]:
        """The stages that read a stage."""
        return [user for user in self.stages if stage in user.reads]

    def only_user(self, stage: Stage, user: Stage) -> bool:
        """Whether nothing else needs the stage's result."""
        # A sum of a map with itself reads it twice, and the last map is read by the caller.
        return stage is not self.stages[-1] and self.users(stage) == [user] and user.reads.count(stage) == 1

    def replace(self, old: Stage, new: Stage) -> None:
        """Take a stage out; those that read it read another one."""
        self.stages.remove(old)
        for stage in self.stages:
            stage.inputs = [new if each is old else each for each in stage.inputs]
            stage.residual = new if stage.residual is old else stage.residual

    def insert_before(self, stage: Stage, new: Stage) -> None:
        """Put a new stage directly before another one."""
        self.stages.insert(self.stages.index(stage), new)

    def shapes_for(self, image: Shape) -> dict[Stage, Shape]:
        """The shape of each stage's result for one image (H, W, C); ValueError when it does not fit."""
        shapes: dict[Stage, Shape] = {self.stages[0]: image}
        for stage in self.stages[1:]:
            before = [shapes[each] for each in stage.inputs]
            if stage.flat:
                h, w, c = before[0]
                before = [(h * w * c,)]
            shapes[stage] = stage.node.output(*before)
            if stage.residual is not None and shapes[stage.residual] != shapes[stage]:
                sums = [node for node in stage.epilogue if isinstance(node, Add)]
                raise ValueError(f"{sums[0].name} cannot add {shapes[stage.residual]} to {shapes[stage]}")
        return shapes
