"""float32 convolution in groups of channels, depthwise included, and its two gradients.

Few wide groups (AlexNet's two) are one convolution each, on the register tile of :mod:`conv`. Where there are at least
as many groups as filters in each, the vectors run over the groups: 32 of them at a time, and the i-th channels of all
groups lie side by side. The depthwise convolution, one channel and one filter a group, has that layout from the start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import checks
from ..checks import Float, Pair, Window
from ..groups import check_groups, conv2d_each, grad_input_each, grad_weight_each
from ..simd.geometry import padded, seen_by
from ..simd.jit import kernel
from ..simd.lanes import WIDTH, all_lanes, first_lanes, load_lanes, multiply_add, store_lanes
from .conv import conv2d, conv2d_grad_input, conv2d_grad_weight
from .forward.blocks import share

_SLICES = 16  # parts of the sum of a weight gradient, which the threads share


def grouped_conv2d(x: Any, weight: Any, groups: int, stride: Pair = 1, padding: Pair = 0, out: Any = None) -> Float:
    """float32 convolution of each group of channels with its own filters, with a zero border.

    The filters of group i are i O / groups to (i + 1) O / groups - 1, and they see the channels i C / groups to
    (i + 1) C / groups - 1 alone. One group is :func:`conv2d`, as many groups as channels a depthwise convolution.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    weight : array (O, KH, KW, C / groups) of real numbers
    groups : int
        At least 1; it divides C and O.
    stride, padding : int or pair of ints
        Vertical and horizontal; stride at least 1, padding at least 0.
    out : float32 (N, OH, OW, O), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (N, OH, OW, O)
        The same bits for any number of threads and whatever the other images are.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or the padded image is smaller than the filter.
    """
    x, weight = checks.floats(x, "x", 4), checks.floats(weight, "weight", 4)
    check_groups(groups, x.shape, weight.shape)
    window = Window.of(weight.shape[1:3], stride, padding)
    y = checks.output(out, (len(x), *window.output_size(*x.shape[1:3]), len(weight)))
    if _wide(weight.shape, groups):
        conv2d_each(conv2d, x, weight, groups, stride, padding, y)
    elif y.size:
        # One filter a group has its channels in the right order already: no copy.
        sums = y if len(weight) == groups else np.empty_like(y)
        image = padded(_beside(x, groups), window)
        _convolve(image, _taps(weight, groups), sums.ravel(), *_sizes(x.shape, y.shape, groups, window))
        _put_back(sums, groups, y)
    return y


def grouped_conv2d_grad_input(
    grad: Any,
    weight: Any,
    x_shape: tuple[int, ...],
    groups: int,
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """Gradient of :func:`grouped_conv2d` with respect to its input.

    Parameters
    ----------
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight : array (O, KH, KW, C / groups) of real numbers
    x_shape : (N, H, W, C)
    groups, stride, padding
        Those of the convolution.
    out : float32 (N, H, W, C), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (N, H, W, C)
        The same bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others.
    """
    weight = checks.floats(weight, "weight", 4)
    check_groups(groups, x_shape, weight.shape)
    window = Window.of(weight.shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, (*x_shape[:3], weight.shape[3]), weight.shape, window)
    grad_x = checks.output(out, tuple(x_shape))
    if _wide(weight.shape, groups):
        grad_input_each(conv2d_grad_input, grad, weight, groups, stride, padding, grad_x)
    elif grad_x.size:
        sums = grad_x if x_shape[3] == groups else np.empty_like(grad_x)
        sizes = (*grad_x.shape[:3], *_sizes(x_shape, grad.shape, groups, window), *window.padding)
        tables = _beside(grad, groups).ravel(), _taps(weight, groups), *seen_by(x_shape, grad.shape, window)
        _send_back(*tables, sums.ravel(), *sizes)
        _put_back(sums, groups, grad_x)
    return grad_x


def grouped_conv2d_grad_weight(
    x: Any,
    grad: Any,
    weight_shape: tuple[int, ...],
    groups: int,
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """Gradient of :func:`grouped_conv2d` with respect to its weights.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight_shape : (O, KH, KW, C / groups)
    groups, stride, padding
        Those of the convolution.
    out : float32 (O, KH, KW, C / groups), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (O, KH, KW, C / groups)
        Summed in an order that depends on the shapes alone: the same bits for any number of threads. What a gradient
        that is not finite does on a border of 0 is as in :func:`conv2d_grad_weight`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others.
    """
    x = checks.floats(x, "x", 4)
    check_groups(groups, x.shape, weight_shape)
    window = Window.of(weight_shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, (*x.shape[:3], weight_shape[3]), weight_shape, window)
    grad_weight = checks.output(out, tuple(weight_shape))
    if _wide(weight_shape, groups):
        grad_weight_each(conv2d_grad_weight, x, grad, groups, stride, padding, grad_weight)
    elif grad_weight.size:
        o, kh, kw, c = weight_shape
        sums = np.zeros((_SLICES, kh, kw, c, o // groups, groups), np.float32)
        tables = padded(_beside(x, groups), window), _beside(grad, groups).ravel()
        _correlate(*tables, sums.ravel(), *_sizes(x.shape, grad.shape, groups, window))
        # The number of slices is fixed and they are added in order: the bits do not depend on the threads.
        whole: Float = sums.sum(axis=0)
        grad_weight[...] = whole.transpose(4, 3, 0, 1, 2).reshape(weight_shape)
    return grad_weight


def _wide(weight_shape: tuple[int, ...], groups: int) -> bool:
    """Whether a group has more filters than there are groups."""
    return weight_shape[0] > groups * groups


def _beside(x: Float, groups: int) -> Float:
    """The channels of (N, H, W, C) in another order, the i-th of all groups side by side: a view for one a group."""
    n, h, w, c = x.shape
    by_group = x.reshape(n, h, w, groups, c // groups)
    return np.ascontiguousarray(by_group.swapaxes(3, 4)).reshape(x.shape)


def _put_back(sums: Float, groups: int, target: Float) -> None:
    """Write to ``target`` the channels in their own order, unless it is ``sums`` because that order is the same."""
    if sums is not target:
        target[...] = _beside(sums, target.shape[3] // groups)


def _taps(weight: Float, groups: int) -> Float:
    """Filters (O, KH, KW, C / groups) as (KH, KW, C / groups, O / groups, groups), flat."""
    o, kh, kw, c = weight.shape
    by_group = weight.reshape(groups, o // groups, kh, kw, c)
    return np.ascontiguousarray(by_group.transpose(2, 3, 4, 1, 0)).ravel()


def _sizes(x_shape: tuple[int, ...], y_shape: tuple[int, ...], groups: int, window: Window) -> tuple[int, ...]:
    """The sizes that all kernels take: lines of output pixels, output, groups, window and bordered image."""
    (n, h, w, c), (oh, ow, o), (ph, pw) = x_shape, y_shape[1:], window.padding
    inside = groups, c // groups, o // groups
    return (n * oh, oh, ow, *inside, *window.size, *window.stride, h + 2 * ph, w + 2 * pw)


# ---------------------------------------------------------------------------------------------- kernels

# `g` groups of `c` channels and `o` filters each. A vector holds 32 groups, so that one fused multiply-add serves one
# tap of 32 filters. A row of the window is one run of kw * c vectors in the image and in the filters alike.


@kernel
def _convolve(x, weight, y, lines, oh, ow, g, c, o, kh, kw, sh, sw, high, wide):
    """Four pixels share each load of the filters (twice as fast as one); past the end of a line its last one again."""
    span, step = kw * c, sw * c * g  # step: from the window of a pixel to that of the next
    for line in prange(lines):
        top = (line // oh * high + line % oh * sh) * wide
        for item in range((ow + 3) // 4 * o):
            j, col0 = item % o, item // o * 4
            col1, col2, col3 = min(col0 + 1, ow - 1), min(col0 + 2, ow - 1), min(col0 + 3, ow - 1)
            for first in range(0, g, WIDTH):
                lanes, sum0 = first_lanes(g - first), all_lanes(np.float32(0))
                sum1, sum2, sum3 = sum0, sum0, sum0
                for row in range(kh):
                    start = (top + row * wide) * c * g + first
                    for tap in range(span):
                        factor = load_lanes(weight, ((row * span + tap) * o + j) * g + first, lanes)
                        place = start + tap * g
                        sum0 = multiply_add(load_lanes(x, place + col0 * step, lanes), factor, sum0)
                        sum1 = multiply_add(load_lanes(x, place + col1 * step, lanes), factor, sum1)
                        sum2 = multiply_add(load_lanes(x, place + col2 * step, lanes), factor, sum2)
                        sum3 = multiply_add(load_lanes(x, place + col3 * step, lanes), factor, sum3)
                for col, total in ((col0, sum0), (col1, sum1), (col2, sum2), (col3, sum3)):
                    store_lanes(y, ((line * ow + col) * o + j) * g + first, total, lanes)


@kernel
def _send_back(grad, weight, rows, cols, grad_x, n, h, w, _, oh, ow, g, c, o, kh, kw, sh, sw, high, wide, ph, pw):
    """Each pixel gathers the gradients of the windows that see it, in the order of the windows."""
    for line in prange(n * h):
        image, row = line // h * oh, line % h
        for item in range(w * c):
            col, i = item // c, item % c
            for first in range(0, g, WIDTH):
                lanes, total = first_lanes(g - first), all_lanes(np.float32(0))
                for up in range(rows[2 * row], rows[2 * row + 1]):
                    for left in range(cols[2 * col], cols[2 * col + 1]):
                        pixel = ((image + up) * ow + left) * o
                        tap = (((row + ph - up * sh) * kw + col + pw - left * sw) * c + i) * o
                        for j in range(o):
                            value = load_lanes(grad, (pixel + j) * g + first, lanes)
                            factor = load_lanes(weight, (tap + j) * g + first, lanes)
                            total = multiply_add(value, factor, total)
                store_lanes(grad_x, (line * w * c + item) * g + first, total, lanes)


@kernel
def _correlate(x, grad, sums, lines, oh, ow, g, c, o, kh, kw, sh, sw, high, wide):
    """Each slice adds up its lines on its own: a line in registers, then to the sums so far."""
    span, size = kw * c, kh * kw * c * o * g
    for part in prange(_SLICES):
        begin, end = share(part, _SLICES, lines)
        for line in range(begin, end):
            top = (line // oh * high + line % oh * sh) * wide
            for item in range(kh * span * o):
                tap, j = item // o, item % o
                start = (top + tap // span * wide) * c + tap % span
                for first in range(0, g, WIDTH):
                    lanes, total = first_lanes(g - first), all_lanes(np.float32(0))
                    for col in range(ow):
                        value = load_lanes(x, (start + col * sw * c) * g + first, lanes)
                        other = load_lanes(grad, ((line * ow + col) * o + j) * g + first, lanes)
                        total = multiply_add(value, other, total)
                    place = part * size + item * g + first
                    store_lanes(sums, place, load_lanes(sums, place, lanes) + total, lanes)
