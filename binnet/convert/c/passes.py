"""Passes over whole maps: pooling, sums and products of maps, and functions of single values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...engine.stages import Stage
from ...graph import AvgPool, Concatenate, Conv, MaxPool, Pad
from .text import number
from .writer import Three, Writer, listed

ONE = ((1, 1), (1, 1), (0, 0, 0, 0))  # window, stride and padding of single pixels


def pool_text(w: Writer, shape: Three, out: tuple[int, int], window: Any) -> str:
    """The address of a description of windows (size, stride, padding) on a map of this shape."""
    size, stride, padding = window
    pairs = (listed(*size), listed(*stride), listed(padding[0], padding[2]))
    w.uses.add("POOL")
    return "&" + w.constants.declare("bn_pool", ", ".join(map(str, (*shape, *out, *pairs))))


def largest(w: Writer, x: str, pool: str, target: str) -> None:
    """Add a pass that takes the largest value of each window, and does what a target says."""
    w.uses.add("MAX")
    w.calls.append(f"bn_max_pool({x}, {pool}, {target});")


def pass_over(w: Writer, source: Stage, shape: Three, target: str) -> None:
    """Add a pass over a map of this shape that only does what a target says."""
    largest(w, w.floats(source), pool_text(w, shape, shape[:2], ONE), target)


def max_pool(w: Writer, stage: Stage) -> None:
    """MaxPool of floats or of bits, or a pass that only does what the target says."""
    node, source = stage.node, stage.inputs[0]
    window = (node.kernel_size, node.stride, node.padding) if isinstance(node, MaxPool) else ONE
    pool = pool_text(w, w.shape(source), w.shape(stage)[:2], window)
    if stage.flips is None:
        largest(w, w.floats(source), pool, w.target(stage, []))
        return
    w.uses.add("POOLED_BITS")
    bits = w.bits(source)
    w.calls.append(f"bn_pool_bits({bits.address}, {bits.row}, {bits.words}, {pool}, {w.target(stage, [])});")


def avg_pool(w: Writer, stage: Stage) -> None:
    """Means of windows."""
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, AvgPool)
    w.uses.add("AVERAGE")
    pool = pool_text(w, w.shape(source), w.shape(stage)[:2], (node.kernel_size, node.stride, node.padding))
    w.calls.append(f"bn_avg_pool({w.floats(stage)}, {w.floats(source)}, {pool});")


def average(w: Writer, stage: Stage) -> None:
    """The mean over all pixels."""
    h, wide, c = w.shape(stage.inputs[0])
    w.uses.add("GLOBAL")
    w.calls.append(f"bn_global_average({w.floats(stage)}, {w.floats(stage.inputs[0])}, {h * wide}, {c});")


def grouped(w: Writer, stage: Stage) -> None:
    """A real convolution with groups."""
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, Conv)
    w.uses.add("GROUPS")
    window = (node.filters[1:3], node.stride, node.padding)
    pool = pool_text(w, w.shape(source), w.shape(stage)[:2], window)
    bias = "NULL" if node.bias is None else w.constants.array(node.bias)
    weight = w.constants.array(node.weight)
    sizes = f"{node.groups}, {node.shape[3]}, {pool}, {node.shape[0]}"
    w.calls.append(f"bn_grouped({w.floats(stage)}, {w.floats(source)}, {weight}, {bias}, {sizes});")


def joined(w: Writer, stage: Stage) -> None:
    """Maps one behind the other along an axis."""
    node, out = stage.node, w.shapes[stage]
    assert isinstance(node, Concatenate)
    w.uses.add("JOIN")
    blocks, pitch, done = math.prod(out[: node.axis % len(out)]), math.prod(out[node.axis % len(out) :]), 0
    for each in stage.inputs:
        size = math.prod(w.shapes[each][node.axis % len(out) :])
        w.calls.append(f"bn_join({w.floats(stage)} + {done}, {w.floats(each)}, {blocks}, {size}, {pitch});")
        done += size


def combined(operation: str) -> Callable[[Writer, Stage], None]:
    """Two maps by ``+``, ``*`` or ``/``; axes of length 1 are repeated."""

    def write(w: Writer, stage: Stage) -> None:
        w.uses.add("COMBINE")
        out = w.shape(stage)
        sizes = (listed(*each) for each in (out, *(_pitches(w.shape(each), out) for each in stage.inputs)))
        pair = w.constants.declare("bn_pair", ", ".join((*sizes, f"'{operation}'")))
        x, y = (w.floats(each) for each in stage.inputs)
        w.calls.append(f"bn_combine({w.floats(stage)}, {x}, {y}, &{pair});")

    return write


def _pitches(shape: Three, out: Three) -> Three:
    """Elements from row to row, column to column and channel to channel; 0 along an axis that is repeated."""
    h, w, c = (0 if a == 1 and b != 1 else 1 for a, b in zip(shape, out, strict=True))
    return h * shape[1] * shape[2], w * shape[2], c


def pad(w: Writer, stage: Stage) -> None:
    """A border of one value."""
    node, (rows, columns, c) = stage.node, w.shape(stage.inputs[0])
    assert isinstance(node, Pad)
    w.uses |= {"FILL", "JOIN"}
    high, wide, _ = w.shape(stage)
    out = w.floats(stage)
    w.calls.append(f"bn_fill({out}, {high * wide * c}, {number(node.value)});")
    place = (node.padding[0] * wide + node.padding[2]) * c
    w.calls.append(f"bn_join({out} + {place}, {w.floats(stage.inputs[0])}, {rows}, {columns * c}, {wide * c});")


def softmax(w: Writer, stage: Stage) -> None:
    """Probabilities over channels."""
    h, wide, c = w.shape(stage)
    w.uses.add("SOFTMAX")
    w.calls.append(f"bn_softmax({w.floats(stage)}, {w.floats(stage.inputs[0])}, {h * wide}, {c});")


def of_values(use: str, function: str, more: Callable[[Any], str]) -> Callable[[Writer, Stage], None]:
    """A function of single values: ``function(out, x, count, more)``."""

    def write(w: Writer, stage: Stage) -> None:
        w.uses.add(use)
        count = math.prod(w.shape(stage))
        w.calls.append(f"{function}({w.floats(stage)}, {w.floats(stage.inputs[0])}, {count}{more(stage.node)});")

    return write
