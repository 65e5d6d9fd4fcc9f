"""Convolutions and dense layers of signs, levels and floats, as calls of ``bn_convolve``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...engine.binding import filters
from ...engine.stages import Stage
from ...graph import Conv, KbitConv, XnorConv
from ...graph.windows import signs_of
from .passes import pass_over, pool_text
from .weights import real_values, sign_bytes, sign_words
from .writer import Three, Writer, pair_text, step, three


def convolve(w: Writer, stage: Stage, kind: str, fields: dict[str, Any]) -> None:
    """Add a convolution; ``fields`` are those of ``bn_convolution`` that are not the same for all kinds."""
    node: Any = stage.node
    shape = filters(stage, (1, *w.shape(stage.inputs[0])))
    assert shape is not None
    w.uses.add(kind)
    rows, columns, elements = fields["map"]
    out_rows, out_columns, _ = three(stage.computed(*(w.shapes[each] for each in stage.inputs)))
    before = fields.get("before", (node.padding[0], node.padding[2]))
    body = ", ".join(
        str(value)
        for value in (
            f"BN_OF_{kind}",
            *(rows, columns, elements),
            *(out_rows, out_columns, shape[0]),
            *(pair_text(shape[1:3]), pair_text(fields.get("stride", node.stride)), pair_text(before)),
            shape[3],
            *fields.get("planes", (1, 1, 0, 0)),
            fields["x"],
            fields["weights"],
            *fields.get("bytes", ("NULL", "NULL", "NULL", "NULL", 1)),
            fields["target"],
        )
    )
    name = w.constants.declare("bn_convolution", "layer", body, 160)
    w.calls.append(f"bn_convolve(&{name});")


def alpha_step(w: Writer, node: Any) -> list[str]:
    return [] if node.alpha is None else [step("SCALE", w.vector(node.alpha, node.shape[0]))]


def real(w: Writer, stage: Stage) -> None:
    node: Any = stage.node
    shape = node.filters
    if isinstance(node, Conv):
        kind, weights = "FLOATS", real_values(node.weight.reshape(shape), w.sizes)
        first = [] if node.bias is None else [step("SHIFT", w.vector(node.bias, shape[0]))]
    else:
        kind, weights = "SIGNS", sign_bytes(node.weight_sign.reshape(shape) < 0, w.sizes)
        first = alpha_step(w, node)
    fields = {"map": w.shape(stage.inputs[0]), "x": w.floats(stage.inputs[0]), "weights": w.constants.array(weights)}
    convolve(w, stage, kind, {**fields, "target": w.target(stage, first)})


def xnor(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, XnorConv)
    shape = filters(stage, (1, *w.shape(source)))
    assert shape is not None
    negative = signs_of(node.signs, node.shape).reshape(shape) < 0
    first = [] if stage.most is not None else alpha_step(w, node)
    if node.use_k:
        first.append(_k(w, stage))
        address, (rows, columns, c), bordered = _packed_here(w, stage)
    else:
        address, _, _, (rows, columns, c), bordered = w.bits(source)
    fields = {
        "map": (rows, columns, w.sizes.words(c)),
        "x": address,
        "weights": w.constants.array(sign_words(negative, w.sizes)),
        "target": w.target(stage, first),
    }
    convolve(w, stage, "BITS", {**fields, **({"before": (0, 0)} if bordered else {})})


def _k(w: Writer, stage: Stage) -> str:
    """Add the map K, and return the step that multiplies by it."""
    node: Any = stage.node
    rows, columns, c = w.shape(stage.inputs[0])
    out_rows, out_columns, _ = w.shape(stage)
    w.uses.add("K")
    k = w.own(stage, "K", "floats", out_rows * out_columns)
    mean = w.own(stage, "mean", "floats", rows * columns)
    pool = pool_text(w, (rows, columns, c), (out_rows, out_columns), (node.filters[1:3], node.stride, node.padding))
    w.calls.append(f"bn_scale_map({k}, {mean}, {w.floats(stage.inputs[0])}, {c}, {pool});")
    return step("BY_PIXEL", k)


def _packed_here(w: Writer, stage: Stage) -> tuple[str, Three, bool]:
    """Signs of a map whose floats are needed as well, as for K."""
    node, (rows, columns, c) = stage.node, w.shape(stage.inputs[0])
    assert isinstance(node, XnorConv)
    top, bottom, left, right = node.padding if node.pad_value else (0, 0, 0, 0)
    high, wide, words = rows + top + bottom, columns + left + right, w.sizes.words(c)
    address = w.own(stage, "signs", "words", high * wide * words)
    if node.pad_value:
        w.uses.add("BORDER")
        w.calls.append(f"bn_fill_words({address}, {high * wide}, {c}, {int(node.pad_value < 0)});")
    smallest = float(np.nextafter(np.float32(0), np.float32(-1)))
    ends = [w.vector(end, c) for end in (-math.inf, smallest)]
    place = f"{address} + {top * wide * words + left * words}"
    body = f"{columns}, {c}, 0, NULL, NULL, {place}, {wide * words}, {words}, {ends[0]}, {ends[1]}, NULL, NULL"
    target = w.constants.declare("bn_target", "target", body, 80)
    pass_over(w, stage.inputs[0], (rows, columns, c), f"&{target}")
    return address, (high, wide, c), bool(node.pad_value)


def kbit(w: Writer, stage: Stage) -> None:
    node, (rows, columns, c) = stage.node, w.shape(stage.inputs[0])
    assert isinstance(node, KbitConv)
    shape, planes, m = node.filters, len(node.planes), node.act_bits
    lm, lk = (1 << m) - 1, (1 << planes) - 1
    negative = [sign_words(signs_of(plane, node.shape).reshape(shape) < 0, w.sizes) for plane in node.planes]
    top, bottom, left, right = node.padding if node.pad_value else (0, 0, 0, 0)
    high, wide, words = rows + top + bottom, columns + left + right, w.sizes.words(c)
    address = w.own(stage, "planes", "words", m * high * wide * words)
    if node.pad_value:
        w.uses.add("BORDER")
        w.calls.append(f"bn_fill_words({address}, {m * high * wide}, {c}, {int(node.pad_value < 0)});")
    place = f"{address} + {top * wide * words + left * words}"
    x = w.floats(stage.inputs[0])
    w.calls.append(f"bn_planes({place}, {high * wide * words}, {wide * words}, {x}, {rows}, {columns}, {c}, {m});")
    alpha = np.ones(shape[0], np.float32) if node.alpha is None else node.alpha
    first = [step("SCALE", w.vector(alpha / np.float32(lm * lk), shape[0]))]
    fields = {
        "map": (high, wide, words),
        "x": address,
        "weights": w.constants.array(np.stack(negative)),
        "planes": (m, planes, high * wide * words, negative[0].size),
        "target": w.target(stage, [*first, *([_k(w, stage)] if node.use_k else [])]),
    }
    convolve(w, stage, "PLANES", {**fields, **({"before": (0, 0)} if node.pad_value else {})})
