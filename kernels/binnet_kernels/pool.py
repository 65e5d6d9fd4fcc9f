"""Max and average pooling over windows, and their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .backend import POOLING, Late, front_door, in_numpy
from .checks import Float, Pair, Window, Winners

if TYPE_CHECKING:
    from .compiled.forward import pool as compiled
    from .reference import maps as reference
else:
    reference = Late("binnet_kernels.reference.maps")
    compiled = Late("binnet_kernels.compiled.forward.pool")


@front_door(POOLING)
def max_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """The largest value of each window; the border never wins, NaN always does.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    kernel_size : int or pair of ints
    stride : int or pair of ints, optional
        The window's size when not given.
    padding : int or pair of ints
        Less than the window.

    Returns
    -------
    float32 (N, OH, OW, C)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or the padded image is smaller than the window.
    """
    x, window, y = _input_and_output(x, kernel_size, stride, padding)
    (reference.max_pool2d if in_numpy() else compiled.max_pool2d)(x, window, y)
    return y


@front_door(POOLING)
def max_pool2d_winners(
    x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> tuple[Float, Winners]:
    """:func:`max_pool2d`, and which tap of each window has won: all that the gradient asks for, without ``x``.

    Parameters
    ----------
    x, kernel_size, stride, padding
        As in :func:`max_pool2d`; at most 65,536 taps.

    Returns
    -------
    y : float32 (N, OH, OW, C)
    winners : uint16 (N, OH, OW, 32 ceil(C / 32))
        The first maximum of a window (the first NaN, if any), counted row by row from the window's corner, on the
        border or not. Those past the last channel mean nothing.

    Raises
    ------
    TypeError, ValueError
        As :func:`max_pool2d`, and when the window has too many taps.
    """
    x, window = _image_and_window(x, kernel_size, stride, padding)
    winners = np.zeros(_winners_shape(x.shape, window), np.uint16)
    y = np.empty((*winners.shape[:3], x.shape[3]), np.float32)
    (reference.max_pool2d_winners if in_numpy() else compiled.max_pool2d_winners)(x, window, y, winners)
    return y, winners


@front_door(POOLING)
def max_pool2d_grad(grad: Any, x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """Gradient of :func:`max_pool2d`: all of it to the first maximum of a window, row by row (the first NaN, if any).

    Parameters
    ----------
    grad : array (N, OH, OW, C) of real numbers
        Gradient of the output.
    x : array (N, H, W, C) of real numbers
        The input.
    kernel_size, stride, padding
        As in :func:`max_pool2d_winners`.

    Returns
    -------
    float32 (N, H, W, C)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or the window has too many taps.
    """
    x, window = _image_and_window(x, kernel_size, stride, padding)
    grad = _checked_grad(grad, x.shape, window)
    return _to_winners(grad, max_pool2d_winners(x, kernel_size, stride, padding)[1], x.shape, window)


@front_door(POOLING)
def max_pool2d_grad_winners(
    grad: Any,
    winners: Any,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
) -> Float:
    """:func:`max_pool2d_grad` from the ``winners`` of :func:`max_pool2d_winners` and the shape of ``x``."""
    window = pool_window(kernel_size, stride, padding)
    grad = _checked_grad(grad, x_shape, window)
    return _to_winners(grad, _checked_winners(winners, x_shape, window), x_shape, window)


@front_door(POOLING)
def avg_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """The mean of each window, the border counted as zeros (always divided by ``kh * kw``).

    Parameters, result and errors as in :func:`max_pool2d`. The mean of a whole image is that of one window.
    """
    x, window, y = _input_and_output(x, kernel_size, stride, padding)
    (reference.avg_pool2d if in_numpy() else compiled.avg_pool2d)(x, window, y)
    return y


@front_door(POOLING)
def avg_pool2d_grad(
    grad: Any, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Float:
    """Gradient of :func:`avg_pool2d` (N, OH, OW, C): an equal share to each value of a window, float32 (N, H, W, C)."""
    window = pool_window(kernel_size, stride, padding)
    grad, grad_x = _checked_grad(grad, x_shape, window), np.empty(x_shape, np.float32)
    (reference.avg_pool2d_grad if in_numpy() else compiled.avg_pool2d_grad)(grad, window, grad_x)
    return grad_x


def _image_and_window(x: Any, kernel_size: Pair, stride: Pair | None, padding: Pair) -> tuple[Float, Window]:
    """Images (N, H, W, C) of at least one pixel, and the window, which fits into them."""
    images, window = checks.floats(x, "x", 4), pool_window(kernel_size, stride, padding)
    window.output_size(*images.shape[1:3])
    if 0 in images.shape[1:3]:  # a window over padding alone would have no value
        raise ValueError(f"x must have images of at least one pixel, got shape {images.shape}")
    return images, window


def _input_and_output(x: Any, kernel_size: Pair, stride: Pair | None, padding: Pair) -> tuple[Float, Window, Float]:
    """Images, the window, and room for a value of each channel and window."""
    x, window = _image_and_window(x, kernel_size, stride, padding)
    return x, window, np.empty((len(x), *window.output_size(*x.shape[1:3]), x.shape[3]), np.float32)


def _to_winners(grad: Float, winners: Winners, x_shape: tuple[int, ...], window: Window) -> Float:
    grad_x = np.empty(x_shape, np.float32)
    form = reference.max_pool2d_grad_winners if in_numpy() else compiled.max_pool2d_grad_winners
    form(grad, winners, window, grad_x)
    return grad_x


def pool_window(kernel_size: Pair, stride: Pair | None, padding: Pair) -> Window:
    """A pooling window; the stride is the window itself unless given, the padding less than the window."""
    window = Window.of(kernel_size, kernel_size if stride is None else stride, padding)
    if window.padding[0] >= window.size[0] or window.padding[1] >= window.size[1]:
        raise ValueError(f"padding must be smaller than the pooling window {window.size}, got {window.padding}")
    return window


def _checked_grad(grad: Any, x_shape: tuple[int, ...], window: Window) -> Float:
    """The gradient of a pooling's output: (N, OH, OW, C)."""
    if len(x_shape) != 4:
        raise ValueError(f"x must be (N, H, W, C), got {tuple(x_shape)}")
    return checks.floats(grad, "grad", shape=(x_shape[0], *window.output_size(*x_shape[1:3]), x_shape[3]))


def _winners_shape(x_shape: tuple[int, ...], window: Window) -> tuple[int, int, int, int]:
    """The shape of the numbers of the winning taps of images (N, H, W, C), which must fit 16 bits."""
    if window.size[0] * window.size[1] > 1 << 16:
        raise ValueError(f"a pooling window has at most 65,536 taps, got {window.size[0]}x{window.size[1]}")
    oh, ow = window.output_size(*x_shape[1:3])
    return x_shape[0], oh, ow, -(-x_shape[3] // 32) * 32


def _checked_winners(value: Any, x_shape: tuple[int, ...], window: Window) -> Winners:
    """Winners as a max-pooling has given them."""
    array, shape = np.asarray(value), _winners_shape(x_shape, window)
    if array.dtype != np.uint16:
        raise TypeError(f"winners must be an array of uint16, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"winners must have shape {shape}, got {array.shape}")
    return checks.plain(array, np.dtype(np.uint16))
