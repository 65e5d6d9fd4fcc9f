"""Max and average pooling over windows, and their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .backend import Late, front_door, in_numpy
from .checks import Float, Pair, Window, Winners
from .reference import pool as reference

if TYPE_CHECKING:
    from .compiled.forward import pool as compiled
else:
    compiled = Late("binnet_kernels.compiled.forward.pool")


@front_door
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


@front_door
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
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    winners = np.zeros(checks.winners_shape(x.shape, window), np.uint16)
    y = np.empty((*winners.shape[:3], x.shape[3]), np.float32)
    (reference.max_pool2d_winners if in_numpy() else compiled.max_pool2d_winners)(x, window, y, winners)
    return y, winners


@front_door
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


@front_door
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


@front_door
def avg_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """The mean of each window, the border counted as zeros (always divided by ``kh * kw``).

    Parameters, result and errors as in :func:`max_pool2d`. The mean of a whole image is that of one window.
    """
    x, window, y = _input_and_output(x, kernel_size, stride, padding)
    (reference.avg_pool2d if in_numpy() else compiled.avg_pool2d)(x, window, y)
    return y


@front_door
def avg_pool2d_grad(
    grad: Any, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Float:
    """Gradient of :func:`avg_pool2d` (N, OH, OW, C): an equal share to each value of a window, float32 (N, H, W, C)."""
    window = checks.pool_window(kernel_size, stride, padding)
    grad, grad_x = checks.pool_grad(grad, x_shape, window), np.empty(x_shape, np.float32)
    (reference.avg_pool2d_grad if in_numpy() else compiled.avg_pool2d_grad)(grad, window, grad_x)
    return grad_x


def _input_and_output(x: Any, kernel_size: Pair, stride: Pair | None, padding: Pair) -> tuple[Float, Window, Float]:
    """Images, the window, and room for a value of each channel and window."""
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    return x, window, np.empty((len(x), *window.output_size(*x.shape[1:3]), x.shape[3]), np.float32)


def _to_winners(grad: Float, winners: Winners, x_shape: tuple[int, ...], window: Window) -> Float:
    grad_x = np.empty(x_shape, np.float32)
    form = reference.max_pool2d_grad_winners if in_numpy() else compiled.max_pool2d_grad_winners
    form(grad, winners, window, grad_x)
    return grad_x
