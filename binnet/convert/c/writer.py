"""Collects the C of a network: its constants, its maps, its calls, and the parts of the runtime that they use."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...engine.stages import Stage, Stages
from ...graph import Add, BatchNorm, Constant, Input, PRelu, Relu, Scale, Shift, Sign, XnorConv
from ...graph.graph import Array, Shape
from .arena import Arena
from .text import Constants
from .weights import Sizes, to_words

Three = tuple[int, int, int]


class Writer:
    """The C of a network as it is collected: constants, maps, calls, and which parts of the runtime they use.

    Attributes
    ----------
    calls : list of str
        Statements of the predict function.
    uses : set of str
        Names of the parts, such as ``"BITS"``.
    """

    def __init__(self, stages: Stages, sizes: Sizes, normalisation: tuple[Array, Array] | None) -> None:
        self.constants, self.arena, self.sizes = Constants(), Arena(), sizes
        self.calls: list[str] = []
        self.uses: set[str] = set()
        self._stages, self._normalisation = stages, normalisation
        own = stages.images.node.output()
        self.shapes = stages.shapes_for(own)
        self.number = {stage: i for i, stage in enumerate(stages.stages)}
        self._last = self._last_reads()
        self.with_bytes: set[Any] = set()
        self._image_is_float = False

    def _last_reads(self) -> dict[Stage, int]:
        last = dict[Stage, int]()
        for stage in self._stages.stages:
            for read in stage.reads:
                last[read.root] = self.number[stage]
        last[self._stages.result.root] = len(self.number)
        return last

    # ---- maps

    def shape(self, stage: Stage) -> Three:
        """(rows, columns, channels), with 1, 1 for a row of features."""
        return three(self.shapes[stage])

    def floats(self, stage: Stage) -> str:
        """The address of a stage's map of floats."""
        root = stage.root
        if isinstance(root.node, Constant):
            return self.constants.array(np.append(self.padded(root.node.array), np.zeros(self.sizes.real, np.float32)))
        if isinstance(root.node, Input):
            self._take_image(root)
        return self._map(root, "floats", math.prod(self.shapes[root]), root)

    def _map(self, key: Any, part: str, size: int, stage: Stage) -> str:
        first = self.number[stage]
        return self.arena.map((key, part), part, size, first, self._last.get(stage, first))

    def own(self, stage: Stage, what: str, part: str, size: int) -> str:
        """The address of memory that only one stage uses."""
        first = self.number[stage]
        return self.arena.map((stage, what), part, size, first, first)

    def bits(self, stage: Stage) -> tuple[str, int, int, Three, bool]:
        """The bit map that a stage writes.

        Returns
        -------
        address : str
        row, inside : int
            Words from row to row, and in front of the first pixel inside the border.
        shape : (rows, columns, channels)
            With the border, which exists only where its signs count.
        bordered : bool
        """
        h, w, c = self.shape(stage)
        words = self.sizes.words(c)
        reader = stage.bits_for.node if stage.bits_for else None
        padding = reader.padding if isinstance(reader, XnorConv) and reader.pad_value else (0, 0, 0, 0)
        top, bottom, left, right = padding
        rows, columns = h + top + bottom, w + left + right
        first = self.number[stage]
        last = first if stage.bits_for is None else self.number[stage.bits_for]
        address = self.arena.map((stage, "bits"), "words", rows * columns * words, first, last)
        row = columns * words
        return address, row, top * row + left * words, (rows, columns, c), any(padding)

    def _take_image(self, root: Stage) -> None:
        """Fill the map of floats of the images, once."""
        if self._image_is_float:
            return
        self._image_is_float = True
        h, w, c = self.shape(root)
        out = self._map(root, "floats", h * w * c, root)
        assert isinstance(root.node, Input)
        values = h * w * c
        if root.node.pixels:
            loop = f"for (int i = 0; i < {values}; i++)\n        ({out})[i] = (float)pixels[i];"
        elif self._normalisation is None:
            loop = f"for (int i = 0; i < {values}; i++)\n        ({out})[i] = image[i];"
        else:
            self.uses.add("NORMALISE")
            mean, std = (self.constants.array(v) for v in self._normalisation)
            loop = f"bn_normalise({out}, pixels, {values}, {c}, {mean}, {std});"
        self.calls.insert(0, loop)

    # ---- what is done behind a sum

    def padded(self, vector: Any) -> Array:
        """A vector of channels up to a whole block of filters, since steps work on whole blocks."""
        flat = np.ravel(vector)
        whole = np.zeros(-(-flat.size // self.sizes.real) * self.sizes.real, flat.dtype)
        whole[: flat.size] = flat
        return whole

    def vector(self, values: Any, channels: int) -> str:
        """The name of a constant vector with a number for each channel."""
        return self.constants.array(self.padded(np.broadcast_to(np.float32(values), (channels,))))

    def target(self, stage: Stage, first: list[str]) -> str:
        """The address of a target: the steps ``first``, those of the epilogue, and what the stage writes."""
        _, columns, channels = self.shape(stage)
        steps = [*first, *(step for node in stage.epilogue for step in self._steps(stage, node, channels))]
        listed = self.constants.declare("bn_step[]", "steps", ", ".join(steps), 16 * len(steps)) if steps else "NULL"
        floats = self.floats(stage) if stage.floats else "NULL"
        bits, row, words, low, high, most, flips = "NULL", 0, 0, "NULL", "NULL", "NULL", "NULL"
        if stage.bits_for is not None:
            bits, row, inside, shape, bordered = self.bits(stage)
            words = self.sizes.words(channels)
            if bordered:
                self.uses.add("BORDER")
                assert isinstance(stage.bits_for.node, XnorConv)
                negative = int(stage.bits_for.node.pad_value < 0)
                self.calls.append(f"bn_fill_words({bits}, {shape[0] * shape[1]}, {channels}, {negative});")
            bits = f"{bits} + {inside}"
            if stage.limits is not None:
                low, high = (self.vector(limit, channels) for limit in stage.limits)
            if stage.flips is not None:
                flips = self.constants.array(to_words(np.asarray(stage.flips), self.sizes.word_bits))
            if stage.most is not None:
                self.uses.add("COMPARE")
                most = self.constants.array(
                    self.padded(np.clip(stage.most, -(1 << 31), (1 << 31) - 1).astype(np.int32))
                )
        where = f"{bits}, {row}, {words}, {low}, {high}, {most}, {flips}"
        body = f"{columns}, {channels}, {len(steps)}, {listed}, {floats}, {where}"
        return "&" + self.constants.declare("bn_target", "target", body, 80)

    def _steps(self, stage: Stage, node: Any, channels: int) -> list[str]:
        def each(values: Any) -> str:
            return self.vector(values, channels)

        if isinstance(node, BatchNorm):
            return [step("NORM", each(node.mean), each(node.factor), each(node.shift))]
        if isinstance(node, Scale):
            return [step("SCALE", each(node.factor))]
        if isinstance(node, Shift):
            return [step("SHIFT", each(node.shift))]
        if isinstance(node, PRelu):
            return [step("PRELU", each(node.slope))]
        if isinstance(node, Sign):
            before = [] if node.threshold is None else [step("SHIFT", each(-node.threshold))]
            return [*before, step("SIGN")]
        if isinstance(node, Add):
            assert stage.residual is not None
            return [step("ADD", self.floats(stage.residual))]
        assert isinstance(node, Relu)
        return [step("RELU")]


def step(kind: str, a: str = "NULL", b: str = "NULL", c: str = "NULL") -> str:
    """The C initialiser of one step."""
    return f"{{BN_{kind}, {a}, {b}, {c}}}"


def three(shape: Shape) -> Three:
    h, w, c = shape if len(shape) == 3 else (1, 1, *shape)
    return h, w, c


def pair_text(values: Any) -> str:
    return f"{{{values[0]}, {values[1]}}}"
