"""Levels of k bits again in plain NumPy (arXiv:1603.05279, end of section 3.2): convolutions of whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import Float, Pair, Window, Words
from ..finish import Finish, Run, check_map, outputs
from ..kbit_ranges import RANGES, stretch
from .conv import bordered, patches_of
from .lowbit.maps import whole_of_map
from .packed import run_finish, signs_of
from .valued import pack_signs, scale_map, weight_alpha


def quantise_input(x: Any, bits: int) -> Float:
    """See :func:`binnet_kernels.quantise_input`."""
    x, levels = checks.floats(x, "x"), np.float32(checks.levels(bits, "bits"))
    within = np.where(np.isnan(x), np.float32(1), np.clip(x, np.float32(-1), np.float32(1)))
    between = np.floor(np.floor(within * levels) / 2)  # L x / 2 rounded down: half of L is added to round halves up
    return ((2 * between + 1) / levels).astype(np.float32)


def weight_range(weight: Any, bits: int) -> Float:
    """See :func:`binnet_kernels.weight_range`."""
    checks.levels(bits, "bits")
    return weight_alpha(weight) * np.float32(RANGES[bits - 1])


def quantise_weight(weight: Any, bits: int) -> Float:
    """See :func:`binnet_kernels.quantise_weight`."""
    weight = checks.filters(weight)
    return levels_within(weight, weight_range(weight, bits), bits)


def levels_within(weight: Float, ranges: Float, bits: int) -> Float:
    """q_k(W / r) for a range r of each filter."""
    factor = stretch(ranges, bits).reshape(-1, *(1,) * (weight.ndim - 1))
    with np.errstate(invalid="ignore"):
        return quantise_input(weight * factor, bits)


def weight_planes(weight: Any, bits: int) -> Words:
    """See :func:`binnet_kernels.weight_planes`."""
    return pack_planes(quantise_weight(weight, bits), bits)


def level_codes(x: Any, levels: int) -> npt.NDArray[np.int64]:
    """The code of the level of each value, counted from the top; ``levels`` is L."""
    return np.rint((1 - quantise_input(x, levels.bit_length())) * levels / 2).astype(np.int64)


def pack_planes(x: Any, bits: int) -> Words:
    """See :func:`binnet_kernels.pack_planes`."""
    codes = level_codes(np.atleast_1d(x), checks.levels(bits, "bits"))
    return np.stack([pack_signs(-(codes >> i & 1)) for i in range(bits)])


class FusedKbitConv2d:
    """See :class:`binnet_kernels.FusedKbitConv2d`."""

    def __init__(
        self,
        planes: Any,
        shape: tuple[int, ...],
        act_bits: int,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = None,
        use_k: bool = False,
    ) -> None:
        if np.ndim(planes) == 5:
            signs = signs_of(checks.packed(planes, shape[3], "planes").view(np.uint32), shape[3])
            planes = pack_signs(signs.reshape(len(signs), -1))
        planes = checks.packed(planes, int(np.prod(shape)), "planes", 2)
        self.shape, self.window, self.act_bits = shape, Window.with_border(shape[1:3], stride, padding), act_bits
        self.pad_value, self.use_k = checks.pad_value(pad_value), use_k
        self.levels = checks.levels_of_both(act_bits, len(planes), int(np.prod(shape[1:])))
        self.alpha = np.ones(shape[0], np.float32) if alpha is None else checks.floats(alpha, "alpha", shape=shape[:1])
        self._stored: Words = planes.copy()
        signs = np.stack([signs_of(plane.view(np.uint32), int(np.prod(shape))) for plane in planes])
        self._weight = (2.0 ** np.arange(len(planes)) @ signs).reshape(shape)  # L_k q, whole numbers

    def stored(self) -> Words:
        """See :meth:`binnet_kernels.FusedKbitConv2d.stored`."""
        return self._stored

    def bind(self, x: Float, finish: Finish, *, residual: Any = None, out: Any = None, bits: Any = None) -> Run:
        """See :meth:`binnet_kernels.FusedKbitConv2d.bind`."""
        n, h, w, _ = check_map(x).shape
        checks.same_channels(x, self.shape)
        outputs(finish, (n, *self.window.output_size(h, w), self.shape[0]), out, bits, residual)
        return lambda: run_finish(self._convolve(x), finish, residual, out, bits)

    def _convolve(self, x: Float) -> Float:
        lm, window = self.levels[0], self.window
        whole = np.rint(quantise_input(x, self.act_bits).astype(np.float64) * lm)
        y = self.convolve_whole(bordered(whole, window, self.pad_value * lm))
        return y * scale_map(x, window.size, window.stride, window.border) if self.use_k else y

    def convolve_whole(self, wide: npt.NDArray[np.float64]) -> Float:
        """For L q of the input, whole numbers with their border."""
        seen = patches_of(wide, self.window)
        sums = np.tensordot(seen, self._weight, axes=([4, 5, 3], [1, 2, 3]))  # exact in float64
        y: Float = sums.astype(np.float32) * (self.alpha / np.float32(self.levels[0] * self.levels[1]))
        return y


class KbitConv2d:
    """See :class:`binnet_kernels.KbitConv2d`."""

    def __init__(
        self,
        weight: Any,
        weight_bits: int,
        act_bits: int,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = True,
        use_k: bool = False,
        bias: Any = None,
    ) -> None:
        weight = checks.filters(weight, 4)
        checks.levels(weight_bits, "weight_bits")
        self.alpha = checks.alpha(alpha, weight, lambda w: weight_range(w, weight_bits))
        planes = weight_planes(weight, weight_bits)
        self.weight_signs = planes[-1]
        self._fused = FusedKbitConv2d(planes, weight.shape, act_bits, stride, padding, pad_value, self.alpha, use_k)
        self.bias = checks.bias(bias, len(weight))

    def __call__(self, x: Any, out: Any = None) -> Float:
        x, fused = checks.floats(x, "x", 4), self._fused
        checks.same_channels(x, fused.shape)
        y = checks.output(out, (len(x), *fused.window.output_size(*x.shape[1:3]), fused.shape[0]))
        fused.bind(x, Finish(), out=y)()
        if self.bias is not None:
            y += self.bias
        return y

    def convolve_bits(self, bits: Any, x_shape: tuple[int, ...], relu: bool = False, out: Any = None) -> Float:
        """See :meth:`binnet_kernels.KbitConv2d.convolve_bits`."""
        fused = self._fused
        if fused.use_k:
            raise ValueError("bits do not tell K: a plan with use_k convolves real images only")
        bits = checks.map_of_bits(bits, x_shape, fused.window.border, fused.act_bits)
        checks.same_depth(x_shape, fused.shape)
        y = checks.output(out, (x_shape[0], *fused.window.output_size(*x_shape[1:3]), fused.shape[0]))
        y[...] = fused.convolve_whole(whole_of_map(bits, x_shape, fused.window, fused.pad_value))
        if self.bias is not None:
            y += self.bias
        if relu:
            y[y < 0] = 0
        return y


class KbitLinear:
    """See :class:`binnet_kernels.KbitLinear`."""

    def __init__(
        self, weight: Any, weight_bits: int, act_bits: int, alpha: Any = True, use_k: bool = False, bias: Any = None
    ) -> None:
        weight = checks.filters(weight, 2)
        options = {"alpha": alpha, "use_k": use_k, "bias": bias}
        self._conv = KbitConv2d(weight[:, None, None], weight_bits, act_bits, **options)
        self.shape = weight.shape

    def __call__(self, x: Any, out: Any = None) -> Float:
        x = checks.floats(x, "x", 2)
        y = checks.output(out, (len(x), self.shape[0]))
        self._conv(x[:, None, None], out=y[:, None, None])
        return y
