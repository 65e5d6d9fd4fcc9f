"""Collects the C of a network: its constants, its maps, its calls, and the parts of the runtime that they use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...engine.stages import Stage, Stages
from ...graph import Add, BatchNorm, Constant, Input, KbitConv, Node, PRelu, Relu, Scale, Shift, Sign, XnorConv
from ...graph.graph import Array, Four, Shape
from .arena import Arena
from .text import Constants
from .weights import Sizes, to_words

Three = tuple[int, int, int]


@dataclass(frozen=True)
class BitMap:
    """A map of bits in the arena, one bit a value, 1 for negative.

    Attributes
    ----------
    address : str
        C expression for its first word.
    shape : (rows, columns, channels)
        With its border.
    border : (top, bottom, left, right)
        It exists only where its signs count, and is all 0 elsewhere.
    words : int
        Words of a pixel.
    """

    address: str
    shape: Three
    border: Four
    words: int

    @property
    def row(self) -> int:
        """Words from row to row."""
        return self.shape[1] * self.words

    @property
    def size(self) -> int:
        """Words of the whole map."""
        return self.shape[0] * self.row

    @property
    def inside(self) -> str:
        """C expression for the first word inside of the border."""
        return f"{self.address} + {self.border[0] * self.row + self.border[2] * self.words}"


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

    def bits(self, stage: Stage) -> BitMap:
        """The bit map that a stage writes, with the border of the layer that reads it."""
        reader = stage.bits_for
        last = stage if reader is None else reader
        span = self.number[stage], self.number[last]
        return self._bit_map((stage, "bits"), self.shape(stage), last.node, span)

    def own_bits(self, stage: Stage, planes: int = 1) -> BitMap:
        """A bit map of what a stage reads, which nothing else uses, or as many one behind the other."""
        span = self.number[stage], self.number[stage]
        return self._bit_map((stage, "own bits"), self.shape(stage.inputs[0]), stage.node, span, planes)

    def _bit_map(self, key: Any, shape: Three, reader: Node, span: tuple[int, int], planes: int = 1) -> BitMap:
        border: Four = (0, 0, 0, 0)
        if isinstance(reader, XnorConv | KbitConv) and reader.pad_value != 0:
            border = reader.padding
        rows, columns, channels = shape[0] + sum(border[:2]), shape[1] + sum(border[2:]), shape[2]
        words = self.sizes.words(channels)
        address = self.arena.map(key, "words", planes * rows * columns * words, *span)
        return BitMap(address, (rows, columns, channels), border, words)

    def fill_border(self, bits: BitMap, reader: Any, planes: int = 1) -> None:
        """Add a call that fills a bit map with the sign of its border, if it has one."""
        if any(bits.border):
            self.uses.add("BORDER")
            rows, columns, channels = bits.shape
            negative = int(reader.pad_value < 0)
            self.calls.append(f"bn_fill_words({bits.address}, {planes * rows * columns}, {channels}, {negative});")

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
        written: dict[str, Any] = {"floats": self.floats(stage)} if stage.floats else {}
        if stage.bits_for is not None:
            bits = written["bits"] = self.bits(stage)
            self.fill_border(bits, stage.bits_for.node)
            if stage.limits is not None:
                written["low"], written["high"] = (self.vector(limit, channels) for limit in stage.limits)
            if stage.flips is not None:
                written["flips"] = self.constants.array(to_words(np.asarray(stage.flips), self.sizes.word_bits))
            if stage.most is not None:
                self.uses.add("COMPARE")
                most = np.clip(stage.most, -(1 << 31), (1 << 31) - 1).astype(np.int32)
                written["most"] = self.constants.array(self.padded(most))
        return self.plain_target((columns, channels), steps, **written)

    def plain_target(self, size: tuple[int, int], steps: list[str], bits: BitMap | None = None, **written: str) -> str:
        """The address of a target for a map of (columns, channels) that writes floats, bits or both.

        ``written`` are the other fields of ``bn_target`` by name: ``floats``, ``low``, ``high``, ``most``, ``flips``.
        """
        listed = "NULL"
        if steps:
            listed = self.constants.declare("bn_step[]", ", ".join(steps), len(steps))
        where = ("NULL", 0, 0) if bits is None else (bits.inside, bits.row, bits.words)
        rules = (written.get(name, "NULL") for name in ("low", "high", "most", "flips"))
        body = (*size, len(steps), listed, written.get("floats", "NULL"), *where, *rules)
        return "&" + self.constants.declare("bn_target", ", ".join(map(str, body)))

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
    """A shape as (rows, columns, channels), with 1, 1 for a row of features."""
    h, w, c = shape if len(shape) == 3 else (1, 1, *shape)
    return h, w, c


def listed(*values: Any) -> str:
    """The C initialiser of an array of these values."""
    return "{" + ", ".join(map(str, values)) + "}"
