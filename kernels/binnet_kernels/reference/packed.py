"""The fused layers of packed models again in plain NumPy: one thing after the other, on floats, packed at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..bit_map import BitMap, Bits, check_bits
from ..checks import NO_BORDER, Float, Pair, Window, Words
from ..finish import Finish, Run, check_map, outputs
from .conv import bordered, convolve, patches_of

Truth = npt.NDArray[np.bool_]
ONE = Window((1, 1), (1, 1), NO_BORDER)


def signs_of(bits: Bits, c: int) -> Float:
    """A map of bits as ±1 in float32 (..., C)."""
    return np.where(_truth(bits, c), np.float32(-1), np.float32(1))


def _truth(bits: Bits, c: int) -> Truth:
    flat = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=-1, bitorder="little")
    return flat[..., :c].astype(bool)


def _write(bits: BitMap, truth: Truth) -> None:
    """Bits to the inside of a map."""
    filled = np.zeros((*truth.shape[:-1], -(-truth.shape[-1] // 32) * 32), bool)
    filled[..., : truth.shape[-1]] = truth
    bits.inside[...] = np.packbits(filled, axis=-1, bitorder="little").view("<u4")


def run_finish(y: Float, finish: Finish, residual: Any, out: Any, bits: Any) -> None:
    for word, *vectors in finish.steps:
        if word == "norm":
            mean, factor, shift = vectors
            # Three float32 roundings, as in the compiled tail.
            y = (y - mean) * factor + shift
        elif word == "relu":
            y = np.where(y < 0, np.float32(0), y)
        elif word == "prelu":
            y = np.where(y < 0, y * vectors[0], y)
        elif word == "sign":
            y = np.where(y < 0, np.float32(-1), np.float32(1))
        else:
            y = y + residual
    if out is not None:
        out[...] = y
    if bits is not None and finish.limits is not None:
        low, high = finish.limits
        _write(bits, (y >= low) & (y <= high))


class FusedXnorConv2d:
    """See :class:`binnet_kernels.FusedXnorConv2d`."""

    def __init__(
        self,
        signs: Any,
        shape: tuple[int, ...],
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = None,
    ) -> None:
        signs = checks.packed(signs, int(np.prod(shape)), "signs", 1)
        self.shape, self.window = shape, Window.with_border(shape[1:3], stride, padding)
        self.pad_value = checks.pad_value(pad_value)
        self.alpha = np.ones(shape[0], np.float32) if alpha is None else checks.floats(alpha, "alpha", shape=shape[:1])
        self._stored: Words = signs.copy()
        self._weight = signs_of(signs.view(np.uint32), int(np.prod(shape))).reshape(shape)

    def stored(self) -> Words:
        """See :meth:`binnet_kernels.FusedXnorConv2d.stored`."""
        return self._stored

    def bind(
        self,
        x: BitMap,
        finish: Finish,
        *,
        K: Any = None,
        residual: Any = None,
        out: Any = None,
        bits: Any = None,
    ) -> Run:
        """See :meth:`binnet_kernels.FusedXnorConv2d.bind`."""
        outputs(finish, self._output(x), out, bits, residual)

        def run() -> None:
            y = self._dots(x) * self.alpha
            run_finish(y if K is None else y * K, finish, residual, out, bits)

        return run

    def bind_bits(self, x: BitMap, most: Any, flips: Any, bits: BitMap) -> Run:
        """See :meth:`binnet_kernels.FusedXnorConv2d.bind_bits`."""
        check_bits(bits, "bits", self._output(x))
        return lambda: _write(bits, (self._dots(x) <= most) ^ flips)

    def _output(self, x: BitMap) -> tuple[int, ...]:
        n, h, w, _ = check_bits(x, "x", (None, None, None, self.shape[3]), self.window.border).shape
        return (n, *self.window.output_size(h, w), self.shape[0])

    def _dots(self, x: BitMap) -> Float:
        # Bits cannot hold 0. Here zeros stand around floats; the compiled form takes +1 and corrects the sums.
        if self.pad_value == 0:
            signs = bordered(signs_of(x.inside, x.shape[3]), self.window)
        else:
            signs = signs_of(x.words, x.shape[3])
        return convolve(signs, self._weight, self.window)


class FusedConv2d:
    """See :class:`binnet_kernels.FusedConv2d`."""

    def __init__(
        self,
        weight: Any,
        shape: tuple[int, ...],
        stride: Pair = 1,
        padding: Pair = 0,
        alpha: Any = None,
        bias: Any = None,
    ) -> None:
        self.shape, self.window = shape, Window.with_border(shape[1:3], stride, padding)
        rows = (np.ones(shape[0]) if alpha is None else alpha, np.zeros(shape[0]) if bias is None else bias)
        self._rows = tuple(checks.floats(r, name, shape=shape[:1]) for r, name in zip(rows, ("alpha", "bias")))
        if np.asarray(weight).dtype == np.uint64:
            signs = checks.packed(weight, int(np.prod(shape)), "weight", 1)
            self._stored: npt.NDArray[Any] = signs.copy()
            self._weight = signs_of(signs.view(np.uint32), int(np.prod(shape))).reshape(shape)
        else:
            self._stored = self._weight = checks.floats(weight, "weight", shape=shape).copy()

    def stored(self) -> npt.NDArray[Any]:
        """See :meth:`binnet_kernels.FusedConv2d.stored`."""
        return self._stored

    def bind(self, x: Float, finish: Finish, *, residual: Any = None, out: Any = None, bits: Any = None) -> Run:
        """See :meth:`binnet_kernels.FusedConv2d.bind`."""
        x = check_map(x)
        checks.same_channels(x, self.shape)
        size = replace(self.window, border=NO_BORDER).output_size(*x.shape[1:3])
        outputs(finish, (len(x), *size, self.shape[0]), out, bits, residual)
        alpha, bias = self._rows
        return lambda: run_finish(convolve(x, self._weight, self.window) * alpha + bias, finish, residual, out, bits)


def bind_map(
    x: Float, finish: Finish, *, window: Window = ONE, residual: Any = None, out: Any = None, bits: Any = None
) -> Run:
    """See :func:`binnet_kernels.bind_map`."""
    n, h, w, c = check_map(x).shape
    outputs(finish, (n, *window.output_size(h, w), c), out, bits, residual)

    def run() -> None:
        # The border is never the largest value.
        wide = bordered(x, window, -np.inf)
        run_finish(patches_of(wide, window).max(axis=(4, 5)), finish, residual, out, bits)

    return run


def bind_pool_bits(x: BitMap, flips: Any, out: BitMap, window: Window) -> Run:
    """See :func:`binnet_kernels.bind_pool_bits`."""
    n, h, w, c = check_bits(x, "x", (None,) * 4, NO_BORDER).shape
    check_bits(out, "out", (n, *window.output_size(h, w), c))

    def run() -> None:
        # True leaves an AND as it is, so the border plays no part.
        wide = bordered(_truth(x.words, c), window, True)
        _write(out, patches_of(wide, window).all(axis=(4, 5)) ^ flips)

    return run


def bind_pack_with_k(x: Float, bits: BitMap, K: Float, window: Window) -> Run:
    """See :func:`binnet_kernels.bind_pack_with_k`."""
    _, h, w, _ = check_map(x).shape
    checks.output(K, (len(x), *window.output_size(h, w), 1))
    check_bits(bits, "bits", x.shape, window.border)

    def run() -> None:
        _write(bits, x < 0)
        mean_abs_x = bordered(np.abs(x).mean(axis=-1, keepdims=True), window)
        K[...] = patches_of(mean_abs_x, window).mean(axis=(4, 5), dtype=np.float32)

    return run
