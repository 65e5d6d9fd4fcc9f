"""float32 convolution in many groups of few channels, depthwise included, and its two gradients.

The vectors run over the groups: 32 of them at a time, and the i-th channels of all groups lie side by side. The
depthwise convolution, one channel and one filter a group, has that layout from the start.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..checks import Float, Window
from ..simd.geometry import padded, seen_by
from ..simd.jit import kernel
from ..simd.lanes import WIDTH, all_lanes, first_lanes, load_lanes, multiply_add, store_lanes
from ..simd.tiling import share
from ..tree import add_parts

_SLICES = 16  # parts of the sum of a weight gradient, which the threads share


def are_narrow(weight_shape: tuple[int, ...], groups: int) -> bool:
    """Whether there are several groups, at least as many as filters in each."""
    return groups > 1 and weight_shape[0] <= groups * groups


def conv2d(x: Float, weight: Float, window: Window, groups: int, y: Float) -> None:
    """``y`` (N, OH, OW, O) of images (N, H, W, C) and filters (O, KH, KW, C / groups)."""
    if y.size:
        # One filter a group has its channels in the right order already: no copy.
        sums = y if len(weight) == groups else np.empty_like(y)
        image = padded(_beside(x, groups), window)
        _convolve(image, _taps(weight, groups), sums.ravel(), *_sizes(x.shape, y.shape, groups, window))
        _put_back(sums, groups, y)


def conv2d_grad_input(grad: Float, weight: Float, window: Window, groups: int, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C) of a gradient (N, OH, OW, O) and filters (O, KH, KW, C / groups)."""
    if grad_x.size:
        sums = grad_x if grad_x.shape[3] == groups else np.empty_like(grad_x)
        sizes = (*grad_x.shape[:3], *_sizes(grad_x.shape, grad.shape, groups, window), *window.padding)
        tables = _beside(grad, groups).ravel(), _taps(weight, groups), *seen_by(grad_x.shape, grad.shape, window)
        _send_back(*tables, sums.ravel(), *sizes)
        _put_back(sums, groups, grad_x)


def conv2d_grad_weight(
    x: Float, grad: Float, window: Window, groups: int, cuts: tuple[int, ...], grad_weight: Float
) -> None:
    """``grad_weight`` (O, KH, KW, C / groups) of images (N, H, W, C) and a gradient (N, OH, OW, O)."""
    o, kh, kw, c = grad_weight.shape

    def sum_of(first: int, end: int) -> Float:
        images, of_output = x[first:end], grad[first:end]
        sums = np.zeros((_SLICES, kh, kw, c, o // groups, groups), np.float32)
        tables = padded(_beside(images, groups), window), _beside(of_output, groups).ravel()
        _correlate(*tables, sums.ravel(), *_sizes(images.shape, of_output.shape, groups, window))
        # The number of slices is fixed and they are added in order: the bits do not depend on the threads.
        whole: Float = sums.sum(axis=0)
        return whole

    if grad_weight.size:  # so few numbers that it costs little to add up whole arrays
        grad_weight[...] = add_parts(cuts, sum_of).transpose(4, 3, 0, 1, 2).reshape(grad_weight.shape)


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
