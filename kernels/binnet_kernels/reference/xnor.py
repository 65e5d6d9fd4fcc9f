"""Binary convolutions in plain NumPy: signs, their products, the scale map K, XNOR and BWN layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..checks import Float, Ints, Pair, Window
from .bits import pack_signs, sign, weight_alpha
from .conv import bordered, conv2d, convolve, signs_of_map

# ---------------------------------------------------------------------------------------------- bits


def unpack_signs(words: Any, n: int) -> Float:
    """See :func:`binnet_kernels.unpack_signs`."""
    words = checks.packed(words, n)
    bits = np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), axis=-1, bitorder="little")
    return np.where(bits[..., :n] == 1, np.float32(-1), np.float32(1))


def xnor_gemm(a: Any, b: Any, n: int) -> Ints:
    """See :func:`binnet_kernels.xnor_gemm`."""
    a, b = checks.packed(a, n, "a", 2), checks.packed(b, n, "b", 2)
    differing = sum(
        (np.bitwise_count(a[:, None, i] ^ b[None, :, i]).astype(np.int32) for i in range(a.shape[1])),
        np.zeros((a.shape[0], b.shape[0]), np.int32),
    )
    dots: Ints = np.int32(n) - 2 * differing
    return dots


# ---------------------------------------------------------------------------------------------- scales


def scale_map(x: Any, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0) -> Float:
    """See :func:`binnet_kernels.scale_map`."""
    x, window = checks.floats(x, "x", 4), Window.with_border(kernel_size, stride, padding)
    window.output_size(*x.shape[1:3])
    mean_abs_x = np.abs(x).mean(axis=-1, keepdims=True)  # A
    box = np.full((1, *window.size, 1), 1 / (window.size[0] * window.size[1]), np.float32)  # k
    return convolve(bordered(mean_abs_x, window), box, window)  # K = A * k


# ---------------------------------------------------------------------------------------------- convolutions


class XnorConv2d:
    """See :class:`binnet_kernels.XnorConv2d`."""

    def __init__(
        self,
        weight: Any,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = True,
        use_k: bool = False,
        bias: Any = None,
    ) -> None:
        weight = checks.filters(weight, 4)
        self.window = Window.of(weight.shape[1:3], stride, padding)
        self.pad_value, self.use_k = checks.pad_value(pad_value), use_k
        self.alpha, self.weight_sign, self.weight_signs = _alpha(alpha, weight), sign(weight), pack_signs(weight)
        self.bias = checks.bias(bias, len(weight))

    def __call__(self, x: Any, out: Any = None) -> Float:
        x = checks.floats(x, "x", 4)
        checks.same_channels(x, self.weight_sign.shape)
        oh, ow = self.window.output_size(*x.shape[1:3])
        y = checks.output(out, (x.shape[0], oh, ow, len(self.alpha)))
        self._convolve(bordered(sign(x), self.window, self.pad_value), y)
        if self.use_k:
            y *= scale_map(x, self.window.size, self.window.stride, self.window.padding)
        if self.bias is not None:
            y += self.bias
        return y

    def convolve_bits(self, bits: Any, x_shape: tuple[int, ...], relu: bool = False, out: Any = None) -> Float:
        if self.use_k:
            raise ValueError("bits do not tell K: a plan with use_k convolves real images only")
        signs = signs_of_map(bits, x_shape, self.window, self.pad_value)
        checks.same_depth(x_shape, self.weight_sign.shape)
        y = checks.output(out, (x_shape[0], *self.window.output_size(*x_shape[1:3]), len(self.alpha)))
        self._convolve(signs, y)
        if self.bias is not None:
            y += self.bias
        if relu:
            y[y < 0] = 0
        return y

    def _convolve(self, signs: Float, y: Float) -> None:
        y[...] = convolve(signs, self.weight_sign, self.window)  # exact: whole numbers below 2^24
        y *= self.alpha


class XnorLinear:
    """See :class:`binnet_kernels.XnorLinear`."""

    def __init__(self, weight: Any, alpha: Any = True, use_k: bool = False, bias: Any = None) -> None:
        weight = checks.filters(weight, 2)
        self._conv = XnorConv2d(weight[:, None, None], alpha=alpha, use_k=use_k, bias=bias)

    def __call__(self, x: Any, out: Any = None) -> Float:
        return _as_pixels(self._conv, x, out, len(self._conv.alpha))


class BwnConv2d:
    """See :class:`binnet_kernels.BwnConv2d`."""

    def __init__(self, weight: Any, stride: Pair = 1, padding: Pair = 0, alpha: Any = True) -> None:
        weight = checks.filters(weight, 4)
        self.window = Window.of(weight.shape[1:3], stride, padding)
        self.alpha, self.weight_sign = _alpha(alpha, weight), sign(weight)

    def __call__(self, x: Any, out: Any = None) -> Float:
        x = checks.floats(x, "x", 4)
        checks.same_channels(x, self.weight_sign.shape)
        y = checks.output(out, (len(x), *self.window.output_size(*x.shape[1:3]), len(self.alpha)))
        conv2d(x, self.weight_sign, self.window, 1, y)
        y *= self.alpha
        return y


class BwnLinear:
    """See :class:`binnet_kernels.BwnLinear`."""

    def __init__(self, weight: Any, alpha: Any = True) -> None:
        weight = checks.filters(weight, 2)
        self._conv = BwnConv2d(weight[:, None, None], alpha=alpha)

    def __call__(self, x: Any, out: Any = None) -> Float:
        return _as_pixels(self._conv, x, out, len(self._conv.alpha))


def _alpha(alpha: Any, weight: Float) -> Float:
    return checks.alpha(alpha, weight, weight_alpha)


def _as_pixels(conv: Any, x: Any, out: Any, o: int) -> Float:
    """Run a 1x1 convolution on rows (N, I): a dense layer is one whose image has a single pixel."""
    x = checks.floats(x, "x", 2)
    y = checks.output(out, (len(x), o))
    conv(x[:, None, None], out=y[:, None, None])
    return y
