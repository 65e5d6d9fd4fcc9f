"""The float convolution and all gradients of convolutions, in plain NumPy."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import Float, Pair, Window

T = TypeVar("T", bound=np.generic)


def bordered(x: npt.NDArray[T], window: Window, value: float = 0.0) -> npt.NDArray[T]:
    """Images with the border of a window."""
    top, bottom, left, right = window.border
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def patches_of(padded: npt.NDArray[T], window: Window) -> npt.NDArray[T]:
    """All windows of a padded image, as a view (N, OH, OW, C, KH, KW)."""
    view = np.lib.stride_tricks.sliding_window_view(padded, window.size, axis=(1, 2))
    return view[:, :: window.stride[0], :: window.stride[1]]


def convolve(padded: Float, weight: Float, window: Window) -> Float:
    """Each window of a padded image times each filter, summed."""
    # BLAS chooses the order of the sum: real results agree with the compiled form up to rounding, products of signs
    # exactly, as whole numbers below 2^24 are exact in float32.
    y: Float = np.tensordot(patches_of(padded, window), weight, axes=([4, 5, 3], [1, 2, 3])).astype(np.float32)
    return y


def conv2d(x: Any, weight: Any, stride: Pair = 1, padding: Pair = 0, out: Any = None) -> Float:
    """See :func:`binnet_kernels.conv2d`."""
    x, weight = checks.floats(x, "x", 4), checks.floats(weight, "weight", 4)
    checks.same_channels(x, weight.shape)
    window = Window.of(weight.shape[1:3], stride, padding)
    oh, ow = window.output_size(*x.shape[1:3])
    y = checks.output(out, (x.shape[0], oh, ow, weight.shape[0]))
    y[...] = convolve(bordered(x, window), weight, window)
    return y


def conv2d_grad_input(
    grad: Any, weight: Any, x_shape: tuple[int, ...], stride: Pair = 1, padding: Pair = 0, out: Any = None
) -> Float:
    """See :func:`binnet_kernels.conv2d_grad_input`."""
    weight = checks.floats(weight, "weight", 4)
    window = Window.of(weight.shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, x_shape, weight.shape, window)
    n, h, w, c = x_shape
    (sh, sw), (ph, pw), (oh, ow) = window.stride, window.padding, grad.shape[1:3]
    padded = np.zeros((n, h + 2 * ph, w + 2 * pw, c), np.float32)
    for r in range(window.size[0]):  # each tap sends the gradient back to the pixels it read
        for s in range(window.size[1]):
            padded[:, r : r + sh * oh : sh, s : s + sw * ow : sw] += grad @ weight[:, r, s]
    grad_x = checks.output(out, tuple(x_shape))
    grad_x[...] = padded[:, ph : ph + h, pw : pw + w]
    return grad_x


def conv2d_grad_weight(
    x: Any, grad: Any, weight_shape: tuple[int, ...], stride: Pair = 1, padding: Pair = 0, out: Any = None
) -> Float:
    """See :func:`binnet_kernels.conv2d_grad_weight`."""
    x = checks.floats(x, "x", 4)
    window = Window.of(weight_shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, x.shape, weight_shape, window)
    patches = patches_of(bordered(x, window), window)
    gradient = checks.output(out, tuple(weight_shape))
    gradient[...] = np.tensordot(grad, patches, axes=([0, 1, 2], [0, 1, 2])).transpose(0, 2, 3, 1)
    return gradient


def signs_of_map(bits: Any, x_shape: tuple[int, ...], window: Window, pad_value: int) -> Float:
    """The signs in a map of bits as floats, its border ``pad_value``."""
    (_, h, w, c), (ph, pw) = checks.image_shape(x_shape), window.padding
    halves = checks.map_of_bits(bits, x_shape, window.border).astype("<u4", copy=False)
    negative = np.unpackbits(halves.view(np.uint8), axis=-1, bitorder="little")[..., :c]
    signs = np.where(negative == 1, np.float32(-1), np.float32(1))
    # The border of the map is not read: it holds +1 where `pad_value` is 0.
    return bordered(signs[:, ph : ph + h, pw : pw + w], window, pad_value)


def whole_of_map(planes: Any, x_shape: tuple[int, ...], window: Window, pad_value: int) -> npt.NDArray[np.float64]:
    """The levels in planes of bits as whole numbers, L q, with their border."""
    maps = np.stack([signs_of_map(plane, x_shape, window, pad_value) for plane in planes])
    # float64 holds all of these whole numbers exactly.
    whole: npt.NDArray[np.float64] = np.einsum("i,inhwc->nhwc", 2.0 ** np.arange(len(maps)), maps)
    return whole


def sign_grad_weight(
    bits: Any,
    grad: Any,
    weight_shape: tuple[int, ...],
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    out: Any = None,
) -> Float:
    """See :func:`binnet_kernels.sign_grad_weight`."""
    window = Window.of(weight_shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, x_shape, weight_shape, window)
    if np.ndim(bits) == 5:
        checks.map_of_bits(bits, x_shape, window.border, len(bits))
        levels = whole_of_map(bits, x_shape, window, checks.pad_value(pad_value)) / (2 ** len(bits) - 1)
        return conv2d_grad_weight(levels, grad, weight_shape, stride, out=out)
    signs = signs_of_map(bits, x_shape, window, checks.pad_value(pad_value))
    return conv2d_grad_weight(signs, grad, weight_shape, stride, out=out)


def sign_grad_input(
    grad: Any,
    weight_signs: Any,
    alpha: Any,
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """See :func:`binnet_kernels.sign_grad_input`."""
    words, c = checks.words(weight_signs, "weight_signs", 4), checks.image_shape(x_shape)[3]
    window = Window.of(words.shape[1:3], stride, padding)
    words = checks.packed(words, c, "weight_signs")
    grad = checks.conv_grad(grad, x_shape, (*words.shape[:3], c), window)
    alpha = checks.floats(alpha, "alpha", shape=words.shape[:1])
    negative = np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), axis=-1, bitorder="little")[..., :c]
    weight_hat = np.where(negative == 1, np.float32(-1), np.float32(1)) * alpha[:, None, None, None]
    return conv2d_grad_input(grad, weight_hat, x_shape, stride, padding, out)


class Conv2d:
    """See :class:`binnet_kernels.Conv2d`."""

    def __init__(self, weight: Any, stride: Pair = 1, padding: Pair = 0) -> None:
        self.weight = checks.floats(weight, "weight", 4).copy()
        self.window = Window.of(self.weight.shape[1:3], stride, padding)

    def __call__(self, x: Any, out: Any = None) -> Float:
        return conv2d(x, self.weight, self.window.stride, self.window.padding, out)
