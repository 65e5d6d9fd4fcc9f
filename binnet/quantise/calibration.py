"""Samples of what layers read, taken while the float network runs on calibration images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.engine import Engine
from ..graph import Concatenate, Graph, Node
from ..graph.graph import Float, Four, Shape
from ..graph.windows import bordered, patches
from .folding import Folded

SAMPLED = 1 << 20  # values for each layer, of all images together


@dataclass(frozen=True, eq=False)
class Windows(Node):
    """Windows of a map at ``count`` places drawn at random, the same ones for every image: (N, count · KH KW C).

    ``size`` is (KH, KW); the rest is as in :class:`binnet.graph.Conv`. A row (N, C) is one window.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: Four
    count: int

    def output(self, *shapes: Shape) -> Shape:
        return shapes[0] if len(shapes[0]) == 1 else (self.count * math.prod(self.size) * shapes[0][2],)

    def compute(self, *inputs: Any) -> Float:
        x: Float = inputs[0]
        if x.ndim == 2:
            return x
        every = patches(bordered(x, self.padding), self.size, self.stride)
        height, width = every.shape[1:3]
        places = np.random.default_rng(0).integers(height * width, size=self.count)
        chosen = every[:, places // width, places % width]  # (N, count, C, KH, KW)
        taken: Float = np.moveaxis(chosen, 2, 4).reshape(len(x), -1)
        return taken


def windows_read(graph: Graph, layers: Sequence[Folded], images: Float) -> dict[str, Float]:
    """What each layer reads for one value of its result, float32 (n, KH KW C) by the layer's name.

    The engine runs the network once, on images as the graph takes them. A bounded number of values is kept for any
    number and size of images.
    """
    needed = {node.name for layer in layers for node in graph.up_to(layer.source)}
    taken = []
    for layer in layers:
        node, count = layer.node, max(1, SAMPLED // (len(images) * math.prod(layer.node.shape[1:])))
        name = f"windows of {node.name}"
        taken.append(Windows(name, (layer.source,), node.filters[1:3], node.stride, layer.padding, count))
    joined = Concatenate("windows", tuple(node.name for node in taken))
    sampling = Graph((*(node for node in graph.nodes if node.name in needed), *taken, joined))
    values = Engine(sampling)(images)
    ends = np.cumsum([math.prod(sampling.shapes[node.name]) for node in taken])[:-1]
    parts = zip(layers, np.split(values, ends, axis=1), strict=True)
    return {layer.node.name: part.reshape(-1, math.prod(layer.node.shape[1:])) for layer, part in parts}
