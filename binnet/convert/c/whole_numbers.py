"""Convolutions in eight bits: the bytes that they read, and what is added to their sums."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ...engine.stages import Stage
from ...graph import Input
from ...graph.graph import Array
from ...graph.int8 import Int8
from .convolutions import Convolution, Two, size_of
from .passes import largest, pool_text
from .text import number
from .weights import whole_values
from .writer import Three, Writer, listed


def int8(w: Writer, stage: Stage) -> None:
    """Bytes by whole numbers or signs; sums that are pooled become a map, and the pooling a pass of its own."""
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, Int8)
    sampled = node.stride if node.filters[1:3] == (1, 1) and not any(node.padding) else (1, 1)
    x, read = _bytes(w, stage, source, sampled)
    out = size_of(w, stage)
    held = w.constants.array(whole_values(node.whole_weight.reshape(node.filters), w.sizes))
    added, pool = _added(w, node, w.shape(source), out, sampled), stage.pool
    sums = "" if pool is None else w.own(stage, "sums", "floats", math.prod(out) * node.shape[0])
    target = w.target(stage, []) if pool is None else w.plain_target((out[1], node.shape[0]), [], floats=sums)
    stride = (1, 1) if sampled == node.stride else node.stride
    layer = Convolution("BYTES", read, node.filters, stride, (0, 0), x, held, target)
    replace(layer, **added).add(w, out)
    if pool is not None:
        window = (pool.kernel_size, pool.stride, pool.padding)
        largest(w, sums, pool_text(w, (*out, node.shape[0]), w.shape(stage)[:2], window), w.target(stage, []))


def _added(w: Writer, node: Int8, shape: Three, out: Two, sampled: Any) -> dict[str, Any]:
    """The fields of what is added to the sums: tables, or for small processors what they are computed from."""
    scale = w.vector(node.factors, node.shape[0])
    if "TAP_SUMS" in w.uses:
        bias = np.zeros(node.shape[0], np.float32) if node.bias is None else node.bias
        inside = *(-(-n // s) for n, s in zip(shape, sampled, strict=False)), node.padding[0], node.padding[2]
        sums = (w.vector(bias, node.shape[0]), float(node.zero[0]), listed(*inside))
        return {"added": (scale, "NULL", "NULL", "NULL", 1), "tap_sums": sums}
    offsets, row_class, column_class = _offsets(node, shape, out)
    vectors = ", ".join(w.constants.array(w.padded(vector)) for row in offsets for vector in row)
    table = w.constants.declare("float *const[]", vectors, len(offsets) * len(offsets[0]))
    classes = [w.constants.array(np.array(each, np.uint16)) for each in (row_class, column_class)]
    return {"added": (scale, table, *classes, len(offsets[0]))}


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
    body = f"{rows}, {columns}, {c}, {listed(*sampled)}, {wide * c}, {number(float(factor))}, {zero}"
    how = w.constants.declare("bn_bytes", body)
    place = f"{address} + {(top * wide + left) * c}"
    root = source.root.node
    if quantise is None and isinstance(root, Input) and root.pixels:
        w.uses.add("PIXELS")
        w.calls.append(f"bn_take_pixels({place}, pixels, &{how});")
    else:
        w.uses.add("QUANTISE")
        w.calls.append(f"bn_quantise({place}, {w.floats(source)}, &{how});")
    return address, (high, wide, c)


def _offsets(node: Int8, shape: Three, out: Two) -> tuple[list[list[Array]], list[int], list[int]]:
    """What is added to the sums, for each class of windows with the same taps inside the map; the class of each."""
    _, kh, kw, _ = node.filters
    rows = [_inside(i * node.stride[0] - node.padding[0], kh, shape[0]) for i in range(out[0])]
    columns = [_inside(i * node.stride[1] - node.padding[2], kw, shape[1]) for i in range(out[1])]
    row_kinds, column_kinds = list(dict.fromkeys(rows)), list(dict.fromkeys(columns))
    offsets = [[node.offsets(np.outer(r, c)) for c in column_kinds] for r in row_kinds]
    return offsets, [row_kinds.index(r) for r in rows], [column_kinds.index(c) for c in columns]


def _inside(place: int, window: int, size: int) -> tuple[bool, ...]:
    return tuple(0 <= place + i < size for i in range(window))
