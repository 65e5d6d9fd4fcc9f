"""Max and average pooling over windows, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from . import checks
from ._jit import kernel
from .checks import Float, Pair, Window


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
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    y = np.empty((len(x), *window.output_size(*x.shape[1:3]), x.shape[3]), np.float32)
    if y.size:
        _max_pool(x.ravel(), y.ravel(), *_sizes(x.shape, y.shape, window))
    return y


def max_pool2d_grad(grad: Any, x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """Gradient of :func:`max_pool2d`: all of it to the first maximum of a window, row by row (the first NaN, if any).

    Parameters
    ----------
    grad : array (N, OH, OW, C) of real numbers
        Gradient of the output.
    x : array (N, H, W, C) of real numbers
        The input.
    kernel_size, stride, padding
        As in :func:`max_pool2d`.

    Returns
    -------
    float32 (N, H, W, C)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    grad = checks.pool_grad(grad, x.shape, window)
    grad_x = np.zeros(x.shape, np.float32)
    if grad.size:
        n, c = x.shape[0], x.shape[3]
        best, winner = np.empty(n * c, np.float32), np.empty(n * c, np.int64)  # of one window of each image
        sizes = _sizes(x.shape, grad.shape, window)
        _max_pool_grad(grad.ravel(), x.ravel(), best, winner, grad_x.ravel(), *sizes)
    return grad_x


def avg_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """The mean of each window, the border counted as zeros (always divided by ``kh * kw``).

    Parameters, result and errors as in :func:`max_pool2d`.
    """
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    y = np.empty((len(x), *window.output_size(*x.shape[1:3]), x.shape[3]), np.float32)
    if y.size:
        _avg_pool(x.ravel(), y.ravel(), *_sizes(x.shape, y.shape, window))
    return y


def avg_pool2d_grad(
    grad: Any, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Float:
    """Gradient of :func:`avg_pool2d` (N, OH, OW, C): an equal share to each value of a window, float32 (N, H, W, C)."""
    window = checks.pool_window(kernel_size, stride, padding)
    grad = checks.pool_grad(grad, x_shape, window)
    grad_x = np.zeros(x_shape, np.float32)
    if grad.size:
        _avg_pool_grad(grad.ravel(), grad_x.ravel(), *_sizes(x_shape, grad.shape, window))
    return grad_x


def _sizes(x_shape: tuple[int, ...], y_shape: tuple[int, ...], window: Window) -> tuple[int, ...]:
    return (*x_shape, *y_shape[1:3], *window.size, *window.stride, *window.padding)


# Each kernel visits the taps of a window that lie inside the image, channels innermost. The gradients of overlapping
# windows add up, so there an image belongs to one thread.


@kernel
def _max_pool(x, y, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    for line in prange(n * oh):
        top = line % oh * sh - ph
        for col in range(ow):
            left, target = col * sw - pw, (line * ow + col) * c
            for i in range(c):
                y[target + i] = np.float32(-np.inf)
            for row in range(max(top, 0), min(top + kh, h)):
                for s in range(max(left, 0), min(left + kw, w)):
                    source = ((line // oh * h + row) * w + s) * c
                    for i in range(c):
                        value, best = x[source + i], y[target + i]
                        y[target + i] = value if value > best or value != value else best


@kernel
def _max_pool_grad(grad, x, best, winner, grad_x, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    for image in prange(n):
        for pixel in range(oh * ow):
            top, left = pixel // ow * sh - ph, pixel % ow * sw - pw
            first = ((image * h + max(top, 0)) * w + max(left, 0)) * c
            for i in range(c):
                best[image * c + i], winner[image * c + i] = x[first + i], first
            for row in range(max(top, 0), min(top + kh, h)):
                for s in range(max(left, 0), min(left + kw, w)):
                    place = ((image * h + row) * w + s) * c
                    for i in range(c):
                        value, most = x[place + i], best[image * c + i]
                        better = value > most or (value != value and most == most)
                        best[image * c + i] = value if better else most
                        winner[image * c + i] = place if better else winner[image * c + i]
            for i in range(c):
                grad_x[winner[image * c + i] + i] += grad[(image * oh * ow + pixel) * c + i]


@kernel
def _avg_pool(x, y, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    share = np.float32(1) / np.float32(kh * kw)
    for line in prange(n * oh):
        top = line % oh * sh - ph
        for col in range(ow):
            left, target = col * sw - pw, (line * ow + col) * c
            for i in range(c):
                y[target + i] = np.float32(0)
            for row in range(max(top, 0), min(top + kh, h)):
                for s in range(max(left, 0), min(left + kw, w)):
                    source = ((line // oh * h + row) * w + s) * c
                    for i in range(c):
                        y[target + i] += x[source + i]
            for i in range(c):
                y[target + i] *= share


@kernel
def _avg_pool_grad(grad, grad_x, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    share = np.float32(1) / np.float32(kh * kw)
    for image in prange(n):
        for pixel in range(oh * ow):
            top, left = pixel // ow * sh - ph, pixel % ow * sw - pw
            source = (image * oh * ow + pixel) * c
            for row in range(max(top, 0), min(top + kh, h)):
                for s in range(max(left, 0), min(left + kw, w)):
                    target = ((image * h + row) * w + s) * c
                    for i in range(c):
                        grad_x[target + i] += grad[source + i] * share
