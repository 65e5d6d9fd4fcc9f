"""From the engine's stages to C: one function for each kind of stage, which adds constants, maps and calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...engine.binding import filters
from ...engine.rewrites import is_grouped
from ...engine.stages import Identity, Stage, Stages
from ...graph import (
    Add,
    AvgPool,
    BatchNorm,
    BwnConv,
    Clip,
    Concatenate,
    Constant,
    Conv,
    Divide,
    GlobalAverage,
    Input,
    Int8BwnConv,
    Int8Conv,
    KbitConv,
    MaxPool,
    Multiply,
    Pad,
    PRelu,
    Quantise,
    QuantiseLinear,
    Relu,
    Scale,
    Shift,
    Sigmoid,
    Sign,
    Softmax,
    Tanh,
    XnorConv,
)
from ...graph.graph import Array, Shape
from ...graph.int8 import Int8
from ...graph.windows import signs_of
from ..report import ConversionError
from .arena import Arena
from .text import Constants, number
from .weights import Sizes, real_values, sign_bytes, sign_words, to_words, whole_values

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
        self._shapes = stages.shapes_for(own)
        self._number = {stage: i for i, stage in enumerate(stages.stages)}
        self._last = self._last_reads()
        self._with_bytes: set[Any] = set()
        self._image_is_float = False
        for stage in stages.stages[1:]:
            self._write(stage)

    def _write(self, stage: Stage) -> None:
        if stage.is_view or isinstance(stage.node, Constant):
            return
        write = _grouped if is_grouped(stage) else _WRITERS.get(type(stage.node))
        if write is None:
            raise ConversionError(f"{stage.name}: nodes of the kind {stage.node.kind} cannot be exported as C")
        self.calls.append(f"/* {stage.name}: {stage.node.kind} */".replace("*/ */", "* / */"))
        write(self, stage)

    def _last_reads(self) -> dict[Stage, int]:
        last = dict[Stage, int]()
        for stage in self._stages.stages:
            for read in stage.reads:
                last[read.root] = self._number[stage]
        last[self._stages.result.root] = len(self._number)
        return last

    # ---- maps

    def shape(self, stage: Stage) -> Three:
        """(rows, columns, channels), with 1, 1 for a row of features."""
        return _three(self._shapes[stage])

    def floats(self, stage: Stage) -> str:
        """The address of a stage's map of floats."""
        root = stage.root
        if isinstance(root.node, Constant):
            return self.constants.array(np.append(self.padded(root.node.array), np.zeros(self.sizes.real, np.float32)))
        if isinstance(root.node, Input):
            self._take_image(root)
        return self._map(root, "floats", math.prod(self._shapes[root]), root)

    def _map(self, key: Any, part: str, size: int, stage: Stage) -> str:
        first = self._number[stage]
        return self.arena.map((key, part), part, size, first, self._last.get(stage, first))

    def own(self, stage: Stage, what: str, part: str, size: int) -> str:
        """The address of memory that only one stage uses."""
        first = self._number[stage]
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
        first = self._number[stage]
        last = first if stage.bits_for is None else self._number[stage.bits_for]
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
        body = f"{columns}, {channels}, {len(steps)}, {listed}, {floats}, {bits}, {row}, {words}, {low}, {high}, {most}, {flips}"
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


def _three(shape: Shape) -> Three:
    h, w, c = shape if len(shape) == 3 else (1, 1, *shape)
    return h, w, c


def _pair(values: Any) -> str:
    return f"{{{values[0]}, {values[1]}}}"


# ---------------------------------------------------------------------------------------------- convolutions


def _convolve(w: Writer, stage: Stage, kind: str, fields: dict[str, Any]) -> None:
    """Add a convolution; ``fields`` are those of ``bn_convolution`` that are not the same for all kinds."""
    node: Any = stage.node
    shape = filters(stage, (1, *w.shape(stage.inputs[0])))
    assert shape is not None
    w.uses.add(kind)
    rows, columns, elements = fields["map"]
    out_rows, out_columns, _ = _three(stage.computed(*(w._shapes[each] for each in stage.inputs)))
    before = fields.get("before", (node.padding[0], node.padding[2]))
    body = ", ".join(
        str(value)
        for value in (
            f"BN_OF_{kind}",
            *(rows, columns, elements),
            *(out_rows, out_columns, shape[0]),
            *(_pair(shape[1:3]), _pair(fields.get("stride", node.stride)), _pair(before)),
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


def _alpha(w: Writer, node: Any) -> list[str]:
    return [] if node.alpha is None else [step("SCALE", w.vector(node.alpha, node.shape[0]))]


def _real(w: Writer, stage: Stage) -> None:
    node: Any = stage.node
    shape = node.filters
    if isinstance(node, Conv):
        kind, weights = "FLOATS", real_values(node.weight.reshape(shape), w.sizes)
        first = [] if node.bias is None else [step("SHIFT", w.vector(node.bias, shape[0]))]
    else:
        kind, weights = "SIGNS", sign_bytes(node.weight_sign.reshape(shape) < 0, w.sizes)
        first = _alpha(w, node)
    fields = {"map": w.shape(stage.inputs[0]), "x": w.floats(stage.inputs[0]), "weights": w.constants.array(weights)}
    _convolve(w, stage, kind, {**fields, "target": w.target(stage, first)})


def _xnor(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, XnorConv)
    shape = filters(stage, (1, *w.shape(source)))
    assert shape is not None
    negative = signs_of(node.signs, node.shape).reshape(shape) < 0
    first = [] if stage.most is not None else _alpha(w, node)
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
    _convolve(w, stage, "BITS", {**fields, **({"before": (0, 0)} if bordered else {})})


def _k(w: Writer, stage: Stage) -> str:
    """Add the map K, and return the step that multiplies by it."""
    node: Any = stage.node
    rows, columns, c = w.shape(stage.inputs[0])
    out_rows, out_columns, _ = w.shape(stage)
    w.uses.add("K")
    k = w.own(stage, "K", "floats", out_rows * out_columns)
    mean = w.own(stage, "mean", "floats", rows * columns)
    pool = _pool(w, (rows, columns, c), (out_rows, out_columns), (node.filters[1:3], node.stride, node.padding))
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
    _pass(w, stage.inputs[0], (rows, columns, c), f"&{target}")
    return address, (high, wide, c), bool(node.pad_value)


def _kbit(w: Writer, stage: Stage) -> None:
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
    _convolve(w, stage, "PLANES", {**fields, **({"before": (0, 0)} if node.pad_value else {})})


def _int8(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, Int8)
    sampled = node.stride if node.filters[1:3] == (1, 1) and not any(node.padding) else (1, 1)
    address, shape = _bytes(w, stage, source, sampled)
    stride = (1, 1) if sampled == node.stride else node.stride
    computed = _three(stage.computed(*(w._shapes[each] for each in stage.inputs)))
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
        _convolve(w, stage, "BYTES", {**fields, "target": w.target(stage, [])})
        return
    rows, columns, c = computed
    sums = w.own(stage, "sums", "floats", rows * columns * c)
    body = f"{columns}, {c}, 0, NULL, {sums}, NULL, 0, 0, NULL, NULL, NULL, NULL"
    _convolve(w, stage, "BYTES", {**fields, "target": "&" + w.constants.declare("bn_target", "target", body, 80)})
    pool = stage.pool
    described = _pool(w, computed, w.shape(stage)[:2], (pool.kernel_size, pool.stride, pool.padding))
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
    first = w._number[stage]
    address = w.arena.map(key, "bytes", high * wide * c, first, first)
    if key in w._with_bytes:
        return address, (high, wide, c)
    w._with_bytes.add(key)
    if any(node.padding):
        w.calls.append(f"for (int i = 0; i < {high * wide * c}; i++)\n        ({address})[i] = 0;")
    factor, zero = (np.float32(1), 0) if quantise is None else (quantise.factor, quantise.zero)
    body = f"{rows}, {columns}, {c}, {_pair(sampled)}, 0, {wide * c}, {number(float(factor))}, {zero}"
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


# ---------------------------------------------------------------------------------------------- passes over maps


def _pool(w: Writer, shape: Three, out: tuple[int, int], window: Any) -> str:
    """The address of a description of windows on a map."""
    size, stride, padding = window
    rows, columns, c = shape
    body = (
        f"{rows}, {columns}, {c}, {out[0]}, {out[1]}, {_pair(size)}, {_pair(stride)}, {_pair((padding[0], padding[2]))}"
    )
    w.uses.add("POOL")
    return "&" + w.constants.declare("bn_pool", "pool", body, 44)


def _pass(w: Writer, source: Stage, shape: Three, target: str) -> None:
    w.uses.add("MAX")
    pool = _pool(w, shape, shape[:2], ((1, 1), (1, 1), (0, 0)))
    w.calls.append(f"bn_max_pool({w.floats(source)}, {pool}, {target});")


def _max_pool(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    one = ((1, 1), (1, 1), (0, 0, 0, 0))
    window = (node.kernel_size, node.stride, node.padding) if isinstance(node, MaxPool) else one
    pool = _pool(w, w.shape(source), w.shape(stage)[:2], window)
    if stage.flips is not None:
        w.uses.add("POOLED_BITS")
        address, row, _, (_, _, c), _ = w.bits(source)
        w.calls.append(f"bn_pool_bits({address}, {row}, {w.sizes.words(c)}, {pool}, {w.target(stage, [])});")
        return
    w.uses.add("MAX")
    w.calls.append(f"bn_max_pool({w.floats(source)}, {pool}, {w.target(stage, [])});")


def _avg_pool(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, AvgPool)
    w.uses.add("AVERAGE")
    pool = _pool(w, w.shape(source), w.shape(stage)[:2], (node.kernel_size, node.stride, node.padding))
    w.calls.append(f"bn_avg_pool({w.floats(stage)}, {w.floats(source)}, {pool});")


def _average(w: Writer, stage: Stage) -> None:
    h, wide, c = w.shape(stage.inputs[0])
    w.uses.add("GLOBAL")
    w.calls.append(f"bn_global_average({w.floats(stage)}, {w.floats(stage.inputs[0])}, {h * wide}, {c});")


def _grouped(w: Writer, stage: Stage) -> None:
    node, source = stage.node, stage.inputs[0]
    assert isinstance(node, Conv)
    w.uses.add("GROUPS")
    window = (node.filters[1:3], node.stride, node.padding)
    pool = _pool(w, w.shape(source), w.shape(stage)[:2], window)
    bias = "NULL" if node.bias is None else w.constants.array(node.bias)
    weight = w.constants.array(node.weight)
    sizes = f"{node.groups}, {node.shape[3]}, {pool}, {node.shape[0]}"
    w.calls.append(f"bn_grouped({w.floats(stage)}, {w.floats(source)}, {weight}, {bias}, {sizes});")


def _joined(w: Writer, stage: Stage) -> None:
    node, out = stage.node, w._shapes[stage]
    assert isinstance(node, Concatenate)
    w.uses.add("JOIN")
    blocks, pitch, done = math.prod(out[: node.axis % len(out)]), math.prod(out[node.axis % len(out) :]), 0
    for each in stage.inputs:
        size = math.prod(w._shapes[each][node.axis % len(out) :])
        w.calls.append(f"bn_join({w.floats(stage)} + {done}, {w.floats(each)}, {blocks}, {size}, {pitch});")
        done += size


def _combined(w: Writer, stage: Stage) -> None:
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


def _pad(w: Writer, stage: Stage) -> None:
    node, (rows, columns, c) = stage.node, w.shape(stage.inputs[0])
    assert isinstance(node, Pad)
    w.uses |= {"FILL", "JOIN"}
    high, wide, _ = w.shape(stage)
    out = w.floats(stage)
    w.calls.append(f"bn_fill({out}, {high * wide * c}, {number(node.value)});")
    place = (node.padding[0] * wide + node.padding[2]) * c
    w.calls.append(f"bn_join({out} + {place}, {w.floats(stage.inputs[0])}, {rows}, {columns * c}, {wide * c});")


def _softmax(w: Writer, stage: Stage) -> None:
    h, wide, c = w.shape(stage)
    w.uses.add("SOFTMAX")
    w.calls.append(f"bn_softmax({w.floats(stage)}, {w.floats(stage.inputs[0])}, {h * wide}, {c});")


def _of_values(use: str, function: str, more: Callable[[Any], str]) -> Callable[[Writer, Stage], None]:
    """A function of single values: ``function(out, x, count, more)``."""

    def write(w: Writer, stage: Stage) -> None:
        w.uses.add(use)
        count = math.prod(w.shape(stage))
        w.calls.append(f"{function}({w.floats(stage)}, {w.floats(stage.inputs[0])}, {count}{more(stage.node)});")

    return write


_WRITERS: dict[type[Any], Callable[[Writer, Stage], None]] = {
    Conv: _real,
    BwnConv: _real,
    XnorConv: _xnor,
    KbitConv: _kbit,
    Int8Conv: _int8,
    Int8BwnConv: _int8,
    MaxPool: _max_pool,
    Identity: _max_pool,
    AvgPool: _avg_pool,
    GlobalAverage: _average,
    Concatenate: _joined,
    Add: _combined,
    Multiply: _combined,
    Divide: _combined,
    Pad: _pad,
    Softmax: _softmax,
    Tanh: _of_values("TANH", "bn_tanh", lambda node: ""),
    Sigmoid: _of_values("SIGMOID", "bn_sigmoid", lambda node: ""),
    Clip: _of_values("CLIP", "bn_clip", lambda node: f", {number(node.low)}, {number(node.high)}"),
    Quantise: _of_values("LEVELS", "bn_levels", lambda node: f", {node.bits}"),
    QuantiseLinear: _of_values("ROUND", "bn_round", lambda node: f", {number(float(node.factor))}, {node.zero}"),
}
