"""Convolutions and dense layers of signs, levels and floats, as calls of ``bn_convolve``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...engine.binding import filters
from ...engine.stages import Stage
from ...graph import Conv, KbitConv, XnorConv
from ...graph.windows import signs_of
from .passes import pass_over, pool_text
from .weights import real_values, sign_bytes, sign_words
from .writer import BitMap, Three, Writer, listed, step, three

Two = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """The fields of ``bn_convolution`` (``runtime/convolve.c``), those that are not the same in all kinds.

    Attributes
    ----------
    kind : str
        What is multiplied: BITS, PLANES, FLOATS, SIGNS or BYTES.
    map : (rows, columns, elements of a pixel)
        What is read.
    filters : (O, KH, KW, C)
    stride, before : (vertical, horizontal)
        ``before`` is the border above and to the left that is not part of the map.
    x, weights, target : str
        C expressions.
    planes : (of the input, of the weights, words from plane to plane of each)
    added : (scale, tables of offsets, class of each row, of each column, classes of columns)
    tap_sums : (bias, zero, the map inside of its border), or none
        In place of the tables.
    """

    kind: str
    map: Three
    filters: tuple[int, ...]
    stride: Two
    before: Two
    x: str
    weights: str
    target: str
    planes: tuple[int, int, int, int] = (1, 1, 0, 0)
    added: tuple[Any, ...] = ("NULL", "NULL", "NULL", "NULL", 1)
    tap_sums: tuple[Any, ...] = ("NULL", 0.0, "{0, 0, 0, 0}")

    def add(self, w: Writer, out: Two) -> None:
        """Add the call that computes a map of ``out`` rows and columns."""
        w.uses.add(self.kind)
        o, kh, kw, c = self.filters
        windows = (listed(kh, kw), listed(*self.stride), listed(*self.before))
        sums = self.tap_sums if "TAP_SUMS" in w.uses else ()
        body = (f"BN_OF_{self.kind}", *self.map, *out, o, *windows, c, *self.planes, self.x, self.weights, *self.added)
        name = w.constants.declare("bn_convolution", ", ".join(map(str, (*body, *sums, self.target))))
        w.calls.append(f"bn_convolve(&{name});")


def size_of(w: Writer, stage: Stage) -> Two:
    """Rows and columns of what a stage's node computes, before it is pooled."""
    return three(stage.computed(*(w.shapes[each] for each in stage.inputs)))[:2]


def real(w: Writer, stage: Stage) -> None:
    """Floats by floats, or by signs."""
    node: Any = stage.node
    shape, source = node.filters, stage.inputs[0]
    if isinstance(node, Conv):
        kind, weights = "FLOATS", real_values(node.weight.reshape(shape), w.sizes)
        first = [] if node.bias is None else [step("SHIFT", w.vector(node.bias, shape[0]))]
    else:
        kind, weights = "SIGNS", sign_bytes(node.weight_sign.reshape(shape) < 0, w.sizes)
        first = _alpha(w, node)
    x, held, target = w.floats(source), w.constants.array(weights), w.target(stage, first)
    before = node.padding[0], node.padding[2]
    Convolution(kind, w.shape(source), shape, node.stride, before, x, held, target).add(w, size_of(w, stage))


def xnor(w: Writer, stage: Stage) -> None:
    """Signs by signs (Eq. 11)."""
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, XnorConv)
    shape = filters(stage, (1, *w.shape(source)))
    assert shape is not None
    negative = signs_of(node.signs, node.shape).reshape(shape) < 0
    first = [] if stage.most is not None else _alpha(w, node)
    if node.use_k:
        first.append(_scale_map(w, stage))
    bits = _packed_here(w, stage) if node.use_k else w.bits(source)
    x, (rows, columns, c) = bits.address, bits.shape
    if stage.flat and w.sizes.words(rows * columns * c) < rows * columns * bits.words:
        # Channels that fill their words badly: without gaps the weights take fewer words.
        x = _flattened(w, stage, bits)
        rows, columns, c = 1, 1, rows * columns * c
        negative = negative.reshape(len(negative), 1, 1, c)
    held, target = w.constants.array(sign_words(negative, w.sizes)), w.target(stage, first)
    read, before = (rows, columns, w.sizes.words(c)), _before(node, bits)
    Convolution("BITS", read, negative.shape, node.stride, before, x, held, target).add(w, size_of(w, stage))


def kbit(w: Writer, stage: Stage) -> None:
    """Levels by levels (section 3.2): a product of signs for each pair of planes."""
    node, (rows, columns, c) = stage.node, w.shape(stage.inputs[0])
    assert isinstance(node, KbitConv)
    k, m = len(node.planes), node.act_bits
    negative = [sign_words(signs_of(each, node.shape).reshape(node.filters) < 0, w.sizes) for each in node.planes]
    bits = w.own_bits(stage, planes=m)
    w.fill_border(bits, node, planes=m)
    sizes = f"{rows}, {columns}, {c}, {m}"
    w.calls.append(f"bn_planes({bits.inside}, {bits.size}, {bits.row}, {w.floats(stage.inputs[0])}, {sizes});")
    alpha = np.ones(node.shape[0], np.float32) if node.alpha is None else node.alpha
    levels = np.float32(((1 << m) - 1) * ((1 << k) - 1))
    first = [step("SCALE", w.vector(alpha / levels, node.shape[0]))]
    target = w.target(stage, [*first, *([_scale_map(w, stage)] if node.use_k else [])])
    held, read = w.constants.array(np.stack(negative)), (*bits.shape[:2], bits.words)
    before, planes = _before(node, bits), (m, k, bits.size, negative[0].size)
    layer = Convolution("PLANES", read, node.filters, node.stride, before, bits.address, held, target, planes)
    layer.add(w, size_of(w, stage))


def _alpha(w: Writer, node: Any) -> list[str]:
    """The step that multiplies by the scales α (Eq. 6); none for scales of 1."""
    return [] if node.alpha is None else [step("SCALE", w.vector(node.alpha, node.shape[0]))]


def _before(node: Any, bits: BitMap) -> Two:
    """The border above and to the left that is not part of a bit map."""
    return node.padding[0] - bits.border[0], node.padding[2] - bits.border[2]


def _flattened(w: Writer, stage: Stage, bits: BitMap) -> str:
    """Add a pass that takes the unused bits out of a bit map; the address of its result."""
    rows, columns, c = bits.shape
    w.uses.add("FLAT_BITS")
    flat = w.own(stage, "flat", "words", w.sizes.words(rows * columns * c))
    w.calls.append(f"bn_flatten_bits({flat}, {bits.address}, {rows * columns}, {c});")
    return flat


def _scale_map(w: Writer, stage: Stage) -> str:
    """Add the map K (Eq. 11), and return the step that multiplies by it."""
    node: Any = stage.node
    shape, out = w.shape(stage.inputs[0]), size_of(w, stage)
    w.uses.add("K")
    k = w.own(stage, "K", "floats", math.prod(out))
    mean = w.own(stage, "mean", "floats", shape[0] * shape[1])
    pool = pool_text(w, shape, out, (node.filters[1:3], node.stride, node.padding))
    w.calls.append(f"bn_scale_map({k}, {mean}, {w.floats(stage.inputs[0])}, {shape[2]}, {pool});")
    return step("BY_PIXEL", k)


def _packed_here(w: Writer, stage: Stage) -> BitMap:
    """Add a pass that packs the signs of a map whose floats are needed as well, as for K."""
    shape = w.shape(stage.inputs[0])
    bits = w.own_bits(stage)
    w.fill_border(bits, stage.node)
    smallest = np.nextafter(np.float32(0), np.float32(-1))
    low, high = (w.vector(end, shape[2]) for end in (-math.inf, smallest))
    pass_over(w, stage.inputs[0], shape, w.plain_target(shape[1:], [], bits, low=low, high=high))
    return bits
