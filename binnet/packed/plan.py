"""A plan: everything that running a graph on images of one shape needs, made once. A call only runs kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float

from .graph import Graph, Node
from .layers import Run, Shape, bind
from .steps import BwnConv, Conv, Flatten, XnorConv


class Plan:
    """Arrays for images of one shape, and the kernels bound to them; for one thread at a time.

    Parameters
    ----------
    graph
        After fusion.
    layer
        Gives the prepared weights of a node for a map (N, H, W, C), or None.
    shape : (N, H, W, C)

    Attributes
    ----------
    runs : list of (node, functions)
        In order.
    """

    def __init__(self, graph: Graph, layer: Callable[[Node, Shape], Any], shape: Shape) -> None:
        self._graph, self._shapes = graph, shapes_of(graph, shape[1:])
        self._memory: dict[Node, Float] = {}  # of maps, flat
        self._bits: dict[Node, Any] = {}
        self._free: list[Float] = []  # memory of maps that nobody reads any more, for the next ones
        self._n, last_reads = shape[0], _last_reads(graph)
        self._wide, self._input = self._images(shape)
        self.runs: list[tuple[Node, list[Run]]] = []
        for node in graph.nodes[1:]:
            source = self.shape(node.inputs[0])
            self.runs.append((node, bind(node, layer(node, source), self)))
            for read in last_reads.get(node, ()):
                if read in self._memory:  # else it has written bits
                    self._free.append(self._memory[read])
        self._all = [run for _, runs in self.runs for run in runs]

    def __call__(self, x: Float) -> Float:
        """Images to the result, a new array."""
        self.take(x)
        for run in self._all:
            run()
        return self.result()

    def take(self, x: Float) -> None:
        """Bring the images to where the first layer reads them."""
        self._input[...] = x

    def result(self) -> Float:
        """A copy of what the last node has written."""
        last = self._graph.nodes[-1]
        shape = self._shapes[last]
        return self.map(last).reshape(self._n, *shape).copy()

    def _images(self, shape: Shape) -> tuple[Float | None, Float]:
        """Where the images go: inside the border of a real convolution when nobody else reads them."""
        node, (n, h, w, c) = self._graph.nodes[0], shape
        readers = self._graph.users(node)
        if len(readers) == 1 and isinstance(readers[0].step, (Conv, BwnConv)) and len(readers[0].step.shape) == 4:
            ph, pw = readers[0].step.padding
            wide = np.zeros((n, h + 2 * ph, w + 2 * pw, c), np.float32)
            return wide, wide[:, ph : ph + h, pw : pw + w]
        return None, self.map(node)

    # ---- what layers ask for

    def shape(self, node: Node) -> Shape:
        """(N, H, W, C), with H = W = 1 for rows."""
        shape = self._shapes[node]
        return (self._n, *(shape if len(shape) == 3 else (1, 1, *shape)))

    def map(self, node: Node) -> Float:
        """The map of a node; a new one when it is first asked for, which is by the node itself."""
        if isinstance(node.step, Flatten):
            return self.map(node.inputs[0]).reshape(self.shape(node))
        shape = self.shape(node)
        if node not in self._memory:
            self._memory[node] = self._take(int(np.prod(shape)))
        return self._memory[node][: int(np.prod(shape))].reshape(shape)

    def _take(self, size: int) -> Float:
        """The smallest free memory that is large enough, or new memory; anything may be in it."""
        fitting = [buffer for buffer in self._free if buffer.size >= size]
        if not fitting:
            return _aligned(size)
        smallest = min(fitting, key=len)
        self._free = [buffer for buffer in self._free if buffer is not smallest]
        return smallest

    def bordered(self, node: Node, padding: tuple[int, int]) -> tuple[Float, list[Run]]:
        """The map of a node with a border of zeros, and what brings it there."""
        (ph, pw), (n, h, w, c) = padding, self.shape(node)
        if node is self._graph.nodes[0] and self._wide is not None:
            return self._wide, []
        if padding == (0, 0):
            return self.map(node), []
        wide = np.zeros((n, h + 2 * ph, w + 2 * pw, c), np.float32)
        inside, x = wide[:, ph : ph + h, pw : pw + w], self.map(node)
        return wide, [lambda: np.copyto(inside, x)]

    def bits(self, node: Node) -> Any:
        """The map of bits of a node, with the border of the layer that reads it; it is only written inside."""
        if node not in self._bits:
            reader = node.bits_for.step if node.bits_for else None
            border = (reader.padding, reader.pad_value) if isinstance(reader, XnorConv) else ()
            self._bits[node] = bk.BitMap(self.shape(node), *border)
        return self._bits[node]


def _aligned(size: int) -> Float:
    """New memory that begins where a vector does: 5 % of a first convolution."""
    from binnet_kernels.geometry import aligned  # brings Numba, which only running needs

    return aligned(size)


def shapes_of(graph: Graph, shape: Shape) -> dict[Node, Shape]:
    """The shape of each node's map for one image (H, W, C), as (H, W, C) or (C,); ValueError when one cannot be."""
    shapes: dict[Node, Shape] = {graph.nodes[0]: shape}
    for node in graph.nodes[1:]:
        before = shapes[node.inputs[0]]
        shapes[node] = node.step.output((int(np.prod(before)),) if node.flat else before)
        if node.residual is not None and shapes[node.residual] != shapes[node]:
            raise ValueError(f"{node.name}: the body gives {shapes[node]}, the shortcut {shapes[node.residual]}")
    return shapes


def _last_reads(graph: Graph) -> dict[Node, list[Node]]:
    """For each node the maps that nobody reads after it; the images stay where they are."""
    last: dict[Node, Node] = {}
    for node in graph.nodes:
        for read in node.reads:
            while isinstance(read.step, Flatten):
                read = read.inputs[0]
            last[read] = node
    by_reader: dict[Node, list[Node]] = {}
    for read, reader in last.items():
        if read is not graph.nodes[0]:
            by_reader.setdefault(reader, []).append(read)
    return by_reader
