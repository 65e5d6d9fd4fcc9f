"""A plan: everything that running a graph on images of one shape needs, made once. A call only runs kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import binnet_kernels as bk

from ..graph import BwnConv, Constant, Conv, Input, XnorConv
from ..graph.graph import Array, Float, Four, Shape
from .binding import Run, bind
from .stages import Stage, Stages


class Plan:
    """Arrays for images of one shape, and the kernels bound to them; for one thread at a time.

    Parameters
    ----------
    stages
        The stages after fusion.
    layer
        Function that returns the prepared weights of a stage for a map (N, H, W, C), or None.
    shape : (N, H, W, C)

    Attributes
    ----------
    runs : list of (stage, functions)
        The calls that run each stage, in order.
    """

    def __init__(self, stages: Stages, layer: Callable[[Stage, Shape], Any], shape: Shape) -> None:
        self._stages, self._shapes = stages, stages.shapes_for(shape[1:])
        self._memory: dict[Stage, Float] = {}  # of maps, flat
        self._bits: dict[Stage, Any] = {}
        self._bytes: dict[tuple[Any, ...], Any] = {}  # maps of bytes, by source, rounding, border and stride
        self._targets: list[tuple[Array, tuple[int, int]]] = []  # where images are copied to, with which stride
        self._free: list[Float] = []  # memory of maps that nothing reads any more, for the next ones
        self._n, last_reads = shape[0], _last_reads(stages)
        self._wide = self._images(shape)
        self.runs: list[tuple[Stage, list[Run]]] = []
        for stage in stages.stages[1:]:
            source, done = self.shape(stage.inputs[0]) if stage.inputs else (), last_reads.get(stage, [])
            if (added := _overwritten(stage, done)) is not None:
                self._memory[stage] = self._memory[added]
            self.runs.append((stage, bind(stage, layer(stage, source), self)))
            # Freed after the stage has taken memory for its own map: a kernel must not write to what it reads.
            # Maps that are not in memory have been written as bits alone.
            self._free += [self._memory[read] for read in done if read in self._memory and read is not added]
        self.result(stages.result)  # may be the images themselves, a map that no stage has asked for
        self._all = [run for _, runs in self.runs for run in runs]

    def __call__(self, x: Float) -> Float:
        """Run the graph on images (N, H, W, C); the result is a new array."""
        self.take(x)
        for run in self._all:
            run()
        # The next call overwrites the memory of the plan.
        return self.result(self._stages.result).copy()

    def take(self, x: Float) -> None:
        """Copy the images to the arrays that the first layers read."""
        for target, (sh, sw) in self._targets:
            target[...] = x[:, ::sh, ::sw].reshape(target.shape)

    def _images(self, shape: Shape) -> Float | None:
        """The array for the images with the border of a real convolution, where nothing else reads them."""
        stage, (n, h, w, c) = self._stages.images, shape
        readers = self._stages.users(stage)
        node = readers[0].node if readers and self._stages.only_user(stage, readers[0]) else None
        if isinstance(node, Conv | BwnConv) and not node.is_dense:
            top, bottom, left, right = node.padding
            # The border is written once, here; calls only write inside of it.
            wide = np.zeros((n, h + top + bottom, w + left + right, c), np.float32)
            self._targets.append((wide[:, top : top + h, left : left + w], (1, 1)))
            return wide
        return None

    # ---- what stages ask for

    def shape(self, stage: Stage) -> Shape:
        """(N, H, W, C), with H = W = 1 for rows."""
        shape = self._shapes[stage]
        return (self._n, *(shape if len(shape) == 3 else (1, 1, *shape)))

    def macs(self, stage: Stage) -> int:
        """The multiply-adds of a stage for one image."""
        # A convolution that pools computes more sums than its result has values.
        return stage.node.macs(stage.computed(*(self._shapes[each] for each in stage.inputs)))

    def map(self, stage: Stage) -> Float:
        """The map of a stage, float32. The first call, which comes from the stage itself, allocates it."""
        if stage.is_view:
            return self.map(stage.inputs[0]).reshape(self.shape(stage))
        shape = self.shape(stage)
        if isinstance(stage.node, Constant) and stage not in self._memory:
            self._memory[stage] = np.tile(stage.node.array.ravel(), self._n)
        if stage not in self._memory and stage is self._stages.images:
            # Written before all stages, so it cannot use the memory of another map.
            self._memory[stage] = _aligned(math.prod(shape))
            self._targets.append((self.map(stage), (1, 1)))
        if stage not in self._memory:
            self._memory[stage] = self._take(math.prod(shape))
        return self._memory[stage][: math.prod(shape)].reshape(shape)

    def result(self, stage: Stage) -> Float:
        """The map of a stage in its own shape."""
        return self.map(stage).reshape(self._n, *self._shapes[stage])

    def _take(self, size: int) -> Float:
        """The smallest free memory that is large enough, or new memory; its contents are undefined."""
        fitting = [buffer for buffer in self._free if buffer.size >= size]
        if not fitting:
            return _aligned(size)
        # The best fit leaves large memory for large maps.
        smallest = min(fitting, key=len)
        self._free = [buffer for buffer in self._free if buffer is not smallest]
        return smallest

    def bordered(self, stage: Stage, padding: Four) -> tuple[Float, list[Run]]:
        """The map of a stage with a border of zeros, and the calls that copy it there."""
        (top, bottom, left, right), (n, h, w, c) = padding, self.shape(stage)
        if stage is self._stages.images and self._wide is not None:
            return self._wide, []
        if not any(padding):
            return self.map(stage), []
        wide = np.zeros((n, h + top + bottom, w + left + right, c), np.float32)
        inside, x = wide[:, top : top + h, left : left + w], self.map(stage)
        return wide, [lambda: np.copyto(inside, x)]

    def bytes(self, stage: Stage, padding: Four, stride: tuple[int, int]) -> tuple[Any, list[Run]]:
        """The whole numbers that a convolution in eight bits reads, with a border, and the calls that write them."""
        source, quantise, (sh, sw) = stage.inputs[0], stage.quantise, stride
        key = source, quantise and (quantise.step, quantise.zero), padding, stride
        if key in self._bytes:  # the first stage that reads them has written them
            return self._bytes[key], []
        n, h, w, c = self.shape(source)
        made = self._bytes[key] = bk.ByteMap((n, -(-h // sh), -(-w // sw), c), padding)
        if quantise is None and self._is_pixels(source):
            self._targets.append((made.inside, stride))
            return made, []
        # Another node may have made the whole numbers, such as a pooling of them; a step of 1 leaves them as they are.
        step, zero = (1.0, 0) if quantise is None else (quantise.step, quantise.zero)
        return made, [bk.bind_quantise(self.map(source), step, zero, made, stride)]

    def _is_pixels(self, stage: Stage) -> bool:
        """Whether a map is the pixels of the images, perhaps in another shape."""
        return isinstance(stage.root.node, Input) and stage.root.node.pixels

    def bits(self, stage: Stage) -> Any:
        """The map of bits of a stage, with the border of the layer that reads it; it is only written inside."""
        if stage not in self._bits:
            reader = stage.bits_for.node if stage.bits_for else None
            border = (reader.padding, reader.pad_value) if isinstance(reader, XnorConv) else ()
            self._bits[stage] = bk.BitMap(self.shape(stage), *border)
        return self._bits[stage]


def _aligned(size: int) -> Float:
    """New memory, aligned to a vector, which saves 5 % of the time of a first convolution."""
    from binnet_kernels.simd.geometry import aligned  # brings Numba, which only running needs

    return aligned(size)


def _overwritten(stage: Stage, done: list[Stage]) -> Stage | None:
    """The map that a stage adds, if it writes its sums over it: one of those that no later stage reads."""
    # One map stays in the cache where two would not: 8 % of the time of ResNet-18 with 4 images together.
    added = None if stage.residual is None else stage.residual.root
    return added if stage.floats and added in done and added not in [each.root for each in stage.inputs] else None


def _last_reads(stages: Stages) -> dict[Stage, list[Stage]]:
    """For each stage, the maps that no later stage reads; images, constants and the result are never freed."""
    last: dict[Stage, Stage] = {}
    for stage in stages.stages:
        for read in stage.reads:
            last[read.root] = stage
    by_reader: dict[Stage, list[Stage]] = {}
    for read, reader in last.items():
        if read not in (stages.images, stages.result.root) and not isinstance(read.node, Constant):
            by_reader.setdefault(reader, []).append(read)
    return by_reader
