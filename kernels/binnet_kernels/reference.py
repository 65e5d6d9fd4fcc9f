"""Every public kernel again in plain NumPy, a few lines each, to read beside the paper (arXiv:1603.05279).

The functions and classes here have the names, arguments, results and errors of the fast ones in ``binnet_kernels``,
and are the second of the three forms each kernel has (naive loops stand in the tests). Integers agree exactly between
the backends; floating-point sums agree up to the order of summation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import checks
from .bit_map import BitMap as BitMap
from .checks import Float, Ints, Pair, Window
from .finish import Finish as Finish
from .reference_bits import pack_signs as pack_signs
from .reference_bits import sign as sign
from .reference_bits import weight_alpha as weight_alpha
from .reference_conv import Conv2d as Conv2d
from .reference_conv import bordered, convolve, signs_of_map
from .reference_conv import conv2d as conv2d
from .reference_conv import conv2d_grad_input as conv2d_grad_input
from .reference_conv import conv2d_grad_weight as conv2d_grad_weight
from .reference_conv import sign_grad_input as sign_grad_input
from .reference_conv import sign_grad_weight as sign_grad_weight
from .reference_elementwise import add as add
from .reference_elementwise import norm_relu as norm_relu
from .reference_elementwise import norm_signs as norm_signs
from .reference_elementwise import norm_signs_grad as norm_signs_grad
from .reference_elementwise import relu as relu
from .reference_elementwise import relu_grad as relu_grad
from .reference_elementwise import signs as signs
from .reference_grouped import grouped_conv2d as grouped_conv2d
from .reference_grouped import grouped_conv2d_grad_input as grouped_conv2d_grad_input
from .reference_grouped import grouped_conv2d_grad_weight as grouped_conv2d_grad_weight
from .reference_kbit import FusedKbitConv2d as FusedKbitConv2d
from .reference_kbit import KbitConv2d as KbitConv2d
from .reference_kbit import KbitLinear as KbitLinear
from .reference_kbit import pack_planes as pack_planes
from .reference_kbit import quantise_input as quantise_input
from .reference_kbit import quantise_weight as quantise_weight
from .reference_kbit import weight_planes as weight_planes
from .reference_kbit import weight_range as weight_range
from .reference_packed import FusedConv2d as FusedConv2d
from .reference_packed import FusedXnorConv2d as FusedXnorConv2d
from .reference_packed import bind_map as bind_map
from .reference_packed import bind_pack_with_k as bind_pack_with_k
from .reference_packed import bind_pool_bits as bind_pool_bits
from .reference_pool import avg_pool2d as avg_pool2d
from .reference_pool import avg_pool2d_grad as avg_pool2d_grad
from .reference_pool import max_pool2d as max_pool2d
from .reference_pool import max_pool2d_grad as max_pool2d_grad
from .reference_pool import max_pool2d_grad_winners as max_pool2d_grad_winners
from .reference_pool import max_pool2d_winners as max_pool2d_winners
from .reference_quantised import QuantisedGradient as QuantisedGradient
from .reference_quantised import quantise_gradient as quantise_gradient
from .reference_quantised import quantised_grad_input as quantised_grad_input
from .reference_quantised import quantised_grad_weight as quantised_grad_weight
from .reference_training import (  # one vocabulary, in several files
    adam_update as adam_update,
)
from .reference_training import (
    adam_update_filters as adam_update_filters,
)
from .reference_training import (
    batch_norm as batch_norm,
)
from .reference_training import (
    batch_norm_grad as batch_norm_grad,
)
from .reference_training import (
    batch_norm_inference as batch_norm_inference,
)
from .reference_training import (
    batch_statistics as batch_statistics,
)
from .reference_training import (
    grad_alpha as grad_alpha,
)
from .reference_training import (
    sgd_update as sgd_update,
)
from .reference_training import (
    sgd_update_filters as sgd_update_filters,
)
from .reference_training import (
    softmax_cross_entropy as softmax_cross_entropy,
)
from .reference_training import (
    softmax_cross_entropy_grad as softmax_cross_entropy_grad,
)
from .reference_training import (
    weight_gradient as weight_gradient,
)
from .reference_training import (
    weight_hat as weight_hat,
)

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
        y[...] = conv2d(signs, self.weight_sign, self.window.stride)  # exact: whole numbers below 2^24
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
        y = conv2d(x, self.weight_sign, self.window.stride, self.window.padding, out)
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
