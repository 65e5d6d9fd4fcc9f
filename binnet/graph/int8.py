"""Nodes in eight bits: whole numbers from 0 to 255 by weights from -127 to 127, with exact sums.

Between nodes the numbers are float32 as all results are; the engine keeps them as uint8. A value x is represented by
the whole number q = x / step + zero, so that the number ``zero`` stands for the value 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .graph import Float, Node, described, kind
from .windows import Filters, OneBit, bordered, patches

MOST = 255  # the largest number of an input
MOST_WEIGHT = 127  # and of a weight: -128 is left out, so that both signs have the same range
MOST_SUM = (1 << 31) - 1
ZERO_STEPS = 1 << 16  # a zero is a multiple of 1 / ZERO_STEPS, so that all sums of products with it are exact


@kind
@dataclass(frozen=True, eq=False)
class QuantiseLinear(Node):
    """``clip(round(x / step) + zero, 0, 255)``, rounded to nearest, ties to even; NaN becomes 0.

    Attributes
    ----------
    step
        The distance of two neighbouring numbers, a positive float32. ``x`` is multiplied by its reciprocal in float32.
    zero
        The number that stands for 0, from 0 to 255.
    """

    step: float
    zero: int

    def check(self) -> None:
        fits = type(self.step) in (int, float) and 0 < self.step <= float(np.finfo(np.float32).max)
        if not fits or float(np.float32(self.step)) != self.step or not 0 < self.factor < math.inf:
            raise ValueError(f"{self.name}.step must be a positive float32 with a reciprocal, got {self.step!r}")
        if type(self.zero) is not int or not 0 <= self.zero <= MOST:
            raise ValueError(f"{self.name}.zero must be a whole number from 0 to {MOST}, got {self.zero!r}")

    def gives_bytes(self, of_bytes: bool) -> bool:
        return True

    @property
    def factor(self) -> np.float32:
        """1 / step, rounded to float32."""
        with np.errstate(all="ignore"):
            return np.float32(1 / np.float64(self.step))

    def compute(self, *inputs: Any) -> Float:
        y = np.rint(inputs[0] * self.factor) + np.float32(self.zero)
        y = np.where(y > 0, y, np.float32(0))  # also for NaN
        return np.where(y < MOST, y, np.float32(MOST))


@dataclass(frozen=True, eq=False)
class Int8(Filters):
    """Base class of filters for whole numbers: ``Σ (q - zero) weight · scale + bias``, the border counts 0.

    The sum over a window of ``q weight`` is a whole number below 2^31. It is rounded to float32, multiplied by the
    scale, and one number is added, which contains the bias and the zeros under the window.

    Attributes
    ----------
    zero : float32 (C,), or (1,) for all channels
        The number that stands for 0, from 0 to 255, a multiple of 2^-16. For pixels it is 255 · mean, which is no
        whole number in general.
    bias : float32 (O,), or None
    """

    zero: Float
    bias: Float | None = field(default=None, kw_only=True)

    takes_bytes: ClassVar[bool] = True

    def check(self) -> None:
        super().check()
        self.vector("zero")
        zero, inner = self.zero, self.in_channels
        if len(zero) not in (1, inner):
            raise ValueError(f"{self.name}.zero must have 1 or {inner} values, got {len(zero)}")
        exact = (zero >= 0) & (zero <= MOST)  # False for NaN, which rint would complain about
        if not exact.all() or (np.rint(zero * ZERO_STEPS) != zero * ZERO_STEPS).any():
            raise ValueError(f"{self.name}.zero must be multiples of 1 / {ZERO_STEPS} from 0 to {MOST}")
        self.vector("bias", optional=True)
        if self.bias is not None and len(self.bias) != self.shape[0]:
            raise ValueError(f"{self.name}.bias must have {self.shape[0]} values, got {len(self.bias)}")
        largest = self.largest_sum()
        if largest > MOST_SUM:
            raise ValueError(f"{self.name}: sums of up to {largest} do not fit into 32 bits")

    def largest_sum(self) -> int:
        """The largest magnitude that a sum, or a part of it in whatever order, can have."""
        # The positive weights of a filter alone, or the negative ones, with all inputs at 255.
        w = self.whole_weight.reshape(self.shape[0], -1)
        ends = (np.sum(w, axis=1, dtype=np.int64, where=where) for where in (w > 0, w < 0))
        return MOST * max(int(abs(end).max(initial=0)) for end in ends)

    @property
    def whole_weight(self) -> npt.NDArray[np.int8]:
        """The weights as whole numbers, int8 of ``shape``."""
        raise NotImplementedError

    @property
    def factors(self) -> Float:
        """The scale of each filter, float32 (O,)."""
        raise NotImplementedError

    def offsets(self, inside: Any) -> Float:
        """What is added after the scale, float32 (..., O): the bias less the zeros of the taps that are inside.

        ``inside`` is boolean (..., KH, KW): the taps of a window that lie on the image, not on its border.
        """
        weight = self.whole_weight.reshape(self.filters).astype(np.float64)
        by_tap = (weight * self.zero).sum(axis=3)  # exact, in any order: multiples of 2^-16 below 2^37
        zeros = np.tensordot(np.asarray(inside, np.float64), by_tap, axes=([-2, -1], [1, 2]))
        bias = np.float64(0) if self.bias is None else self.bias.astype(np.float64)
        result: Float = (bias - zeros * self.factors).astype(np.float32)
        return result

    def compute(self, *inputs: Any) -> Float:
        x = inputs[0]
        sums = self.convolve(x, self.whole_weight)
        size = (1, 1) if self.is_dense else x.shape[1:3]
        inside = patches(bordered(np.ones((1, *size, 1), bool), self.padding, False), self.filters[1:3], self.stride)
        offsets = self.offsets(inside[0, :, :, 0])
        result: Float = sums * self.factors + (offsets[0, 0] if self.is_dense else offsets)
        return result


@kind
@dataclass(frozen=True, eq=False)
class Int8Conv(Int8):
    """A real convolution or dense layer in eight bits.

    Attributes
    ----------
    weight : int8 (O, KH, KW, C), or (O, I)
        From -127 to 127.
    scale : float32 (O,)
        Of each filter, positive: the product of the steps of input and weights.
    """

    weight: npt.NDArray[np.int8]
    scale: Float

    weights: ClassVar[str] = "weight"

    def check(self) -> None:
        if described(self.weight) != f"int8 {self.shape}":
            raise ValueError(f"{self.name}.weight must be int8 {self.shape}, got {described(self.weight)}")
        if (self.weight == -128).any():
            raise ValueError(f"{self.name}.weight must be from -{MOST_WEIGHT} to {MOST_WEIGHT}, got -128")
        super().check()
        if described(self.scale) != f"float32 {self.shape[:1]}":
            raise ValueError(f"{self.name}.scale must be float32 {self.shape[:1]}, got {described(self.scale)}")
        if not (self.scale > 0).all():
            raise ValueError(f"{self.name}.scale must be above 0")

    @property
    def whole_weight(self) -> npt.NDArray[np.int8]:
        return self.weight

    @property
    def factors(self) -> Float:
        return self.scale


@kind
@dataclass(frozen=True, eq=False)
class Int8BwnConv(Int8, OneBit):
    """One-bit weights by inputs in eight bits: ``Σ (q - zero) sign(W) · α`` (Eq. 1); α contains the input's step."""

    binary: ClassVar[bool] = True
    weights: ClassVar[str] = "signs"

    def largest_sum(self) -> int:
        return MOST * math.prod(self.shape[1:])  # of equal signs

    @property
    def whole_weight(self) -> npt.NDArray[np.int8]:
        return self.weight_sign.astype(np.int8)

    @property
    def factors(self) -> Float:
        return np.ones(self.shape[0], np.float32) if self.alpha is None else self.alpha
