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


class Conv2d:
    """See :class:`binnet_kernels.Conv2d`."""

    def __init__(self, weight: Any, stride: Pair = 1, padding: Pair = 0) -> None:
        self.weight = checks.floats(weight, "weight", 4).copy()
        self.window = Window.of(self.weight.shape[1:3], stride, padding)

    def __call__(self, x: Any, out: Any = None) -> Float:
        return conv2d(x, self.weight, self.window.stride, self.window.padding, out)
