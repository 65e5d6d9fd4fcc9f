"""The steps of a packed model: what is left of each layer when nothing is to be learned.

A step is a dataclass. Its array fields are stored as arrays, its other fields as JSON; calling it maps one array to the
next. Steps call the kernels that training calls, so a packed model gives the same bits as the network it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels.checks import Float, Words

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """One step; subclasses add fields and ``__call__``."""

    name: str

    binary: ClassVar[bool] = False  # whether its multiply-adds are on one-bit weights

    def __call__(self, x: Float) -> Float:
        raise NotImplementedError

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
class _Filters(Step):
    """Steps with filters: a convolution, or a dense layer when ``shape`` is (O, I)."""

    shape: tuple[int, ...]  # of the weights
    stride: tuple[int, int]
    padding: tuple[int, int]

    def macs(self, output: Shape) -> int:
        pixels = int(np.prod(output[:-1]))
        return pixels * int(np.prod(self.shape))

    def _run(self, plan: Any, x: Float) -> Float:
        if len(self.shape) == 4:
            y: Float = plan(x)
            return y
        if x.ndim != 2:
            raise ValueError(f"{self.name} expects (N, {self.shape[1]}), got {x.shape}")
        rows: Float = plan(x[:, None, None])[:, 0, 0]
        return rows

    @property
    def _filters(self) -> tuple[int, ...]:
        """(O, KH, KW, C), also for a dense layer."""
        return self.shape if len(self.shape) == 4 else (self.shape[0], 1, 1, self.shape[1])


@dataclass(frozen=True, eq=False)
class Conv(_Filters):
    """Real convolution or dense layer."""

    weight: Float
    bias: Float | None

    @cached_property
    def _plan(self) -> bk.Conv2d:
        return bk.Conv2d(self.weight.reshape(self._filters), self.stride, self.padding)

    def __call__(self, x: Float) -> Float:
        y = self._run(self._plan, x)
        if self.bias is not None:
            y += self.bias
        return y


@dataclass(frozen=True, eq=False)
class _OneBit(_Filters):
    signs: Words  # of all weights, in one row: ceil(number of weights / 64) words
    alpha: Float | None  # (O,), None for 1

    binary: ClassVar[bool] = True

    def _weight_and_alpha(self) -> tuple[Float, Float | bool]:
        weight = bk.unpack_signs(self.signs, int(np.prod(self.shape))).reshape(self._filters)
        return weight, False if self.alpha is None else self.alpha


@dataclass(frozen=True, eq=False)
class XnorConv(_OneBit):
    """Signs by signs, on XNOR and popcount (Eq. 11)."""

    pad_value: int
    use_k: bool

    @cached_property
    def _plan(self) -> bk.XnorConv2d:
        weight, alpha = self._weight_and_alpha()
        return bk.XnorConv2d(weight, self.stride, self.padding, self.pad_value, alpha, self.use_k)

    def __call__(self, x: Float) -> Float:
        return self._run(self._plan, x)


@dataclass(frozen=True, eq=False)
class BwnConv(_OneBit):
    """Real input, binary weights (Eq. 1)."""

    @cached_property
    def _plan(self) -> bk.BwnConv2d:
        weight, alpha = self._weight_and_alpha()
        return bk.BwnConv2d(weight, self.stride, self.padding, alpha)

    def __call__(self, x: Float) -> Float:
        return self._run(self._plan, x)


@dataclass(frozen=True, eq=False)
class BatchNorm(Step):
    """``(x - mean) * factor + shift`` for each channel; ``factor`` is gamma / sqrt(var + eps)."""

    mean: Float
    factor: Float
    shift: Float

    def __call__(self, x: Float) -> Float:
        ones = np.ones_like(self.factor)  # dividing by sqrt(1 + 0) changes no bit
        return bk.batch_norm_inference(x, self.factor, self.shift, self.mean, ones, eps=0.0)


@dataclass(frozen=True, eq=False)
class Relu(Step):
    """max(x, 0)."""

    def __call__(self, x: Float) -> Float:
        return np.maximum(x, np.float32(0))


@dataclass(frozen=True, eq=False)
class Sign(Step):
    """+1 or -1."""

    def __call__(self, x: Float) -> Float:
        return bk.sign(x)


@dataclass(frozen=True, eq=False)
class _Pool(Step):
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MaxPool(_Pool):
    """Largest value of each window."""

    def __call__(self, x: Float) -> Float:
        return bk.max_pool2d(x, self.kernel_size, self.stride, self.padding)


@dataclass(frozen=True, eq=False)
class AvgPool(_Pool):
    """Mean of each window."""

    def __call__(self, x: Float) -> Float:
        return bk.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


@dataclass(frozen=True, eq=False)
class GlobalAverage(Step):
    """Mean over rows and columns, summed in float64."""

    def __call__(self, x: Float) -> Float:
        total = x.sum(axis=(1, 2), dtype=np.float64)
        return np.asarray(total / (x.shape[1] * x.shape[2]), np.float32)


@dataclass(frozen=True, eq=False)
class Flatten(Step):
    """(N, ...) to (N, the rest)."""

    def __call__(self, x: Float) -> Float:
        return x.reshape(len(x), int(np.prod(x.shape[1:])))


@dataclass(frozen=True, eq=False)
class Add(Step):
    """A residual sum: two lists of steps on one input."""

    body: tuple[Step, ...]
    shortcut: tuple[Step, ...]

    def __call__(self, x: Float) -> Float:
        left, right = x, x
        for step in self.body:
            left = step(left)
        for step in self.shortcut:
            right = step(right)
        return left + right


KINDS: dict[str, type[Step]] = {
    kind.__name__: kind
    for kind in (Conv, XnorConv, BwnConv, BatchNorm, Relu, Sign, MaxPool, AvgPool, GlobalAverage, Flatten, Add)
}
