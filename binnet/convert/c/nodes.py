"""From the engine's stages to C: which function writes each kind of node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...engine.rewrites import is_grouped
from ...engine.stages import Identity, Stage, Stages
from ...graph import (
    Add,
    AvgPool,
    BwnConv,
    Clip,
    Concatenate,
    Constant,
    Conv,
    Divide,
    GlobalAverage,
    Int8BwnConv,
    Int8Conv,
    KbitConv,
    MaxPool,
    Multiply,
    Pad,
    Quantise,
    QuantiseLinear,
    Sigmoid,
    Softmax,
    Tanh,
    XnorConv,
)
from ...graph.graph import Array
from ...graph.int8 import Int8
from ..report import ConversionError
from . import convolutions, passes, whole_numbers
from .text import comment, number
from .weights import Sizes
from .writer import Writer

Write = Callable[[Writer, Stage], None]


def collect(stages: Stages, sizes: Sizes, normalisation: tuple[Array, Array] | None) -> Writer:
    """The C of all stages; ConversionError that names a node which has none."""
    writer = Writer(stages, sizes, normalisation)
    whole = [stage.node for stage in stages.stages if isinstance(stage.node, Int8)]
    # Tables of offsets are fast, and larger than a small first layer.
    if sizes.word_bits == 32 and whole and all(len(node.zero) == 1 for node in whole):
        writer.uses.add("TAP_SUMS")
    for stage in stages.stages[1:]:
        if stage.is_view or isinstance(stage.node, Constant):
            continue
        write = passes.grouped if is_grouped(stage) else WRITERS.get(type(stage.node))
        if write is None:
            raise ConversionError(f"{stage.name}: nodes of the kind {stage.node.kind} cannot be exported as C")
        writer.calls.append(comment(f"{stage.name}: {stage.node.kind}"))
        write(writer, stage)
    return writer


WRITERS: dict[type[Any], Write] = {
    Conv: convolutions.real,
    BwnConv: convolutions.real,
    XnorConv: convolutions.xnor,
    KbitConv: convolutions.kbit,
    Int8Conv: whole_numbers.int8,
    Int8BwnConv: whole_numbers.int8,
    MaxPool: passes.max_pool,
    Identity: passes.max_pool,
    AvgPool: passes.avg_pool,
    GlobalAverage: passes.average,
    Concatenate: passes.joined,
    Add: passes.combined("+"),
    Multiply: passes.combined("*"),
    Divide: passes.combined("/"),
    Pad: passes.pad,
    Softmax: passes.softmax,
    Tanh: passes.of_values("TANH", "bn_tanh", lambda node: ""),
    Sigmoid: passes.of_values("SIGMOID", "bn_sigmoid", lambda node: ""),
    Clip: passes.of_values("CLIP", "bn_clip", lambda node: f", {number(node.low)}, {number(node.high)}"),
    Quantise: passes.of_values("LEVELS", "bn_levels", lambda node: f", {node.bits}"),
    QuantiseLinear: passes.of_values("ROUND", "bn_round", lambda node: f", {number(float(node.factor))}, {node.zero}"),
}
