"""Runs a packed model: fuses its steps once, makes plans for the shapes of images that come, and keeps them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from binnet_kernels.checks import Float

from ..nn import init
from .fusion import fuse
from .graph import Node, to_graph
from .layers import Run, Shape, filters, prepare
from .plan import Plan, shapes_of
from .steps import Add, Array, Filters, Step, with_weights

IDLE = 8  # plans that are kept while nobody uses them
CACHED = 1 << 21  # floats of the largest map of images that run together, so that maps stay in the cache
MOST = 256  # images that run together


@dataclass(frozen=True)
class Timing:
    """What one fused step took.

    Attributes
    ----------
    name : str
        Of the layer that computes.
    kind : str
        Of the layer, and what it writes: floats, bits or both.
    seconds : float
    macs : int
        Multiply-adds for all images.
    """

    name: str
    kind: str
    seconds: float
    macs: int

    @property
    def milliseconds(self) -> float:
        """The time in milliseconds."""
        return 1e3 * self.seconds

    @property
    def gmacs(self) -> float:
        """Billions of multiply-adds a second."""
        return self.macs / self.seconds / 1e9


class Engine:
    """The steps of a model ready to run; any number of Python threads may call it.

    Each call takes a plan, arrays and all, that nobody else is using, and gives it back; when there is none for its
    shape it makes one. So threads never share arrays, and a second call of a shape allocates nothing but its result.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._graph = fuse(to_graph(steps))
        for node in self._graph.nodes:  # a sum holds the steps that it adds, which have nodes of their own
            node.tail = [with_weights(step, outline_of) if isinstance(step, Add) else step for step in node.tail]
        self._lock = threading.Lock()
        self._idle: list[tuple[Shape, Plan]] = []  # the one that was used last is last
        self._layers: dict[tuple[Node, Shape], Any] = {}
        self._together: dict[Shape, int] = {}  # how many images of the last size run together

    def __call__(self, x: Float) -> Float:
        """float32 images (N, H, W, C), at least one, to the result; large batches go in parts."""
        results = []
        for part in self._parts(x):
            with self._plan(part.shape) as plan:
                results.append(plan(part))
        return results[0] if len(results) == 1 else np.concatenate(results)

    def profile(self, x: Float) -> list[Timing]:
        """The time of each fused step on these images, in order."""
        profiles = []
        for part in self._parts(x):
            with self._plan(part.shape) as plan:
                plan.take(part)
                profiles.append([self._timed(plan, node, runs, len(part)) for node, runs in plan.runs])
        return [
            Timing(t[0].name, t[0].kind, sum(each.seconds for each in t), sum(each.macs for each in t))
            for t in zip(*profiles, strict=True)
        ]

    @staticmethod
    def _timed(plan: Plan, node: Node, runs: list[Run], n: int) -> Timing:
        start = time.perf_counter()
        for run in runs:
            run()
        seconds = time.perf_counter() - start
        return Timing(node.name, _kind(node), seconds, n * node.step.macs(plan.shape(node)[1:]))

    def _parts(self, x: Float) -> list[Float]:
        """The images in batches that run together."""
        if len(x) == 1:
            return [x]
        together = self._together.get(x.shape[1:])
        if together is None:
            largest = max(int(np.prod(shape)) for shape in shapes_of(self._graph, x.shape[1:]).values())
            self._together = {x.shape[1:]: (together := min(max(CACHED // largest, 1), MOST))}
        return [x[i : i + together] for i in range(0, len(x), together)]

    @contextmanager
    def _plan(self, shape: Shape) -> Iterator[Plan]:
        plan = self._idle_plan(shape) or Plan(self._graph, self._layer, shape)
        yield plan
        with self._lock:
            self._idle.append((shape, plan))
            del self._idle[:-IDLE]

    def _idle_plan(self, shape: Shape) -> Plan | None:
        with self._lock:
            for number in reversed(range(len(self._idle))):
                if self._idle[number][0] == shape:
                    return self._idle.pop(number)[1]
        return None

    def _layer(self, node: Node, shape: Shape) -> Any:
        """The prepared weights of a node, made when first needed and shared by all plans; they are kept only so."""
        wanted = filters(node, shape)
        if wanted is None:
            return None
        with self._lock:
            if (node, wanted) not in self._layers:
                step = with_weights(node.step, lambda step: self._stored(node, step))
                self._layers[node, wanted] = prepare(step, wanted)
                node.step = with_weights(node.step, outline_of)
            return self._layers[node, wanted]

    def _stored(self, node: Node, step: Filters) -> Array:
        """The weights of a node as the file holds them."""
        layer = next((layer for (each, _), layer in self._layers.items() if each is node), None)
        return step.held if layer is None else layer.stored().reshape(step.held.shape)

    def weights(self) -> dict[str, Array]:
        """The weights of all filters as the file holds them, by the name of their step."""
        with self._lock:
            steps = [(node, node.step) for node in self._graph.nodes if isinstance(node.step, Filters)]
            return {step.name: self._stored(node, step) for node, step in steps}


def outline_of(step: Filters) -> Array:
    """One 0 in the place of a step's weights."""
    return init.repeated(step.held.dtype.type(0), step.held.shape)


def _kind(node: Node) -> str:
    """Kind of step and what it writes."""
    words = {"floats": node.floats, "bits": node.bits_for is not None}
    return f"{type(node.step).__name__} to {' and '.join(word for word, written in words.items() if written)}"
