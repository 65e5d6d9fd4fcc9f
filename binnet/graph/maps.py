"""Nodes without a window: element-wise functions, reshaping, padding, and functions of several inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .graph import MOST_PADDING, Float, Four, Node, Shape, described, kind, text
from .windows import bordered, levels


@dataclass(frozen=True, eq=False)
class ElementWise(Node):
    """Base class of element-wise functions, whose parameters may differ between channels."""

    @property
    def channels(self) -> int | None:
        """The number of channels of the parameters; None when any number of channels fits."""
        vectors = [array for array in self.arrays().values() if array.size > 1]  # one number fits any channels
        return len(vectors[0]) if vectors else None

    @property
    def monotone(self) -> bool:
        """Whether the function of each channel is monotonic, so that a threshold can replace it before a sign."""
        return False

    def output(self, *shapes: Shape) -> Shape:
        return shapes[0] if self.channels is None else self.expect_channels(shapes[0], self.channels)


@dataclass(frozen=True, eq=False)
class Monotone(ElementWise):
    """Base class of element-wise functions that never fall, or never rise, in each channel, in float32 too."""

    @property
    def monotone(self) -> bool:
        return True


@kind
@dataclass(frozen=True, eq=False)
class BatchNorm(Monotone):
    """``(x - mean) * factor + shift`` for each channel, three vectors (C,).

    ``factor`` is γ / √(σ² + ε) and ``shift`` is β of the trained layer, ``mean`` the running mean.
    """

    mean: Float
    factor: Float
    shift: Float

    def check(self) -> None:
        for field in ("mean", "factor", "shift"):
            self.vector(field)
        if not len(self.mean) == len(self.factor) == len(self.shift):
            sizes = len(self.mean), len(self.factor), len(self.shift)
            raise ValueError(f"{self.name}: mean, factor and shift must have the same length, got {sizes}")

    @property
    def channels(self) -> int | None:
        return len(self.mean)

    def compute(self, *inputs: Any) -> Float:
        # In float32 and in this order, because the engine gives the same bits.
        y: Float = (inputs[0] - self.mean) * self.factor + self.shift
        return y


@kind
@dataclass(frozen=True, eq=False)
class Scale(Monotone):
    """``x * factor``, for each channel (C,), or one factor (1,) for all."""

    factor: Float

    def check(self) -> None:
        self.vector("factor")

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.multiply(inputs[0], self.factor, dtype=np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Shift(Monotone):
    """``x + shift``, for each channel (C,), or one number (1,) for all."""

    shift: Float

    def check(self) -> None:
        self.vector("shift")

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.add(inputs[0], self.shift, dtype=np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Relu(Monotone):
    """``max(x, 0)``; NaN stays NaN."""

    def compute(self, *inputs: Any) -> Float:
        return np.where(inputs[0] < 0, np.float32(0), inputs[0])  # no comparison with NaN holds, so it passes


@kind
@dataclass(frozen=True, eq=False)
class PRelu(ElementWise):
    """``x`` where x >= 0, else ``slope * x``; a slope for each channel (C,), or one (1,) for all (arXiv:1502.01852)."""

    slope: Float

    def check(self) -> None:
        self.vector("slope")

    @property
    def monotone(self) -> bool:
        return bool((self.slope >= 0).all())  # a slope of -0.5 maps -2 and 1 to the same value

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.where(inputs[0] < 0, self.slope * inputs[0], inputs[0])
        return y


@kind
@dataclass(frozen=True, eq=False)
class Sign(Monotone):
    """+1 where ``x >= threshold``, also for NaN, else −1; a threshold for each channel (C,), or None for 0."""

    threshold: Float | None = None

    def check(self) -> None:
        self.vector("threshold", optional=True)

    def compute(self, *inputs: Any) -> Float:
        below = inputs[0] < (np.float32(0) if self.threshold is None else self.threshold)
        return np.where(below, np.float32(-1), np.float32(1))


@kind
@dataclass(frozen=True, eq=False)
class Quantise(Node):
    """The nearest of the levels of ``bits`` bits between −1 and +1 (arXiv:1603.05279, section 3.2), 1 to 8 bits."""

    bits: int

    def check(self) -> None:
        # `type`, because JSON's true is an int for isinstance.
        if type(self.bits) is not int or not 1 <= self.bits <= 8:
            raise ValueError(f"{self.name}.bits must be a whole number from 1 to 8, got {self.bits!r}")

    def compute(self, *inputs: Any) -> Float:
        return levels(inputs[0], self.bits)


# ------------------------------------------------------------------------------------------- shapes, several inputs


@kind
@dataclass(frozen=True, eq=False)
class GlobalAverage(Node):
    """Mean over rows and columns, summed in float64: (N, H, W, C) to (N, C)."""

    def output(self, *shapes: Shape) -> Shape:
        return self.expect_map(shapes[0])[2:]

    def compute(self, *inputs: Any) -> Float:
        _, h, w, _ = inputs[0].shape
        return np.asarray(inputs[0].sum(axis=(1, 2), dtype=np.float64) / (h * w), np.float32)


@kind
@dataclass(frozen=True, eq=False)
class Flatten(Node):
    """(N, ...) to (N, product of the rest), in memory order: row, column, channel."""

    def gives_bytes(self, of_bytes: bool) -> bool:
        return of_bytes

    def output(self, *shapes: Shape) -> Shape:
        return (math.prod(shapes[0]),)

    def compute(self, *inputs: Any) -> Float:
        # The product instead of -1, which NumPy cannot resolve for an empty batch.
        return np.reshape(inputs[0], (len(inputs[0]), math.prod(inputs[0].shape[1:])))


@kind
@dataclass(frozen=True, eq=False)
class Reshape(Node):
    """The values of each image, in memory order, in another shape, (H, W, C) or (C,)."""

    shape: Shape

    def check(self) -> None:
        self.whole("shape", len(self.shape) if isinstance(self.shape, tuple) and len(self.shape) in (1, 3) else 3, 1)

    def gives_bytes(self, of_bytes: bool) -> bool:
        return of_bytes

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
        # NaN fails the comparison too.
        if type(self.value) not in (int, float) or not abs(self.value) <= float(np.finfo(np.float32).max):
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
    """The inputs concatenated along one axis of an image; axis −1 is that of the channels."""

    axis: int = -1

    arity: ClassVar[int | None] = None

    def check(self) -> None:
        if type(self.axis) is not int or not -3 <= self.axis <= -1:
            raise ValueError(f"{self.name}.axis must be -1 (channels), -2 (columns) or -3 (rows), got {self.axis!r}")

    def gives_bytes(self, of_bytes: bool) -> bool:
        return of_bytes

    def output(self, *shapes: Shape) -> Shape:
        # Counted from the end, where the batch axis makes no difference.
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
    operation: ClassVar[np.ufunc]

    def output(self, *shapes: Shape) -> Shape:
        one, other = shapes
        # With other lengths, NumPy would align the batch axis of (N, C) with the columns of a map.
        if len(one) == len(other):
            try:
                return np.broadcast_shapes(one, other)
            except ValueError:
                pass
        raise ValueError(f"{self.name} cannot combine {text(one)} and {text(other)}")

    def compute(self, *inputs: Any) -> Float:
        y: Float = self.operation(*inputs, dtype=np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Add(_OfTwo):
    """``x + y``; axes of length 1 are repeated."""

    operation: ClassVar[np.ufunc] = np.add


@kind
@dataclass(frozen=True, eq=False)
class Divide(_OfTwo):
    """``x / y``; axes of length 1 are repeated."""

    operation: ClassVar[np.ufunc] = np.divide


@kind
@dataclass(frozen=True, eq=False)
class Multiply(_OfTwo):
    """``x * y``; axes of length 1 are repeated."""

    operation: ClassVar[np.ufunc] = np.multiply


@kind
@dataclass(frozen=True, eq=False)
class Constant(Node):
    """An array that is the same for all images.

    Attributes
    ----------
    array : float32 (H, W, C), or (C,)
        The values for one image.
    """

    array: Float

    arity: ClassVar[int | None] = 0

    def check(self) -> None:
        array = self.array
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim not in (1, 3) or not array.size:
            raise ValueError(f"{self.name}.array must be float32 (H, W, C) or (C,), got {described(self.array)}")

    def output(self, *shapes: Shape) -> Shape:
        return self.array.shape

    def compute(self, *inputs: Any) -> Float:
        return self.array[None]  # a batch of one, which the reading node broadcasts


@kind
@dataclass(frozen=True, eq=False)
class Softmax(Node):
    """``exp(x) / Σ exp(x)`` over the last axis, in float64 and rounded once."""

    def compute(self, *inputs: Any) -> Float:
        # The largest power is 1 after the subtraction, so nothing overflows.
        powers = np.exp(inputs[0].astype(np.float64) - inputs[0].max(axis=-1, keepdims=True))
        y: Float = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
        return y
