"""Convolutions in eight bits: the bytes that they read, and what is added to their sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.stages import Stage
from ...graph import Input
from ...graph.graph import Array
from ...graph.int8 import Int8
from .convolutions import convolve
from .passes import pool_text
from .text import number
from .weights import whole_values
from .writer import Three, Writer, pair_text, three


def int8(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, Int8)
    sampled = node.stride if node.filters[1:3] == (1, 1) and not any(node.padding) else (1, 1)
    address, shape = _bytes(w, stage, source, sampled)
    stride = (1, 1) if sampled == node.stride else node.stride
    computed = three(stage.computed(*(w.shapes[each] for each in stage.inputs)))
    offsets, row_class, column_class = _offsets(node, w.shape(source), computed)
    vectors = ", ".join(w.constants.array(w.padded(vector)) for row in offsets for vector in row)
    table = w.constants.declare("float *const[]", "offsets", vectors, 8 * len(offsets) * len(offsets[0]))
    classes = [w.constants.array(np.array(each, np.uint8)) for each in (row_class, column_class)]
    scale = w.vector(node.factors, node.shape[0])
    fields = {
        "map": shape,
        "x": address,
        "weights": w.constants.array(whole_values(node.whole_weight.reshape(node.filters), w.sizes)),
        "stride": stride,
        "before": (0, 0),
        "bytes": (scale, table, *classes, len(offsets[0])),
    }
    if stage.pool is None:
        convolve(w, stage, "BYTES", {**fields, "target": w.target(stage, [])})
        return
    rows, columns, c = computed
    sums = w.own(stage, "sums", "floats", rows * columns * c)
    body = f"{columns}, {c}, 0, NULL, {sums}, NULL, 0, 0, NULL, NULL, NULL, NULL"
    convolve(w, stage, "BYTES", {**fields, "target": "&" + w.constants.declare("bn_target", "target", body, 80)})
    pool = stage.pool
    described = pool_text(w, computed, w.shape(stage)[:2], (pool.kernel_size, pool.stride, pool.padding))
    w.uses.add("MAX")
    w.calls.append(f"bn_max_pool({sums}, {described}, {w.target(stage, [])});")


def _bytes(w: Writer, stage: Stage, source: Stage, sampled: Any) -> tuple[str, Three]:
    """Add the bytes that a convolution reads, with their border, unless they exist; their address and shape."""
    node, quantise, (rows, columns, c) = stage.node, stage.quantise, w.shape(source)
    assert isinstance(node, Int8)
    top, bottom, left, right = node.padding
    sh, sw = sampled
    taken = -(-rows // sh), -(-columns // sw)
    high, wide = taken[0] + top + bottom, taken[1] + left + right
    key = source.root, quantise and (quantise.step, quantise.zero), node.padding, sampled, (rows, columns, c)
    first = w.number[stage]
    address = w.arena.map(key, "bytes", high * wide * c, first, first)
    if key in w.with_bytes:
        return address, (high, wide, c)
    w.with_bytes.add(key)
    if any(node.padding):
        w.calls.append(f"for (int i = 0; i < {high * wide * c}; i++)\n        ({address})[i] = 0;")
    factor, zero = (np.float32(1), 0) if quantise is None else (quantise.factor, quantise.zero)
    body = f"{rows}, {columns}, {c}, {pair_text(sampled)}, 0, {wide * c}, {number(float(factor))}, {zero}"
    how = w.constants.declare("bn_bytes", "bytes", body, 40)
    place = f"{address} + {(top * wide + left) * c}"
    root = source.root.node
    if quantise is None and isinstance(root, Input) and root.pixels:
        w.uses.add("PIXELS")
        w.calls.append(f"bn_take_pixels({place}, pixels, &{how});")
    else:
        w.uses.add("QUANTISE")
        w.calls.append(f"bn_quantise({place}, {w.floats(source)}, &{how});")
    return address, (high, wide, c)


def _offsets(node: Int8, shape: Three, out: Three) -> tuple[list[list[Array]], list[int], list[int]]:
    """What is added to the sums, for each class of windows with the same taps inside the map; the class of each."""
    _, kh, kw, _ = node.filters
    rows = [_inside(i * node.stride[0] - node.padding[0], kh, shape[0]) for i in range(out[0])]
    columns = [_inside(i * node.stride[1] - node.padding[2], kw, shape[1]) for i in range(out[1])]
    row_kinds, column_kinds = list(dict.fromkeys(rows)), list(dict.fromkeys(columns))
    offsets = [[node.offsets(np.outer(r, c)) for c in column_kinds] for r in row_kinds]
    return offsets, [row_kinds.index(r) for r in rows], [column_kinds.index(c) for c in columns]


def _inside(place: int, window: int, size: int) -> tuple[bool, ...]:
    return tuple(0 <= place + i < size for i in range(window))
