"""The fused layers of packed models again in plain NumPy: one thing after the other, on floats, packed at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .checks import Float, Pair, Window, Words
from .finish import Bits, Finish, Run, bits_shape, check_bits, check_map, interior, outputs

Truth = npt.NDArray[np.bool_]
ONE = Window((1, 1), (1, 1), (0, 0))


def signs_of(bits: Bits, c: int) -> Float:
    """A map of bits as ±1 in float32 (..., C)."""
    return np.where(_truth(bits, c), np.float32(-1), np.float32(1))


def _truth(bits: Bits, c: int) -> Truth:
    flat = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=-1, bitorder="little")
    return flat[..., :c].astype(bool)


def _write(bits: Bits, truth: Truth, border: tuple[int, int]) -> None:
    """Bits to the inside of a map."""
    filled = np.zeros((*truth.shape[:-1], -(-truth.shape[-1] // 32) * 32), bool)
    filled[..., : truth.shape[-1]] = truth
    packed = np.packbits(filled, axis=-1, bitorder="little").view("<u4")
    interior(bits, border)[...] = packed


def run_finish(y: Float, finish: Finish, residual: Any, out: Any, bits: Any) -> None:
    for word, *vectors in finish.steps:
        if word == "norm":
            mean, factor, shift = vectors
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
        _write(bits, (y >= low) & (y <= high), check_bits(bits, y.shape))


def patches(x: Any, window: Window) -> Any:
    """All windows of an image with its border, as a view (N, OH, OW, C, KH, KW)."""
    view = np.lib.stride_tricks.sliding_window_view(x, window.size, axis=(1, 2))
    return view[:, :: window.stride[0], :: window.stride[1]]


def _convolve(x: Float, weight: Float, window: Window) -> Float:
    y: Float = np.tensordot(patches(x, window), weight, axes=([4, 5, 3], [1, 2, 3])).astype(np.float32)
    return y


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
        self.shape, self.window = shape, Window.of(shape[1:3], stride, padding)
        self.pad_value = checks.pad_value(pad_value)
        self.alpha = np.ones(shape[0], np.float32) if alpha is None else checks.floats(alpha, "alpha", shape=shape[:1])
        self._stored: Words = signs.copy()
        self._weight = signs_of(signs.view(np.uint32), int(np.prod(shape))).reshape(shape)

    def stored(self) -> Words:
        """See :meth:`binnet_kernels.FusedXnorConv2d.stored`."""
        return self._stored

    def bind(
        self,
        x: Bits,
        x_shape: tuple[int, ...],
        finish: Finish,
        *,
        K: Any = None,
        residual: Any = None,
        out: Any = None,
        bits: Any = None,
    ) -> Run:
        """See :meth:`binnet_kernels.FusedXnorConv2d.bind`."""
        outputs(finish, self._output(x, x_shape), out, bits, residual)

        def run() -> None:
            y = self._dots(x, x_shape) * self.alpha
            run_finish(y if K is None else y * K, finish, residual, out, bits)

        return run

    def bind_bits(self, x: Bits, x_shape: tuple[int, ...], most: Any, flips: Any, bits: Bits) -> Run:
        """See :meth:`binnet_kernels.FusedXnorConv2d.bind_bits`."""
        border = check_bits(bits, self._output(x, x_shape))
        return lambda: _write(bits, (self._dots(x, x_shape) <= most) ^ flips, border)

    def _output(self, x: Bits, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        if x_shape[3] != self.shape[3] or check_bits(x, x_shape, "x") != self.window.padding:
            expected = bits_shape((*x_shape[:3], self.shape[3]), self.window.padding)
            raise ValueError(f"x must be a map of bits {expected}, got {x.shape} of images {tuple(x_shape)}")
        return (x_shape[0], *self.window.output_size(*x_shape[1:3]), self.shape[0])

    def _dots(self, x: Bits, x_shape: tuple[int, ...]) -> Float:
        (ph, pw), (_, h, w, c) = self.window.padding, x_shape
        signs = signs_of(x, c)
        if self.pad_value == 0:
            inside = np.zeros(signs.shape, bool)
            inside[:, ph : ph + h, pw : pw + w] = True
            signs = np.where(inside, signs, np.float32(0))
        return _convolve(signs, self._weight, self.window)


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
        self.shape, self.window = shape, Window.of(shape[1:3], stride, padding)
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
        size = Window(self.window.size, self.window.stride, (0, 0)).output_size(*x.shape[1:3])
        outputs(finish, (len(x), *size, self.shape[0]), out, bits, residual)
        alpha, bias = self._rows
        return lambda: run_finish(_convolve(x, self._weight, self.window) * alpha + bias, finish, residual, out, bits)


def bind_map(
    x: Float, finish: Finish, *, window: Window = ONE, residual: Any = None, out: Any = None, bits: Any = None
) -> Run:
    """See :func:`binnet_kernels.bind_map`."""
    n, h, w, c = check_map(x).shape
    outputs(finish, (n, *window.output_size(h, w), c), out, bits, residual)
    (ph, pw) = window.padding

    def run() -> None:
        wide = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=-np.inf)
        run_finish(patches(wide, window).max(axis=(4, 5)), finish, residual, out, bits)

    return run


def bind_pool_bits(x: Bits, flips: Any, out: Bits, shape: tuple[int, ...], window: Window) -> Run:
    """See :func:`binnet_kernels.bind_pool_bits`."""
    n, h, w, c = shape
    if check_bits(x, shape, "x") != (0, 0):
        raise ValueError(f"x must have no border, got {x.shape} of images {tuple(shape)}")
    border = check_bits(out, (n, *window.output_size(h, w), c), "out")
    (ph, pw) = window.padding

    def run() -> None:
        wide = np.pad(_truth(x, c), ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=True)
        _write(out, patches(wide, window).all(axis=(4, 5)) ^ flips, border)

    return run


def bind_pack_with_k(x: Float, bits: Bits, K: Float, window: Window) -> Run:
    """See :func:`binnet_kernels.bind_pack_with_k`."""
    _, h, w, _ = check_map(x).shape
    checks.output(K, (len(x), *window.output_size(h, w), 1))
    if check_bits(bits, x.shape) != window.padding:
        raise ValueError(f"bits must have the border {window.padding}, got {bits.shape}")
    (ph, pw) = window.padding

    def run() -> None:
        _write(bits, x < 0, window.padding)
        mean_abs_x = np.pad(np.abs(x).mean(axis=-1, keepdims=True), ((0, 0), (ph, ph), (pw, pw), (0, 0)))
        K[...] = patches(mean_abs_x, window).mean(axis=(4, 5), dtype=np.float32)

    return run
