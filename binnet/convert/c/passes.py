"""Passes over whole maps: pooling, sums and products of maps, and functions of single values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...engine.stages import Stage
from ...graph import Add, AvgPool, Concatenate, Conv, Divide, MaxPool, Multiply, Pad
from .text import number
from .writer import Three, Writer, pair_text


def pool_text(w: Writer, shape: Three, out: tuple[int, int], window: Any) -> str:
    """The address of a description of windows on a map."""
    size, stride, padding = window
    rows, columns, c = shape
    pairs = ", ".join(map(pair_text, (size, stride, (padding[0], padding[2]))))
    body = f"{rows}, {columns}, {c}, {out[0]}, {out[1]}, {pairs}"
    w.uses.add("POOL")
    return "&" + w.constants.declare("bn_pool", "pool", body, 44)


def pass_over(w: Writer, source: Stage, shape: Three, target: str) -> None:
    """Add a pass over a map of this shape that only does what a target says."""
    w.uses.add("MAX")
    pool = pool_text(w, shape, shape[:2], ((1, 1), (1, 1), (0, 0, 0, 0)))
    w.calls.append(f"bn_max_pool({w.floats(source)}, {pool}, {target});")


def max_pool(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    one = ((1, 1), (1, 1), (0, 0, 0, 0))
    window = (node.kernel_size, node.stride, node.padding) if isinstance(node, MaxPool) else one
    pool = pool_text(w, w.shape(source), w.shape(stage)[:2], window)
    if stage.flips is not None:
        w.uses.add("POOLED_BITS")
        address, row, _, (_, _, c), _ = w.bits(source)
        w.calls.append(f"bn_pool_bits({address}, {row}, {w.sizes.words(c)}, {pool}, {w.target(stage, [])});")
        return
    w.uses.add("MAX")
    w.calls.append(f"bn_max_pool({w.floats(source)}, {pool}, {w.target(stage, [])});")


def avg_pool(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, AvgPool)
    w.uses.add("AVERAGE")
    pool = pool_text(w, w.shape(source), w.shape(stage)[:2], (node.kernel_size, node.stride, node.padding))
    w.calls.append(f"bn_avg_pool({w.floats(stage)}, {w.floats(source)}, {pool});")


def average(w: Writer, stage: Stage) -> None:
    h, wide, c = w.shape(stage.inputs[0])
    w.uses.add("GLOBAL")
    w.calls.append(f"bn_global_average({w.floats(stage)}, {w.floats(stage.inputs[0])}, {h * wide}, {c});")


def grouped(w: Writer, stage: Stage) -> None:
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
    node, out = stage.node, w.shapes[stage]
    assert isinstance(node, Concatenate)
    w.uses.add("JOIN")
    blocks, pitch, done = math.prod(out[: node.axis % len(out)]), math.prod(out[node.axis % len(out) :]), 0
    for each in stage.inputs:
        size = math.prod(w.shapes[each][node.axis % len(out) :])
        w.calls.append(f"bn_join({w.floats(stage)} + {done}, {w.floats(each)}, {blocks}, {size}, {pitch});")
        done += size


def combined(w: Writer, stage: Stage) -> None:
    operation = {Add: "+", Multiply: "*", Divide: "/"}[type(stage.node)]  # type: ignore[index]
    w.uses.add("COMBINE")
    out = w.shape(stage)
    steps = [_pitches(w.shape(each), out) for each in stage.inputs]
    body = ", ".join("{" + ", ".join(map(str, each)) + "}" for each in (out, *steps)) + f", '{operation}'"
    pair = w.constants.declare("bn_pair", "pair", body, 40)
    x, y = (w.floats(each) for each in stage.inputs)
    w.calls.append(f"bn_combine({w.floats(stage)}, {x}, {y}, &{pair});")


def _pitches(shape: Three, out: Three) -> Three:
    h, w, c = (0 if a == 1 and b != 1 else 1 for a, b in zip(shape, out, strict=True))
    return h * shape[1] * shape[2], w * shape[2], c


def pad(w: Writer, stage: Stage) -> None:
    node, (rows, columns, c) = stage.node, w.shape(stage.inputs[0])
    assert isinstance(node, Pad)
    w.uses |= {"FILL", "JOIN"}
    high, wide, _ = w.shape(stage)
    out = w.floats(stage)
    w.calls.append(f"bn_fill({out}, {high * wide * c}, {number(node.value)});")
    place = (node.padding[0] * wide + node.padding[2]) * c
    w.calls.append(f"bn_join({out} + {place}, {w.floats(stage.inputs[0])}, {rows}, {columns * c}, {wide * c});")


def softmax(w: Writer, stage: Stage) -> None:
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
