"""The engine: fuses the nodes of a graph once, and makes and keeps a plan for each shape of images."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph import Filters, Graph
from ..graph.graph import Array, Float, Shape
from .binding import Run, filters, prepare
from .plan import Plan
from .rewrites import fuse, is_grouped
from .stages import Stage, Stages
from .weights import sharing, with_weights, without_weights

IDLE = 8  # unused plans that are kept
CACHED = 1 << 22  # bytes that a stage reads and writes at most for images that run together, to stay in the cache
MOST = 256  # images that run together


@dataclass(frozen=True)
class Timing:
    """The time of one stage.

    Attributes
    ----------
    name : str
        Name of the layer.
    kind : str
        Kind of the layer, and what its stage writes: floats, bits or both.
    seconds : float
    macs : int
        Multiply-adds for all images.
    """

    name: str
    kind: str
    seconds: float
    macs: int


class Engine:
    """A graph ready to run; any number of Python threads may call it.

    Each call takes an unused plan with its arrays and gives it back; when there is none for its shape, the call makes
    one. So threads never share arrays, and a second call of a shape allocates nothing but its result.
    """

    def __init__(self, graph: Graph) -> None:
        self._stages = fuse(Stages.of(graph))
        self._sharing = sharing(self._stages.stages)
        for stage, first in self._sharing.items():
            if isinstance(stage.node, Filters) and stage is not first and not is_grouped(stage):
                stage.node = without_weights(stage.node)
        self._lock = threading.Lock()
        self._idle: list[tuple[Shape, Plan]] = []  # the one that was used last is last
        self._layers: dict[tuple[Stage, Shape], Any] = {}
        self._together: dict[Shape, int] = {}  # how many images of the last size run together

    def __call__(self, x: Float) -> Float:
        """Run float32 images (N, H, W, C), N at least 1; large batches run in parts."""
        results = []
        for part in self._parts(x):
            with self._plan(part.shape) as plan:
                results.append(plan(part))
        return results[0] if len(results) == 1 else np.concatenate(results)

    def profile(self, x: Float) -> list[Timing]:
        """The time of each stage on these images, in order."""
        profiles = []
        for part in self._parts(x):
            with self._plan(part.shape) as plan:
                plan.take(part)
                profiles.append([self._timed(plan, stage, runs, len(part)) for stage, runs in plan.runs])
        return [
            Timing(t[0].name, t[0].kind, sum(each.seconds for each in t), sum(each.macs for each in t))
            for t in zip(*profiles, strict=True)
        ]

    @staticmethod
    def _timed(plan: Plan, stage: Stage, runs: list[Run], n: int) -> Timing:
        start = time.perf_counter()
        for run in runs:
            run()
        seconds = time.perf_counter() - start
        return Timing(stage.name, _kind(stage), seconds, n * plan.macs(stage))

    def _parts(self, x: Float) -> list[Float]:
        """The images in batches that run together."""
        if len(x) == 1:
            return [x]
        together = self._together.get(x.shape[1:])
        if together is None:
            together = min(max(CACHED // self._stages.most_bytes(x.shape[1:]), 1), MOST)
            self._together = {x.shape[1:]: together}
        return [x[i : i + together] for i in range(0, len(x), together)]

    @contextmanager
    def _plan(self, shape: Shape) -> Iterator[Plan]:
        plan = self._idle_plan(shape) or Plan(self._stages, self._layer, shape)
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

    def _layer(self, stage: Stage, shape: Shape) -> Any:
        """The prepared weights of a stage, made at the first use and shared by all plans; no other copy is kept."""
        wanted = filters(stage, shape)
        if wanted is None:
            return None
        first = self._sharing[stage]
        with self._lock:
            if (first, wanted) not in self._layers:
                assert isinstance(first.node, Filters)
                # Images of another size may need other filters of the same weights, where a dense layer reads a map:
                # then the weights are taken back from a layer that was prepared before.
                node = with_weights(first.node, self._stored(first, first.node))
                self._layers[first, wanted] = prepare(node, wanted)
                # The weights are held once, in the order of the kernel: AlexNet predicts in 170 MiB so, instead of 211
                # (ADR 0017).
                first.node = without_weights(node)
            return self._layers[first, wanted]

    def _stored(self, stage: Stage, node: Filters) -> Array:
        """The weights of a stage as the file holds them."""
        layer = next((layer for (each, _), layer in self._layers.items() if each is stage), None)
        return node.held if layer is None else layer.stored().reshape(node.held.shape)

    def weights(self) -> dict[str, Array]:
        """The weights of all filters as the file holds them, by the name of their node; shared ones are one array."""
        with self._lock:
            firsts = [(first, first.node) for first in dict.fromkeys(self._sharing.values())]
            stored = {first: self._stored(first, node) for first, node in firsts if isinstance(node, Filters)}
            return {stage.name: stored[first] for stage, first in self._sharing.items()}


def _kind(stage: Stage) -> str:
    """Kind of a node and what its stage writes, such as "XnorConv to bits" or "Int8Conv, pooled, to floats"."""
    words = {"floats": stage.floats, "bits": stage.bits_for is not None}
    pooled = "" if stage.pool is None else ", pooled,"
    return f"{stage.node.kind}{pooled} to {' and '.join(word for word, written in words.items() if written)}"
