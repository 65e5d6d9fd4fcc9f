"""The scales of a binary convolution: alpha of the weights (Eq. 6) and the map K of the input (Eq. 11)."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ...checks import Float, Window
from ...simd.jit import helper, kernel
from ...simd.lanes import WIDTH, all_lanes, fetch_ahead, first_lanes, load_lanes, magnitude, widened
from ...simd.vector import LANES, add, load, store_first, sum_lanes, times, zeros
from .bits import mean_magnitude

_WORTH_SHARING = 1 << 16  # additions of a box filter, some 4 µs: as long as it takes to wake the other threads


def weight_alpha(weight: Float, alpha: Float) -> None:
    """``alpha`` (O,): the mean of |W| of each filter."""
    if len(weight):
        _alphas(weight.ravel(), alpha, len(weight), weight[0].size)


def scale_map(x: Float, window: Window, K: Float) -> None:
    """``K`` (N, OH, OW, 1) of the windows of images (N, H, W, C)."""
    if K.size:
        (n, h, w, c), mean_abs_x = x.shape, room_for_means(x.shape, window)
        _mean_magnitudes(x.ravel(), mean_abs_x, n, h, w, c, *window.padding, *window.padded(h, w))
        box_filter(mean_abs_x, K, x.shape, window)


def room_for_means(x_shape: tuple[int, ...], window: Window) -> Float:
    """An array for A with its border, flat; a vector longer, so that whole vectors can be read from its last rows."""
    n, h, w, _ = x_shape
    means = np.empty(n * math.prod(window.padded(h, w)) + LANES, np.float32)
    means[-LANES:] = 0  # without the JIT, sums of anything that lies there would warn
    return means


def box_filter(mean_abs_x: Float, K: Float, x_shape: tuple[int, ...], window: Window) -> None:
    """``K = A * k``: A comes with its border of zeros, flat; K (N, OH, OW, 1) is written."""
    (n, oh, ow, _), (_, h, w, _) = K.shape, x_shape
    sizes = (n, *window.padded(h, w), oh, ow, *window.size, *window.stride)
    run = _box_filter if K.size * window.size[0] * window.size[1] > _WORTH_SHARING else _box_filter.serial
    run(mean_abs_x, K.ravel(), *sizes)


@kernel
def _mean_magnitudes(x, means, n, h, w, c, top, left, high, wide):
    for line in prange(n * high):
        row = line % high - top
        for col in range(wide):
            # The border of A is 0, as that of a float image is; the border of the signs plays no part in K.
            inside = 0 <= row < h and left <= col < w + left
            source = ((line // high * h + row) * w + col - left) * c
            means[line * wide + col] = mean_magnitude(x, source, c) if inside else np.float32(0)


@helper
def filter_alpha(weight, start, n):
    """The mean of |W| over a filter, summed in float64, so that both backends and all orders round to one value."""
    total = all_lanes(np.float64(0))
    for i in range(start, start + n, WIDTH):
        fetch_ahead(weight, i)
        total = total + widened(magnitude(load_lanes(weight, i, first_lanes(start + n - i))))
    return np.float32(sum_lanes(total) / n)


@kernel
def _alphas(weight, alpha, filters, n):
    for o in prange(filters):
        alpha[o] = filter_alpha(weight, o * n, n)


@kernel
def _box_filter(a, K, n, high, wide, oh, ow, kh, kw, sh, sw):
    share = np.float32(1) / np.float32(kh * kw)
    for line in prange(n * oh):
        source = (line // oh * high + line % oh * sh) * wide
        # With stride 1 neighbouring outputs read neighbouring values, so a vector of outputs is one load a tap. Both
        # branches add the taps in the same order and give the same bits.
        if sw == 1:
            for col in range(0, ow, LANES):
                total = zeros()
                for r in range(kh):
                    for s in range(kw):
                        total = add(total, load(a, source + r * wide + s + col))
                store_first(K, line * ow + col, times(total, share), ow - col)
        else:
            for col in range(ow):
                value = np.float32(0)
                for r in range(kh):
                    for s in range(kw):
                        value += a[source + r * wide + s + col * sw]
                K[line * ow + col] = value * share
