"""From the sections of a Darknet network to nodes."""

from __future__ import annotations

import numpy as np

from ...graph import (
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
from ...graph.graph import Float
from ..builder import Builder, channels_last, packed_signs, rows_of_map
from ..report import ConversionError
from .files import Section, Values


class Network:
    """Adds the sections to a builder."""

    def __init__(self, builder: Builder, values: Values) -> None:
        self.builder, self.values = builder, values
        self.results: list[str] = []  # the node of each layer

    def add(self, section: Section) -> None:
        section.check()
        try:
            getattr(self, f"_{section.kind}")(section)
        except ConversionError as error:
            text = str(error)
            raise ConversionError(text if section.label in text else f"{section.label}: {text}") from error
        self.results.append(self.builder.last)

    def _name(self, section: Section) -> str:
        return f"{section.kind}{len(self.results)}"

    def _tell(self, section: Section, became: str, note: str = "") -> None:
        self.builder.tell(self._name(section), section.kind, became, note)

    def _convolutional(self, s: Section) -> None:
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
        notes = {
            "XnorConv": "0 becomes -1; the border is 0",
            "BwnConv": "weights of 0 become -1; as Darknet on a GPU, which on a CPU takes the real weights",
        }
        self._tell(s, f"{kind} {size}x{size}, {filters} filters", notes.get(kind, ""))

    def _above_zero(self, name: str) -> None:
        # XnorConv maps 0 to +1, Darknet to -1; the threshold is the smallest number above 0.
        least = np.nextafter(np.zeros(1, np.float32), np.float32(1))
        self.builder.add(Sign, f"{name}.sign", threshold=least)

    def _statistics(self, s: Section, count: int) -> list[Float] | None:
        return [self.values.take(s.label, count) for _ in range(3)] if s.number("batch_normalize", 0) else None

    def _finish(self, s: Section, bias: Float, norm: list[Float] | None) -> None:
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

    def _activate(self, s: Section, default: str) -> None:
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

    def _connected(self, s: Section) -> None:
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

    def _maxpool(self, s: Section) -> None:
        stride = s.number("stride", 1)
        size = s.number("size", stride)
        pad = s.number("padding", size - 1)
        # Darknet's padding is that of both sides together; the smaller half is in front.
        sides = pad // 2, pad - pad // 2
        settings = {"kernel_size": (size, size), "stride": (stride, stride), "padding": sides * 2}
        self.builder.add(MaxPool, self._name(s), **settings)
        self._tell(s, f"MaxPool {size}x{size}")

    def _avgpool(self, s: Section) -> None:
        self.builder.add(GlobalAverage, self._name(s))
        self._tell(s, "GlobalAverage")

    def _softmax(self, s: Section) -> None:
        if s.number("groups", 1) != 1 or s.text("temperature", "1") not in ("1", "1.0"):
            raise ConversionError("binnet knows softmax of one group and temperature 1 only")
        shape = self.builder.shape()
        if len(shape) == 3:
            # Its values would have another order here.
            if shape[:2] != (1, 1):
                raise ConversionError(f"binnet knows softmax of one pixel only, got {shape[0]}x{shape[1]}")
            self.builder.add(Flatten, f"{self._name(s)}.flatten")
        self.builder.add(Softmax, self._name(s))
        self._tell(s, "Softmax")

    def _dropout(self, s: Section) -> None:
        self.builder.leave_out(self._name(s), "dropout does nothing outside training")

    def _cost(self, s: Section) -> None:
        self.builder.leave_out(self._name(s), "a loss is for training")

    def _layer(self, text: str) -> str:
        """The node of a layer, given by its number, or from the present one backwards."""
        word = text.lstrip("-")
        index = int(text) if word.isascii() and word.isdigit() and len(text) - len(word) < 2 and len(text) < 9 else None
        at = None if index is None else index + len(self.results) if index < 0 else index
        if at is None or not 0 <= at < len(self.results):
            raise ConversionError(f"there is no layer {text[:40]!r} in front of it")
        return self.results[at]

    def _shortcut(self, s: Section) -> None:
        other = self._layer(s.text("from"))
        if self.builder.shape() != self.builder.shape(other):
            raise ConversionError("binnet knows shortcuts between maps of one size only")
        self.builder.add(Add, self._name(s), self.builder.last, other)
        self._activate(s, "linear")
        self._tell(s, "Add")

    def _route(self, s: Section) -> None:
        names = [self._layer(word) for word in s.text("layers").split(",")]
        if len(names) > 1:
            self.builder.add(Concatenate, self._name(s), *names)
        self.builder.last = names[0] if len(names) == 1 else self.builder.last
        self._tell(s, "Concatenate" if len(names) > 1 else "the same map")

    def _activation(self, s: Section) -> None:
        self._activate(s, "linear")
        self._tell(s, s.text("activation", "linear"))
