"""Nodes that look at whole maps or several: pooling, other shapes, borders, sums, constants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .nodes import MOST_PADDING, Float, Four, Node, Shape, described, kind, text, window_output
from .windows import bordered, patches

# ------------------------------------------------------------------------------------------- pooling


@dataclass(frozen=True, eq=False)
class _Pool(Node):
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: Four  # (top, bottom, left, right)

    def check(self) -> None:
        self.whole("kernel_size", 2, 1)
        self.whole("stride", 2, 1)
        self.whole("padding", 4, 0, MOST_PADDING)
        (kh, kw), (top, bottom, left, right) = self.kernel_size, self.padding
        if max(top, bottom) >= kh or max(left, right) >= kw:
            raise ValueError(f"{self.name}: padding must be smaller than the window {kh, kw}, got {self.padding}")

    def output(self, *shapes: Shape) -> Shape:
        shape = self.expect_map(shapes[0])
        return (*window_output(self.name, self.kernel_size, self.stride, self.padding, shape), shape[2])


@kind
@dataclass(frozen=True, eq=False)
class MaxPool(_Pool):
    """Largest value of each window; the border never wins, NaN always does."""

    def compute(self, *inputs: Any) -> Float:
        x = bordered(inputs[0], self.padding, -np.inf)
        return np.ascontiguousarray(patches(x, self.kernel_size, self.stride).max(axis=(4, 5)))


@kind
@dataclass(frozen=True, eq=False)
class AvgPool(_Pool):
    """Mean of each window; the border counts as zeros."""

    def compute(self, *inputs: Any) -> Float:
        x = bordered(inputs[0], self.padding)
        return np.ascontiguousarray(patches(x, self.kernel_size, self.stride).mean(axis=(4, 5)))


@kind
@dataclass(frozen=True, eq=False)
class GlobalAverage(Node):
    """Mean over rows and columns, summed in float64: (N, H, W, C) to (N, C)."""

    def output(self, *shapes: Shape) -> Shape:
        return self.expect_map(shapes[0])[2:]

    def compute(self, *inputs: Any) -> Float:
        _, h, w, _ = inputs[0].shape
        return np.asarray(inputs[0].sum(axis=(1, 2), dtype=np.float64) / (h * w), np.float32)


# ------------------------------------------------------------------------------------------- shapes, several inputs


@kind
@dataclass(frozen=True, eq=False)
class Flatten(Node):
    """(N, ...) to (N, product of the rest), in memory order: row, column, channel."""

    def output(self, *shapes: Shape) -> Shape:
        return (math.prod(shapes[0]),)

    def compute(self, *inputs: Any) -> Float:
        return np.reshape(inputs[0], (len(inputs[0]), math.prod(inputs[0].shape[1:])))


@kind
@dataclass(frozen=True, eq=False)
class Reshape(Node):
    """The values of each image in another shape, (H, W, C) or (C,), in memory order."""

    shape: Shape

    def check(self) -> None:
        self.whole("shape", len(self.shape) if isinstance(self.shape, tuple) and len(self.shape) in (1, 3) else 3, 1)

    def output(self, *shapes: Shape) -> Shape:
        if math.prod(self.shape) != math.prod(shapes[0]):
            raise ValueError(f"{self.name} expects {math.prod(self.shape)} values for an image, got {text(shapes[0])}")
        return self.shape

    def compute(self, *inputs: Any) -> Float:
        return np.reshape(inputs[0], (len(inputs[0]), *self.shape))


@kind
@dataclass(frozen=True, eq=False)
class Pad(Node):
    """A border of (top, bottom, left, right) rows and columns of ``value`` around maps."""

    padding: Four
    value: float = 0.0

    def check(self) -> None:
        self.whole("padding", 4, 0, MOST_PADDING)
        if type(self.value) not in (int, float) or not abs(self.value) <= np.finfo(np.float32).max:
            raise ValueError(f"{self.name}.value must be a finite number, got {self.value!r}")

    def output(self, *shapes: Shape) -> Shape:
        h, w, c = self.expect_map(shapes[0])
        top, bottom, left, right = self.padding
        return h + top + bottom, w + left + right, c

    def compute(self, *inputs: Any) -> Float:
        padded: Float = bordered(inputs[0], self.padding, self.value)
        return padded


@kind
@dataclass(frozen=True, eq=False)
class Concatenate(Node):
    """Several results side by side along one axis of an image; −1 is that of the channels."""

    axis: int = -1

    arity: ClassVar[int | None] = None

    def check(self) -> None:
        if type(self.axis) is not int or not -3 <= self.axis <= -1:
            raise ValueError(f"{self.name}.axis must be -1 (channels), -2 (columns) or -3 (rows), got {self.axis!r}")

    def output(self, *shapes: Shape) -> Shape:
        axis = len(shapes[0]) + self.axis
        rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
        if axis < 0 or len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
            raise ValueError(f"{self.name} cannot join {', '.join(map(text, shapes))} along axis {self.axis}")
        return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])

    def compute(self, *inputs: Any) -> Float:
        return np.concatenate(inputs, axis=self.axis)


@dataclass(frozen=True, eq=False)
class _OfTwo(Node):
    arity: ClassVar[int | None] = 2

    def output(self, *shapes: Shape) -> Shape:
        one, other = shapes
        if len(one) == len(other):
            try:
                return np.broadcast_shapes(one, other)
            except ValueError:
                pass
        raise ValueError(f"{self.name} cannot combine {text(one)} and {text(other)}")


@kind
@dataclass(frozen=True, eq=False)
class Add(_OfTwo):
    """``x + y``; axes of length 1 are repeated."""

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.add(*inputs, dtype=np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Divide(_OfTwo):
    """``x / y``; axes of length 1 are repeated."""

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.divide(*inputs, dtype=np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Multiply(_OfTwo):
    """``x * y``; axes of length 1 are repeated."""

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.multiply(*inputs, dtype=np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Constant(Node):
    """An array that is the same for all images.

    Attributes
    ----------
    array : float32 (H, W, C), or (C,)
        For one image.
    """

    array: Float

    arity: ClassVar[int | None] = 0

    def check(self) -> None:
        if not isinstance(self.array, np.ndarray) or self.array.dtype != np.float32 or self.array.ndim not in (1, 3):
            raise ValueError(f"{self.name}.array must be float32 (H, W, C) or (C,), got {described(self.array)}")

    def output(self, *shapes: Shape) -> Shape:
        return self.array.shape

    def compute(self, *inputs: Any) -> Float:
        return self.array[None]


@kind
@dataclass(frozen=True, eq=False)
class Softmax(Node):
    """``exp(x) / Σ exp(x)`` over the last axis, in float64 and rounded once."""

    def compute(self, *inputs: Any) -> Float:
        powers = np.exp(inputs[0].astype(np.float64) - inputs[0].max(axis=-1, keepdims=True))
        y: Float = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
        return y
