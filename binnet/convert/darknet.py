"""Networks of Darknet: ``NAME.cfg``, the sections of the network, and ``NAME.weights``, numbers without names.

The weights are, behind a header, float32 in the order of the layers: of a convolution biases, with batch normalisation
scales, means and variances, then weights (filters, channels, rows, columns); of a connected layer biases, weights, then
scales, means and variances. ``xnor=1`` binarises inputs and weights, ``binary=1`` the weights: +1 only where a value is
above 0, α is the mean absolute weight of a filter, and the border is 0. A normalisation divides by √σ² + 1e-6.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import PackedModel
from ..graph import (
    Add,
    BatchNorm,
    BwnConv,
    Clip,
    Concatenate,
    Conv,
    Flatten,
    GlobalAverage,
    MaxPool,
    PRelu,
    Relu,
    Reshape,
    Shift,
    Sigmoid,
    Sign,
    Softmax,
    Tanh,
    XnorConv,
)
from ..graph.graph import Float
from .builder import Builder, channels_last, packed_signs, rows_of_map
from .report import ConversionError, Imported, Options

MOST_TEXT, MOST_BYTES = 1 << 20, 1 << 31
MOST_SECTIONS = 2000
# Settings that a section may have; those that only training reads are among them.
KNOWN = {
    "convolutional": "batch_normalize filters size stride pad padding activation groups binary xnor flipped",
    "connected": "output activation batch_normalize",
    "maxpool": "size stride padding",
    "avgpool": "",
    "dropout": "probability",
    "softmax": "groups temperature",
    "cost": "type scale ratio",
    "shortcut": "from activation",
    "route": "layers",
    "activation": "activation",
}
KNOWN = {name: f"{keys} learning_rate stopbackward" for name, keys in KNOWN.items()}
KNOWN |= {"conv": KNOWN["convolutional"], "conn": KNOWN["connected"], "max": KNOWN["maxpool"], "avg": KNOWN["avgpool"]}
LONG = {"conv": "convolutional", "conn": "connected", "max": "maxpool", "avg": "avgpool", "soft": "softmax"}
KNOWN["soft"] = KNOWN["softmax"]


def read(source: Path, options: Options) -> Imported:
    """Read a network; ConversionError in one sentence when a file is damaged or has an unknown section."""
    path = Path(options.structure) if options.structure else source.with_suffix(".cfg")
    try:
        return _read(source, path, options)
    except OSError as error:
        raise ConversionError(f"cannot read {error.filename or source}: {error.strerror or error}") from error


def _read(source: Path, path: Path, options: Options) -> Imported:
    net, *sections = _sections(path)
    shape = options.input_shape or (net.number("height", 0), net.number("width", 0), net.number("channels", 0))
    if not all(shape):
        raise ConversionError(f"{path} does not say height, width and channels of an image; --input-shape says them")
    values = _Values(source)
    network = _Network(Builder(shape), values)
    for section in sections:
        network.add(section)
    values.end()
    # Darknet scales pixels to [0, 1] and does nothing else to them.
    if options.mean is None and options.std is None:
        options = replace(options, mean=(0.0,) * shape[2], std=(1.0,) * shape[2])
    graph = network.builder.graph()
    try:
        model = PackedModel(graph, options.info(source.name, "Darknet"))
    except ValueError as error:
        raise ConversionError(str(error)) from error
    return Imported(model, network.builder.report)


class _Section:
    """A section of the .cfg file: its kind, and its settings as text."""

    def __init__(self, kind: str, label: str) -> None:
        self.kind, self.label = LONG.get(kind, kind), label
        self.settings: dict[str, str] = {}

    def text(self, key: str, default: str = "") -> str:
        return self.settings.get(key, default)

    def number(self, key: str, default: int) -> int:
        given = self.text(key, str(default))
        if not given.isascii() or not given.removeprefix("-").isdigit() or len(given) > 9:
            raise ConversionError(f"{self.label}: {key} must be a whole number, got {given[:40]!r}")
        return int(given)

    def check(self) -> None:
        if self.kind not in KNOWN:
            raise ConversionError(f"{self.label}: binnet does not know sections of this kind")
        unknown = sorted(set(self.settings) - set(KNOWN[self.kind].split()))
        if unknown:
            raise ConversionError(f"{self.label}: binnet does not know the setting {unknown[0][:40]!r}")


def _sections(path: Path) -> list[_Section]:
    with path.open("rb") as file:
        data = file.read(MOST_TEXT + 1)
    if len(data) > MOST_TEXT:
        raise ConversionError(f"{path} is larger than {MOST_TEXT} bytes, which no .cfg file of Darknet is")
    found: list[_Section] = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        words = "".join(line.split())  # Darknet ignores all blanks
        if words.startswith("[") and words.endswith("]"):
            found.append(_Section(words[1:-1], f"{path.name}, line {number}, {words[:40]}"))
        elif words and words[0] not in "#;":
            key, equal, value = words.partition("=")
            if not found or not equal:
                raise ConversionError(f"{path}, line {number}: expected [section] or key=value, got {line[:40]!r}")
            found[-1].settings[key] = value
    if not found or found[0].kind not in ("net", "network") or not 2 <= len(found) <= MOST_SECTIONS:
        raise ConversionError(f"{path} is no network of Darknet: it must start with [net] and have 1 to 1,999 layers")
    return found


class _Values:
    """The numbers of a .weights file, taken one array after the other."""

    def __init__(self, path: Path) -> None:
        if path.stat().st_size > MOST_BYTES:
            raise ConversionError(f"{path} is larger than {MOST_BYTES:,} bytes")
        self.path, self.data, self.at = path, path.read_bytes(), 0
        major, minor, _ = self._header("<3i")
        # The number of images seen in training became wider with version 0.2.
        self._header("<Q" if major * 10 + minor >= 2 and major < 1000 and minor < 1000 else "<i")
        self.transposed = major > 1000 or minor > 1000

    def _header(self, form: str) -> tuple[Any, ...]:
        if self.at + struct.calcsize(form) > len(self.data):
            raise ConversionError(f"{self.path} ends within its header")
        self.at += struct.calcsize(form)
        return struct.unpack_from(form, self.data, self.at - struct.calcsize(form))

    def take(self, label: str, *shape: int) -> Float:
        count = int(np.prod([int(n) for n in shape], dtype=object))
        if self.at + 4 * count > len(self.data):
            raise ConversionError(f"{self.path} ends before the {count} numbers of {label}")
        array = np.frombuffer(self.data, "<f4", count, self.at).astype(np.float32).reshape(shape)
        self.at += 4 * count
        if not np.isfinite(array).all():
            raise ConversionError(f"{self.path}: the numbers of {label} are not finite")
        return array

    def end(self) -> None:
        if self.at != len(self.data):
            raise ConversionError(f"{self.path} has {len(self.data) - self.at} bytes more than the network takes")


class _Network:
    """Adds the sections to a builder."""

    def __init__(self, builder: Builder, values: _Values) -> None:
        self.builder, self.values = builder, values
        self.results: list[str] = []  # the node of each layer

    def add(self, section: _Section) -> None:
        section.check()
        try:
            getattr(self, f"_{section.kind}")(section)
        except ConversionError as error:
            text = str(error)
            raise ConversionError(text if section.label in text else f"{section.label}: {text}") from error
        self.results.append(self.builder.last)

    def _name(self, section: _Section) -> str:
        return f"{section.kind}{len(self.results)}"

    def _tell(self, section: _Section, became: str, note: str = "") -> None:
        self.builder.tell(self._name(section), section.kind, became, note)

    def _convolutional(self, s: _Section) -> None:
        name, build = self._name(s), self.builder
        if len(build.shape()) == 1:
            build.add(Reshape, f"{name}.map", shape=(1, 1, *build.shape()))
        filters, size, groups = s.number("filters", 1), s.number("size", 1), s.number("groups", 1)
        pad = size // 2 if s.number("pad", 0) else s.number("padding", 0)
        channels = build.shape()[2]
        xnor, binary = s.number("xnor", 0), s.number("binary", 0)
        if min(filters, size, groups) < 1 or channels % groups or (groups > 1 and (xnor or binary)):
            raise ConversionError(f"{filters} filters of size {size} in {groups} groups do not fit {channels} channels")
        bias, norm = self.values.take(s.label, filters), self._statistics(s, filters)
        weight = self.values.take(s.label, filters, channels // groups, size, size)
        if s.number("flipped", 0):
            weight = weight.reshape(-1, filters).T.reshape(weight.shape)
        weight = channels_last(weight)
        stride = s.number("stride", 1)
        window = {"shape": weight.shape, "stride": (stride, stride), "padding": (pad,) * 4}
        if xnor or binary:
            alpha = np.abs(weight).mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float32)
            one_bit = {**window, "signs": packed_signs(weight <= 0), "alpha": alpha}
            if xnor:
                self._above_zero(name)
            build.add(XnorConv if xnor else BwnConv, name, **one_bit)
        else:
            build.add(Conv, name, **window, weight=weight, groups=groups)
        kind = "XnorConv" if xnor else "BwnConv" if binary else "Conv"
        self._finish(s, bias, norm)
        note = "0 becomes -1; the border is 0" if xnor else "weights of 0 become -1" if binary else ""
        self._tell(s, f"{kind} {size}x{size}, {filters} filters", note)

    def _above_zero(self, name: str) -> None:
        # XnorConv maps 0 to +1, Darknet to -1; the threshold is the smallest number above 0.
        least = np.nextafter(np.zeros(1, np.float32), np.float32(1))
        self.builder.add(Sign, f"{name}.sign", threshold=least)

    def _statistics(self, s: _Section, count: int) -> list[Float] | None:
        return [self.values.take(s.label, count) for _ in range(3)] if s.number("batch_normalize", 0) else None

    def _finish(self, s: _Section, bias: Float, norm: list[Float] | None) -> None:
        """Add normalisation or bias, then the activation."""
        name = self._name(s)
        if norm:
            scale, variance = norm[0].astype(np.float64), norm[2].astype(np.float64)
            if (variance < 0).any():
                raise ConversionError("a variance is negative")
            factor = np.float32(scale / (np.sqrt(variance) + 1e-6))
            self.builder.add(BatchNorm, f"{name}.norm", mean=norm[1], factor=factor, shift=bias)
        else:
            self.builder.add(Shift, f"{name}.bias", shift=bias)
        self._activate(s, "logistic")

    def _activate(self, s: _Section, default: str) -> None:
        word, name = s.text("activation", default), f"{self._name(s)}.activation"
        simple = {"relu": Relu, "logistic": Sigmoid, "tanh": Tanh}
        slopes = {"leaky": 0.1, "relie": 0.01}
        if word in simple:
            self.builder.add(simple[word], name)
        elif word in slopes:
            self.builder.add(PRelu, name, slope=np.full(1, slopes[word], np.float32))
        elif word == "hardtan":
            self.builder.add(Clip, name, low=-1.0, high=1.0)
        elif word != "linear":
            raise ConversionError(f"binnet does not know the activation {word[:40]!r}")

    def _connected(self, s: _Section) -> None:
        shape, outputs, name = self.builder.shape(), s.number("output", 1), self._name(s)
        inputs = int(np.prod(shape))
        if outputs < 1:
            raise ConversionError(f"output must be at least 1, got {outputs}")
        bias = self.values.take(s.label, outputs)
        if self.values.transposed:
            weight = np.ascontiguousarray(self.values.take(s.label, inputs, outputs).T)
        else:
            weight = self.values.take(s.label, outputs, inputs)
        norm = self._statistics(s, outputs)
        if len(shape) == 3:
            self.builder.add(Flatten, f"{name}.flatten")
            weight = rows_of_map(weight, shape)
        self.builder.add(Conv, name, shape=weight.shape, stride=(1, 1), padding=(0,) * 4, weight=weight)
        self._finish(s, bias, norm)
        self._tell(s, f"Conv (dense), {outputs} outputs")

    def _maxpool(self, s: _Section) -> None:
        stride = s.number("stride", 1)
        size = s.number("size", stride)
        pad = s.number("padding", size - 1)
        # Darknet's padding is that of both sides together; the smaller half is in front.
        sides = pad // 2, pad - pad // 2
        settings = {"kernel_size": (size, size), "stride": (stride, stride), "padding": sides * 2}
        self.builder.add(MaxPool, self._name(s), **settings)
        self._tell(s, f"MaxPool {size}x{size}")

    def _avgpool(self, s: _Section) -> None:
        self.builder.add(GlobalAverage, self._name(s))
        self._tell(s, "GlobalAverage")

    def _softmax(self, s: _Section) -> None:
        if s.number("groups", 1) != 1 or s.text("temperature", "1") not in ("1", "1.0"):
            raise ConversionError("binnet knows softmax of one group and temperature 1 only")
        if len(self.builder.shape()) == 3:
            self.builder.add(Flatten, f"{self._name(s)}.flatten")
        self.builder.add(Softmax, self._name(s))
        self._tell(s, "Softmax")

    def _dropout(self, s: _Section) -> None:
        self.builder.leave_out(self._name(s), "dropout does nothing outside training")

    def _cost(self, s: _Section) -> None:
        self.builder.leave_out(self._name(s), "a loss is for training")

    def _layer(self, text: str) -> str:
        """The node of a layer, given by its number, or from the present one backwards."""
        word = text.lstrip("-")
        index = int(text) if word.isascii() and word.isdigit() and len(text) - len(word) < 2 and len(text) < 9 else None
        at = None if index is None else index + len(self.results) if index < 0 else index
        if at is None or not 0 <= at < len(self.results):
            raise ConversionError(f"there is no layer {text[:40]!r} in front of it")
        return self.results[at]

    def _shortcut(self, s: _Section) -> None:
        other = self._layer(s.text("from"))
        if self.builder.shape() != self.builder.shape(other):
            raise ConversionError("binnet knows shortcuts between maps of one size only")
        self.builder.add(Add, self._name(s), self.builder.last, other)
        self._activate(s, "linear")
        self._tell(s, "Add")

    def _route(self, s: _Section) -> None:
        names = [self._layer(word) for word in s.text("layers").split(",")]
        if len(names) > 1:
            self.builder.add(Concatenate, self._name(s), *names)
        self.builder.last = names[0] if len(names) == 1 else self.builder.last
        self._tell(s, "Concatenate" if len(names) > 1 else "the same map")

    def _activation(self, s: _Section) -> None:
        self._activate(s, "linear")
        self._tell(s, s.text("activation", "linear"))
