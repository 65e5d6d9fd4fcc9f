"""Max and average pooling over windows, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from ... import checks
from ...checks import Float, Pair, Window
from ...simd.geometry import seen_by
from ...simd.jit import Kernel, kernel
from ...simd.lanes import (
    WIDTH,
    all_lanes,
    beats,
    either,
    equal,
    fetch_ahead,
    first_lanes,
    load_all,
    load_lanes,
    store_all,
    store_lanes,
    zero_unless,
)

Winners = npt.NDArray[np.uint16]

_WORTH_SHARING = 1 << 14  # values of the larger map, some 10 µs of work
_NO_WINNERS = np.zeros(1, np.uint16)


def max_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """The largest value of each window, NaN if it holds one; the border counts as -inf.

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
    return _largest(x, window, _NO_WINNERS)


def max_pool2d_winners(
    x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> tuple[Float, Winners]:
    """:func:`max_pool2d`, and the tap that was the largest in each window: the gradient needs these and not ``x``.

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
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    winners = np.zeros(checks.winners_shape(x.shape, window), np.uint16)
    return _largest(x, window, winners), winners


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
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    grad = checks.pool_grad(grad, x.shape, window)
    return _to_winners(grad, max_pool2d_winners(x, kernel_size, stride, padding)[1], x.shape, window)


def max_pool2d_grad_winners(
    grad: Any,
    winners: Any,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
) -> Float:
    """:func:`max_pool2d_grad` from the ``winners`` of :func:`max_pool2d_winners` and the shape of ``x``."""
    window = checks.pool_window(kernel_size, stride, padding)
    grad = checks.pool_grad(grad, x_shape, window)
    return _to_winners(grad, checks.winners(winners, x_shape, window), x_shape, window)


def avg_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """The mean of each window, the border counted as zeros (always divided by ``kh * kw``).

    Parameters, result and errors as in :func:`max_pool2d`. The mean of a whole image is that of one window.
    """
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    y = np.empty((len(x), *window.output_size(*x.shape[1:3]), x.shape[3]), np.float32)
    if y.size:
        _sharing(_avg_pool, x.size)(x.ravel(), y.ravel(), *_sizes(x.shape, y.shape, window))
    return y


def avg_pool2d_grad(
    grad: Any, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Float:
    """Gradient of :func:`avg_pool2d` (N, OH, OW, C): an equal share to each value of a window, float32 (N, H, W, C)."""
    window = checks.pool_window(kernel_size, stride, padding)
    grad = checks.pool_grad(grad, x_shape, window)
    grad_x = np.empty(x_shape, np.float32)
    if grad_x.size:
        share = np.float32(1) / np.float32(window.size[0] * window.size[1])
        rows, cols = seen_by(x_shape, grad.shape, window)
        _sharing(_spread, grad_x.size)(grad.ravel(), rows, cols, share, grad_x.ravel(), *x_shape, *grad.shape[1:3])
    return grad_x


def _largest(x: Float, window: Window, winners: Winners) -> Float:
    y = np.empty((len(x), *window.output_size(*x.shape[1:3]), x.shape[3]), np.float32)
    if y.size:
        sizes = _sizes(x.shape, y.shape, window)
        _sharing(_max_pool, x.size)(x.ravel(), y.ravel(), winners.ravel(), winners is not _NO_WINNERS, *sizes)
    return y


def _to_winners(grad: Float, winners: Winners, x_shape: tuple[int, ...], window: Window) -> Float:
    grad_x = np.empty(x_shape, np.float32)
    if grad_x.size:
        sizes = (*x_shape, *grad.shape[1:3], *window.size, *window.stride, *window.padding)
        rows, cols = seen_by(x_shape, grad.shape, window)
        _sharing(_max_pool_grad, grad_x.size)(grad.ravel(), winners.ravel(), rows, cols, grad_x.ravel(), *sizes)
    return grad_x


def _sizes(x_shape: tuple[int, ...], y_shape: tuple[int, ...], window: Window) -> tuple[int, ...]:
    return (*x_shape, *y_shape[1:3], *window.size, *window.stride, *window.padding)


def _sharing(work: Kernel, size: int) -> Any:
    """The kernel, or its serial form for maps too small to share among threads."""
    return work if size > _WORTH_SHARING else work.alone


# Each kernel gives a line of pixels to one thread and writes it once: forward, a pixel gathers the taps of its window
# that lie inside the image; backward, the windows that see it. Channels are innermost, 32 of them in registers.


@kernel
def _max_pool(x, y, winners, wanted, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    blocks = (c + WIDTH - 1) // WIDTH
    for line in prange(n * oh):
        top, image = line % oh * sh - ph, line // oh * h
        for col in range(ow):
            left = col * sw - pw
            for block in range(blocks):
                lanes, first = first_lanes(c - block * WIDTH), max(-top, 0) * kw + max(-left, 0)
                # Begins with a value of the window, not with -inf, so that a window of -inf has a winner too.
                best = load_lanes(x, ((image + max(top, 0)) * w + max(left, 0)) * c + block * WIDTH, lanes)
                winner = all_lanes(np.uint16(first))
                for row in range(max(top, 0), min(top + kh, h)):
                    for s in range(max(left, 0), min(left + kw, w)):
                        value = load_lanes(x, ((image + row) * w + s) * c + block * WIDTH, lanes)
                        better = beats(value, best)
                        best = either(value, best, better)
                        winner = either(all_lanes(np.uint16((row - top) * kw + s - left)), winner, better)
                store_lanes(y, (line * ow + col) * c + block * WIDTH, best, lanes)
                if wanted:
                    store_all(winners, ((line * ow + col) * blocks + block) * WIDTH, winner)


@kernel
def _max_pool_grad(grad, winners, rows, cols, grad_x, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    blocks = (c + WIDTH - 1) // WIDTH
    for line in prange(n * h):
        image, row = line // h * oh, line % h
        for col in range(w):
            for block in range(blocks):
                lanes, total = first_lanes(c - block * WIDTH), all_lanes(np.float32(0))
                for i in range(rows[2 * row], rows[2 * row + 1]):
                    for j in range(cols[2 * col], cols[2 * col + 1]):
                        pixel, tap = (image + i) * ow + j, (row + ph - i * sh) * kw + col + pw - j * sw
                        # A pixel gathers from the windows that see it. Windows that overlap and scattered would write
                        # to one place, in an order that depends on the threads.
                        won = equal(load_all(winners, (pixel * blocks + block) * WIDTH), np.uint16(tap))
                        total = total + zero_unless(load_lanes(grad, pixel * c + block * WIDTH, lanes), won)
                fetch_ahead(grad_x, (line * w + col) * c + block * WIDTH)  # to be written
                store_lanes(grad_x, (line * w + col) * c + block * WIDTH, total, lanes)


@kernel
def _avg_pool(x, y, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    share = all_lanes(np.float32(1) / np.float32(kh * kw))
    for line in prange(n * oh):
        top, image = line % oh * sh - ph, line // oh * h
        for col in range(ow):
            left = col * sw - pw
            for i in range(0, c, WIDTH):
                lanes, total = first_lanes(c - i), all_lanes(np.float32(0))
                for row in range(max(top, 0), min(top + kh, h)):
                    for s in range(max(left, 0), min(left + kw, w)):
                        total = total + load_lanes(x, ((image + row) * w + s) * c + i, lanes)
                store_lanes(y, (line * ow + col) * c + i, total * share, lanes)


@kernel
def _spread(grad, rows, cols, share, grad_x, n, h, w, c, oh, ow):
    for line in prange(n * h):
        image, row = line // h * oh, line % h
        for col in range(w):
            for i in range(0, c, WIDTH):
                lanes, total = first_lanes(c - i), all_lanes(np.float32(0))
                for up in range(rows[2 * row], rows[2 * row + 1]):
                    for left in range(cols[2 * col], cols[2 * col + 1]):
                        total = total + load_lanes(grad, ((image + up) * ow + left) * c + i, lanes)
                fetch_ahead(grad_x, (line * w + col) * c + i)
                store_lanes(grad_x, (line * w + col) * c + i, total * all_lanes(share), lanes)
