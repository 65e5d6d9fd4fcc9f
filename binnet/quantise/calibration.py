"""Samples of the maps that layers read, taken while the float network runs on calibration images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.engine import Engine
from ..graph import Concatenate, Graph, Node
from ..graph.graph import Float, Shape

SAMPLED = 1 << 18  # values of each map, of all images together


@dataclass(frozen=True, eq=False)
class Sample(Node):
    """Values of a map at ``count`` places drawn at random, the same ones for every image: (N, count)."""

    count: int

    def output(self, *shapes: Shape) -> Shape:
        return (self.count,)

    def compute(self, *inputs: Any) -> Float:
        size = math.prod(inputs[0].shape[1:])
        places = np.random.default_rng(0).integers(size, size=self.count)
        values: Float = inputs[0].reshape(len(inputs[0]), size)[:, places]
        return values


def samples(graph: Graph, names: Sequence[str], images: Float) -> dict[str, Float]:
    """Values of the maps of some nodes, float32 (n,) by name, for images as the graph takes them.

    The engine runs the network once. A bounded number of values is kept for any number and size of images.
    """
    if not names:
        return {}
    needed = {node.name for name in names for node in graph.up_to(name)}
    count = max(1, SAMPLED // len(images))
    taken = [Sample(f"sample of {name}", (name,), count) for name in names]
    joined = Concatenate("samples", tuple(node.name for node in taken))
    nodes = (node for node in graph.nodes if node.name in needed)
    values = Engine(Graph((*nodes, *taken, joined)))(images)
    return {name: part.ravel() for name, part in zip(names, np.split(values, len(names), axis=1), strict=True)}
