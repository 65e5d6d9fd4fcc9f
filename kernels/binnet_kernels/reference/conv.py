"""The float convolution and all gradients of convolutions, in plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
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


def conv2d(x: Float, weight: Float, window: Window, groups: int, y: Float) -> None:
    """``y`` (N, OH, OW, O) of images (N, H, W, C) and filters (O, KH, KW, C / groups)."""
    padded = bordered(x, window)
    for part, filters, result in zip(*_split(groups, (padded, 3), (weight, 0), (y, 3)), strict=True):
        result[...] = convolve(part, filters, window)


def conv2d_grad_input(grad: Float, weight: Float, window: Window, groups: int, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C) of a gradient (N, OH, OW, O) and filters (O, KH, KW, C / groups)."""
    (sh, sw), (ph, pw), (oh, ow), (h, w) = window.stride, window.padding, grad.shape[1:3], grad_x.shape[1:3]
    padded = bordered(np.zeros_like(grad_x), window)
    for part, filters, result in zip(*_split(groups, (grad, 3), (weight, 0), (padded, 3)), strict=True):
        for r in range(window.size[0]):  # each tap sends the gradient back to the pixels it read
            for s in range(window.size[1]):
                result[:, r : r + sh * oh : sh, s : s + sw * ow : sw] += part @ filters[:, r, s]
    grad_x[...] = padded[:, ph : ph + h, pw : pw + w]


def conv2d_grad_weight(x: Float, grad: Float, window: Window, groups: int, grad_weight: Float) -> None:
    """``grad_weight`` (O, KH, KW, C / groups) of images (N, H, W, C) and a gradient (N, OH, OW, O)."""
    padded = bordered(x, window)
    for part, of_output, result in zip(*_split(groups, (padded, 3), (grad, 3), (grad_weight, 0)), strict=True):
        # Summed over images and places of the window: (O, C, KH, KW).
        sums = np.tensordot(of_output, patches_of(part, window), axes=([0, 1, 2], [0, 1, 2]))
        result[...] = sums.transpose(0, 2, 3, 1)


def _split(groups: int, *arrays: tuple[Float, int]) -> Iterator[list[Float]]:
    """Views of the groups of each array along its axis."""
    return (np.split(array, groups, axis) for array, axis in arrays)


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
    inside, grad_weight = Window.of(window.size, stride, 0), checks.output(out, tuple(weight_shape))
    if np.ndim(bits) == 5:
        checks.map_of_bits(bits, x_shape, window.border, len(bits))
        levels = whole_of_map(bits, x_shape, window, checks.pad_value(pad_value)) / (2 ** len(bits) - 1)
        conv2d_grad_weight(levels.astype(np.float32), grad, inside, 1, grad_weight)
        return grad_weight
    signs = signs_of_map(bits, x_shape, window, checks.pad_value(pad_value))
    conv2d_grad_weight(signs, grad, inside, 1, grad_weight)
    return grad_weight


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
    grad_x = checks.output(out, tuple(x_shape))
    conv2d_grad_input(grad, weight_hat, window, 1, grad_x)
    return grad_x


class Conv2d:
    """A convolution with filters of its own."""

    def __init__(self, weight: Float, window: Window) -> None:
        self._weight, self._window = weight.copy(), window

    def __call__(self, x: Float, y: Float) -> None:
        """``y`` (N, OH, OW, O) of images (N, H, W, C)."""
        conv2d(x, self._weight, self._window, 1, y)
