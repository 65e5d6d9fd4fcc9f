"""Nodes with filters: convolutions with real, one-bit and k-bit weights.

A dense layer is a convolution of single pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .graph import MOST_PADDING, Array, Float, Four, Node, Shape, described, kind, text, window_output

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Filters(Node):
    """Base class of all nodes with filters.

    Attributes
    ----------
    shape : (O, KH, KW, C) of a convolution, or (O, I) of a dense layer
        Shape of the weights.
    stride : (vertical, horizontal)
    padding : (top, bottom, left, right)
    """

    shape: Shape
    stride: tuple[int, int]
    padding: Four

    weights: ClassVar[str]  # the field that holds them

    def check(self) -> None:
        axes = len(self.shape) if isinstance(self.shape, tuple) and len(self.shape) in (2, 4) else 4
        self.whole("shape", axes, 1, 1 << 30)
        self.whole("stride", 2, 1)
        self.whole("padding", 4, 0, MOST_PADDING)
        if self.is_dense and (self.stride, self.padding) != ((1, 1), (0, 0, 0, 0)):
            raise ValueError(f"{self.name}: a dense layer has stride (1, 1) and no padding")

    @property
    def is_dense(self) -> bool:
        """Whether the node is a dense layer, which maps (N, I) to (N, O)."""
        return len(self.shape) == 2

    @property
    def filters(self) -> tuple[int, int, int, int]:
        """(O, KH, KW, C), also for a dense layer, which is a convolution of single pixels."""
        o, *rest = self.shape
        kh, kw, c = rest if len(rest) == 3 else (1, 1, *rest)
        return o, kh, kw, c

    @property
    def held(self) -> Array:
        """The stored weights, whose form depends on the kind."""
        array: Array = getattr(self, self.weights)
        return array

    @property
    def in_channels(self) -> int:
        """The number of channels or features of the input."""
        return self.shape[-1]

    def output(self, *shapes: Shape) -> Shape:
        shape, inner = shapes[0], self.in_channels
        if self.is_dense:
            if shape != (inner,):
                raise ValueError(f"{self.name} expects (N, {inner}), got {text(shape)}")
            return self.shape[:1]
        if len(shape) != 3 or shape[2] != inner:
            raise ValueError(f"{self.name} expects (N, H, W, {inner}), got {text(shape)}")
        return (*window_output(self.name, self.filters[1:3], self.stride, self.padding, shape), self.shape[0])

    def macs(self, output: Shape) -> int:
        return math.prod(output[:-1]) * math.prod(self.shape)

    def check_alpha(self, alpha: Any) -> None:
        """Raise ValueError unless ``alpha`` is float32 with one scale for each filter, or None for 1."""
        if alpha is not None and (described(alpha) != f"float32 {self.shape[:1]}"):
            raise ValueError(f"{self.name}.alpha must be float32 {self.shape[:1]}, got {described(alpha)}")

    def check_words(self, *planes: int) -> None:
        """Raise ValueError unless the weights are words with one bit each, ceil(number / 64) in a plane, then zeros."""
        number = math.prod(self.shape)
        shape = (*planes, -(-number // 64))
        if described(self.held) != f"uint64 {shape}":
            raise ValueError(f"{self.name}.{self.weights} must be uint64 {shape}, got {described(self.held)}")
        used = number % 64  # bits of the last word of a plane, if it is not full
        # A popcount would take bits behind the last weight for weights.
        if used and (self.held[..., -1] >> np.uint64(used)).any():
            raise ValueError(f"{self.name}.{self.weights} must end in 0 after the bits of its {number} weights")

    def convolve(self, x: Any, weight: Any, pad: float = 0.0) -> Float:
        """Convolution of ``x`` (N, H, W, C) or (N, I) with ``weight``, summed in float64."""
        pixels = bordered(x.reshape(len(x), 1, 1, -1) if self.is_dense else x, self.padding, pad)
        windows = patches(pixels.astype(np.float64), self.filters[1:3], self.stride)
        # Exact in float64 for signs and levels, whose sums are whole numbers.
        sums = np.tensordot(windows, weight.reshape(self.filters), axes=([4, 5, 3], [1, 2, 3])).astype(np.float32)
        return sums.reshape(len(x), -1) if self.is_dense else sums

    def scale_map(self, x: Any) -> Any:
        """K (N, OH, OW, 1): the mean of |x| over channels and window (Eq. 11), (N, 1) for rows; the border counts 0."""
        mean_abs_x = np.abs(x).mean(axis=-1, keepdims=True)  # A
        if self.is_dense:
            return mean_abs_x
        windows = patches(bordered(mean_abs_x, self.padding), self.filters[1:3], self.stride)
        return windows.mean(axis=(4, 5), dtype=np.float64).astype(np.float32)  # A * k


@kind
@dataclass(frozen=True, eq=False)
class Conv(Filters):
    """Real convolution or dense layer, ``x ∗ weight + bias``.

    Attributes
    ----------
    weight : float32 (O, KH, KW, C / groups), or (O, I)
    bias : float32 (O,), or None
    groups
        Number of groups into which the channels of the input and the filters are divided; a filter reads its group.
    """

    weight: Float
    bias: Float | None = None
    groups: int = 1

    weights: ClassVar[str] = "weight"

    def check(self) -> None:
        super().check()
        if described(self.weight) != f"float32 {self.shape}":
            raise ValueError(f"{self.name}.weight must be float32 {self.shape}, got {described(self.weight)}")
        if self.bias is not None and described(self.bias) != f"float32 {self.shape[:1]}":
            raise ValueError(f"{self.name}.bias must be float32 {self.shape[:1]}, got {described(self.bias)}")
        fits = type(self.groups) is int and 1 <= self.groups and self.shape[0] % self.groups == 0
        if not fits or (self.is_dense and self.groups != 1):
            raise ValueError(f"{self.name}.groups must divide its {self.shape[0]} filters, got {self.groups!r}")

    @property
    def in_channels(self) -> int:
        return self.shape[-1] * self.groups

    def compute(self, *inputs: Any) -> Float:
        if self.groups == 1:
            y = self.convolve(inputs[0], self.weight)
        else:
            x, weight = (np.split(a, self.groups, axis) for a, axis in ((inputs[0], 3), (self.weight, 0)))
            y = np.concatenate([self._of_group(*each) for each in zip(x, weight, strict=True)], axis=-1)
        return y if self.bias is None else y + self.bias

    def _of_group(self, x: Any, weight: Any) -> Float:
        # Not `convolve`, which expects all O filters at once.
        windows = patches(bordered(x, self.padding).astype(np.float64), self.filters[1:3], self.stride)
        y: Float = np.tensordot(windows, weight, axes=([4, 5, 3], [1, 2, 3])).astype(np.float32)
        return y


@dataclass(frozen=True, eq=False)
class OneBit(Filters):
    """Base class of filters with one bit per weight.

    Attributes
    ----------
    signs : uint64 (ceil(n / 64),)
        Signs of all n weights in the order of ``shape``: bit 1 for −1, the lowest bit first.
    alpha : float32 (O,), or None for 1
        The scale α of each filter (Eq. 6).
    """

    signs: Words
    alpha: Float | None

    binary: ClassVar[bool] = True
    weights: ClassVar[str] = "signs"

    def check(self) -> None:
        super().check()
        self.check_words()
        self.check_alpha(self.alpha)

    @property
    def weight_sign(self) -> Float:
        """All weights as ±1, float32 of ``shape``."""
        return signs_of(self.signs, self.shape)

    def scaled(self, sums: Float) -> Float:
        """``x`` multiplied by α."""
        return sums if self.alpha is None else sums * self.alpha


@kind
@dataclass(frozen=True, eq=False)
class XnorConv(OneBit):
    """Signs by signs, ``(sign(x) ⊛ sign(W)) ⊙ K α`` (Eq. 11), a convolution or a dense layer; sign(0) = +1.

    Attributes
    ----------
    pad_value : 0, +1 or -1
        Value of the border after the sign.
    use_k
        Whether to multiply by the map K of the input's magnitude.
    """

    pad_value: int = 0
    use_k: bool = False

    def check(self) -> None:
        super().check()
        check_border(self)

    def compute(self, *inputs: Any) -> Float:
        x = inputs[0]
        # +1 for 0, -0 and NaN.
        y = self.scaled(self.convolve(np.where(x < 0, -1.0, 1.0), self.weight_sign, self.pad_value))
        return y * self.scale_map(x) if self.use_k else y


@kind
@dataclass(frozen=True, eq=False)
class BwnConv(OneBit):
    """Real input, one-bit weights: ``(x ∗ sign(W)) α`` (Eq. 1), a convolution or a dense layer; the border is 0."""

    def compute(self, *inputs: Any) -> Float:
        return self.scaled(self.convolve(inputs[0], self.weight_sign))


@kind
@dataclass(frozen=True, eq=False)
class KbitConv(Filters):
    """Levels by levels, ``(q_m(x) ⊛ q_k(W)) ⊙ K α`` (section 3.2), with L_k = 2^k − 1 and L_m = 2^m − 1.

    Attributes
    ----------
    planes : uint64 (k, ceil(n / 64))
        Plane i has the signs that count 2^i; their sum is L_k q_k(W).
    alpha : float32 (O,), or None for 1
    pad_value, use_k
        As in :class:`XnorConv`.
    act_bits
        m, bits of the input, 1 to 8.
    """

    planes: Words
    alpha: Float | None
    pad_value: int = 0
    use_k: bool = False
    act_bits: int = 1

    binary: ClassVar[bool] = True
    weights: ClassVar[str] = "planes"

    def check(self) -> None:
        super().check()
        bits = len(self.planes) if isinstance(self.planes, np.ndarray) and self.planes.ndim == 2 else 0
        if not 1 <= bits <= 8:
            raise ValueError(f"{self.name}.planes must be 1 to 8 rows of words, got {described(self.planes)}")
        self.check_words(bits)
        self.check_alpha(self.alpha)
        check_border(self)
        if type(self.act_bits) is not int or not 1 <= self.act_bits <= 8:
            raise ValueError(f"{self.name}.act_bits must be a whole number from 1 to 8, got {self.act_bits!r}")
        # The compiled kernels add in int32.
        most = math.prod(self.shape[1:]) * ((1 << bits) - 1) * ((1 << self.act_bits) - 1)
        if most >= 1 << 31:
            raise ValueError(f"{self.name}: sums of up to {most} do not fit into 32 bits")

    def compute(self, *inputs: Any) -> Float:
        x, lm, lk = inputs[0], (1 << self.act_bits) - 1, (1 << len(self.planes)) - 1
        weight = sum(float(1 << i) * signs_of(plane, self.shape) for i, plane in enumerate(self.planes))
        whole = np.rint(levels(x, self.act_bits).astype(np.float64) * lm)  # odd whole numbers from -lm to lm, exactly
        alpha = np.ones(self.shape[:1], np.float32) if self.alpha is None else self.alpha
        y = self.convolve(whole, weight, self.pad_value * lm) * (alpha / np.float32(lm * lk))
        return y * self.scale_map(x) if self.use_k else y


def check_border(node: Any) -> None:
    """Raise ValueError unless ``pad_value`` and ``use_k`` of a node have allowed values."""
    if type(node.pad_value) is not int or node.pad_value not in (0, 1, -1):
        raise ValueError(f"{node.name}.pad_value must be 0, 1 or -1, got {node.pad_value!r}")
    if type(node.use_k) is not bool:
        raise ValueError(f"{node.name}.use_k must be true or false, got {node.use_k!r}")


def signs_of(words: Words, shape: Shape) -> Float:
    """Packed signs, words uint64 (n,), as ±1 in float32 of ``shape``."""
    # Bytes in one order on every machine; an engine that holds the weights itself leaves words without memory here.
    bits = np.unpackbits(np.ascontiguousarray(words, "<u8").view(np.uint8), count=math.prod(shape), bitorder="little")
    return np.where(bits, np.float32(-1), np.float32(1)).reshape(shape)


# ------------------------------------------------------------------------------------------- windows, in NumPy


def patches(x: Any, size: Sequence[int], stride: Sequence[int]) -> Any:
    """All windows of maps (N, H, W, C), as a view (N, OH, OW, C, KH, KW)."""
    # Not to be written to: windows that overlap share memory.
    view = np.lib.stride_tricks.sliding_window_view(x, tuple(size), axis=(1, 2))
    return view[:, :: stride[0], :: stride[1]]


def bordered(x: Any, padding: tuple[int, int, int, int], value: float = 0.0) -> Any:
    """Maps (N, H, W, C) with a border of (top, bottom, left, right) rows and columns of ``value``."""
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def levels(x: Any, bits: int) -> Float:
    """q_k of arXiv:1603.05279, section 3.2, in [−1, 1]; halves go up, NaN counts as +1."""
    most = np.float32((1 << bits) - 1)
    within = np.where(np.isnan(x), np.float32(1), np.clip(x, np.float32(-1), np.float32(1)))
    # 2 floor(n / 2) + 1 is the nearest odd number, for an even n the one above.
    y: Float = ((2 * np.floor(np.floor(within * most) / 2) + 1) / most).astype(np.float32)
    return y
