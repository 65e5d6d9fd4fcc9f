"""The steps of a packed model: what is left of each layer when nothing is to be learned.

A step is a dataclass. Its array fields are stored as arrays, its other fields as JSON. Steps say what is to be
computed, one for each layer of the network; how, and which of them together, the engine decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float, Window, Words

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """One step; subclasses add fields, and ``output`` where they change the shape."""

    name: str

    binary: ClassVar[bool] = False  # whether its multiply-adds are on weights of one bit, or a few

    def output(self, shape: Shape) -> Shape:
        """The shape of the result for an input of this shape, both without the batch; ValueError when it cannot be."""
        return shape

    def arrays(self) -> dict[str, Array]:
        """The array fields by name."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """The other fields, ready for JSON."""
        arrays = self.arrays()
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in arrays}

    def macs(self, output: Shape) -> int:
        """Multiply-adds for an output of this shape (without the batch)."""
        return 0


@dataclass(frozen=True, eq=False)
class Filters(Step):
    """Steps with filters: a convolution, or a dense layer when ``shape`` is (O, I)."""

    shape: tuple[int, ...]  # of the weights
    stride: tuple[int, int]
    padding: tuple[int, int]

    weights: ClassVar[str]  # which field holds them

    def macs(self, output: Shape) -> int:
        pixels = int(np.prod(output[:-1]))
        return pixels * int(np.prod(self.shape))

    def output(self, shape: Shape) -> Shape:
        inner = self.shape[-1]
        if len(self.shape) == 2 and shape != (inner,):
            raise ValueError(f"{self.name} expects (N, {inner}), got (N, {', '.join(map(str, shape))})")
        if len(self.shape) == 2:
            return self.shape[:1]
        if len(shape) != 3 or shape[2] != inner:
            raise ValueError(f"{self.name} expects (N, H, W, {inner}), got (N, {', '.join(map(str, shape))})")
        return (*self.window.output_size(*shape[:2]), self.shape[0])

    @property
    def held(self) -> Array:
        """Its weights."""
        array: Array = getattr(self, self.weights)
        return array

    @property
    def window(self) -> Window:
        """What slides over the image; a single pixel for a dense layer."""
        _, kh, kw, _ = self.filters
        return Window.of((kh, kw), self.stride, self.padding)

    @property
    def filters(self) -> tuple[int, ...]:
        """(O, KH, KW, C), also for a dense layer."""
        return self.shape if len(self.shape) == 4 else (self.shape[0], 1, 1, self.shape[1])


@dataclass(frozen=True, eq=False)
class Conv(Filters):
    """Real convolution or dense layer."""

    weight: Float
    bias: Float | None

    weights: ClassVar[str] = "weight"


@dataclass(frozen=True, eq=False)
class _OneBit(Filters):
    signs: Words  # of all weights, in one row: ceil(number of weights / 64) words
    alpha: Float | None  # (O,), None for 1

    binary: ClassVar[bool] = True
    weights: ClassVar[str] = "signs"


@dataclass(frozen=True, eq=False)
class XnorConv(_OneBit):
    """Signs by signs, on XNOR and popcount (Eq. 11)."""

    pad_value: int
    use_k: bool


@dataclass(frozen=True, eq=False)
class KbitConv(Filters):
    """Levels by levels, on sums of popcounts (section 3.2): inputs of ``act_bits`` bits, weights of a bit a plane."""

    planes: Words  # (bits, ceil(number of weights / 64)); plane i has the signs that count 2^i
    alpha: Float | None  # (O,), None for 1
    pad_value: int
    use_k: bool
    act_bits: int

    binary: ClassVar[bool] = True
    weights: ClassVar[str] = "planes"


@dataclass(frozen=True, eq=False)
class BwnConv(_OneBit):
    """Real input, binary weights (Eq. 1)."""


@dataclass(frozen=True, eq=False)
class ElementWise(Step):
    """A function of each value alone, monotone in each channel."""

    def apply(self, x: Float) -> Float:
        """On float32 (..., C), with the roundings of the kernels."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class BatchNorm(ElementWise):
    """``(x - mean) * factor + shift`` for each channel; ``factor`` is gamma / sqrt(var + eps)."""

    mean: Float
    factor: Float
    shift: Float

    def apply(self, x: Float) -> Float:
        y: Float = (x - self.mean) * self.factor + self.shift
        return y


@dataclass(frozen=True, eq=False)
class Relu(ElementWise):
    """max(x, 0)."""

    def apply(self, x: Float) -> Float:
        y: Float = np.maximum(x, np.float32(0))
        return y


@dataclass(frozen=True, eq=False)
class Sign(ElementWise):
    """+1 or -1."""

    def apply(self, x: Float) -> Float:
        return np.where(x < 0, np.float32(-1), np.float32(1))


@dataclass(frozen=True, eq=False)
class Quantise(Step):
    """The nearest of the levels of ``bits`` bits, from -1 to +1."""

    bits: int


@dataclass(frozen=True, eq=False)
class _Pool(Step):
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def window(self) -> Window:
        """What slides over the image."""
        return Window.of(self.kernel_size, self.stride, self.padding)

    def output(self, shape: Shape) -> Shape:
        return (*self.window.output_size(*shape[:2]), shape[2])


@dataclass(frozen=True, eq=False)
class MaxPool(_Pool):
    """Largest value of each window."""


@dataclass(frozen=True, eq=False)
class AvgPool(_Pool):
    """Mean of each window."""


@dataclass(frozen=True, eq=False)
class GlobalAverage(Step):
    """Mean over rows and columns, summed in float64."""

    def output(self, shape: Shape) -> Shape:
        return shape[2:]


@dataclass(frozen=True, eq=False)
class Flatten(Step):
    """(N, ...) to (N, the rest)."""

    def output(self, shape: Shape) -> Shape:
        return (int(np.prod(shape)),)


@dataclass(frozen=True, eq=False)
class Add(Step):
    """A residual sum: two lists of steps on one input."""

    body: tuple[Step, ...]
    shortcut: tuple[Step, ...]

    def output(self, shape: Shape) -> Shape:
        left, right = shape, shape
        for step in self.body:
            left = step.output(left)
        for step in self.shortcut:
            right = step.output(right)
        if left != right:
            raise ValueError(f"{self.name}: the body gives {left}, the shortcut {right}")
        return left


def with_weights(step: Step, weights: Callable[[Filters], Array]) -> Step:
    """The step with other weights, those inside a sum too: ``weights(step)`` in the place of a step's own."""
    if isinstance(step, Add):
        body, shortcut = (tuple(with_weights(each, weights) for each in part) for part in (step.body, step.shortcut))
        return replace(step, body=body, shortcut=shortcut)
    if isinstance(step, Filters):
        changed: dict[str, Any] = {step.weights: weights(step)}
        return replace(step, **changed)
    return step


KINDS: dict[str, type[Step]] = {
    kind.__name__: kind
    for kind in (
        *(Conv, XnorConv, KbitConv, BwnConv, BatchNorm, Relu, Sign, Quantise),
        *(MaxPool, AvgPool, GlobalAverage, Flatten, Add),
    )
}
