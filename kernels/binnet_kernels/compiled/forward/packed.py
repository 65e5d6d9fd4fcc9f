"""Passes over whole maps between fused convolutions: pooling, element by element, packing; on floats and on bits."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import prange

from ... import checks
from ...bit_map import BitMap, check_bits
from ...checks import NO_BORDER, Float, Window
from ...finish import Finish, Run, check_map, outputs
from ...simd.geometry import Indices
from ...simd.jit import kernel
from ...simd.pixels import larger, load_pixel, store
from ...simd.tail import run_tail
from ...simd.tile import CHANNELS
from .image import pack_image_and_mean
from .scale import box_filter, room_for_means
from .xnor import whole_blocks

ONE = Window((1, 1), (1, 1), NO_BORDER)  # to pool nothing


def bind_map(
    x: Float, finish: Finish, *, window: Window = ONE, residual: Any = None, out: Any = None, bits: Any = None
) -> Run:
    """A function without arguments that takes the largest value of each window through a :class:`Finish`.

    With the window of one pixel it is what stands alone: a normalisation, a residual sum, the packing of a map.

    Parameters
    ----------
    x : float32 (N, H, W, C)
    window
        As in :func:`max_pool2d`: the border never wins, NaN always does.
    residual, out, bits
        As in :meth:`FusedXnorConv2d.bind`.

    Raises
    ------
    ValueError
        When an array does not fit.
    """
    n, h, w, c = check_map(x).shape
    oh, ow = window.output_size(h, w)
    columns = whole_blocks(c)
    table, low = finish.table(c, columns)
    y, words, place, residual, floats, between = outputs(finish, (n, oh, ow, c), out, bits, residual)
    rows, cols = (_taps(size, o, *axis) for size, o, *axis in _axes((h, w), (oh, ow), window))
    sizes = np.array((n, h, w, c, oh, ow, *window.size, columns, low, floats, between), np.int64)
    return partial(_map, x.ravel(), rows, cols, table, finish.codes, residual, y, words, place, sizes)


def bind_pool_bits(x: BitMap, flips: Any, out: BitMap, window: Window) -> Run:
    """A function without arguments that joins the bits of each window by AND, and turns them round where ``flips``.

    Max-pooling of values that were compared with a threshold before: all are at most t exactly where the largest is.

    Parameters
    ----------
    x : BitMap of images (N, H, W, C), without a border
    flips : bool (C,)
    out : BitMap of the images after pooling
    window
        The border is passed over.

    Raises
    ------
    ValueError
        When an array does not fit.
    """
    n, h, w, c = check_bits(x, "x", (None,) * 4, NO_BORDER).shape
    oh, ow = window.output_size(h, w)
    check_bits(out, "out", (n, oh, ow, c))
    rows, cols = (_taps(size, o, *axis) for size, o, *axis in _axes((h, w), (oh, ow), window))
    turned = np.packbits(np.pad(np.asarray(flips, bool), (0, -c % 32)), bitorder="little").view(np.uint32)
    sizes = np.array((n, h, w, x.words.shape[3], oh, ow, *window.size), np.int64)
    return partial(_pool_bits, x.words.ravel(), rows, cols, turned, out.words.ravel(), out.places() // 4, sizes)


def bind_pack_with_k(x: Float, bits: BitMap, K: Float, window: Window) -> Run:
    """A function without arguments that packs the signs of a map and computes K of a window over it (Eq. 11).

    Parameters
    ----------
    x : float32 (N, H, W, C)
    bits : BitMap of these images with the border of ``window``
    K : float32 (N, OH, OW, 1)
        Written; see :func:`scale_map`.

    Raises
    ------
    ValueError
        When an array does not fit.
    """
    n, h, w, c = check_map(x).shape
    checks.output(K, (n, *window.output_size(h, w), 1))
    check_bits(bits, "bits", x.shape, window.border)
    means = room_for_means(x.shape, window)

    def run() -> None:
        pack_image_and_mean(x.ravel(), bits.fill, bits.words.ravel(), means, n, h, w, c, *window.border)
        box_filter(means, K, x.shape, window)

    return run


def _axes(size: tuple[int, int], output: tuple[int, int], window: Window) -> Any:
    """For each axis: size, output, window, stride, padding."""
    return zip(size, output, window.size, window.stride, window.padding)


def _taps(size: int, output: int, kernel: int, stride: int, padding: int) -> Indices:
    """Where the taps of each window lie along an axis, flat; those past the end repeat the last one within."""
    position = np.arange(output)[:, None] * stride + np.arange(kernel) - padding
    return position.clip(0, size - 1).astype(np.int64).ravel()


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _map(x, rows, cols, table, tail, residual, out, bits, places, sizes):
    n, h, w, c, oh, ow, kh, kw = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7]
    columns, low, floats, between = sizes[8], sizes[9], sizes[10], sizes[11]
    last = n * oh * ow - 1
    for line in prange(n * oh):
        image, top = line // oh * h, line % oh * kh
        for col in range(ow):
            pixel, left = line * ow + col, col * kw
            for channel in range(0, c, CHANNELS):
                y = load_pixel(x, ((image + rows[top]) * w + cols[left]) * c + channel, c - channel)
                for r in range(top, top + kh):
                    for s in range(left, left + kw):
                        # The first tap is what the maximum began with. Taps on the border repeat one inside, which
                        # changes no maximum.
                        if r + s > top + left:
                            y = larger(y, load_pixel(x, ((image + rows[r]) * w + cols[s]) * c + channel, c - channel))
                y = run_tail(y, tail, table, channel, columns, residual, pixel, last, c, channel)
                store(y, low, columns, table, out, floats, bits, places, between, pixel, last, c, channel)


@kernel
def _pool_bits(x, rows, cols, flips, out, places, sizes):
    n, h, w, halves, oh, ow, kh, kw = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7]
    for line in prange(n * oh):
        image, top = line // oh * h, line % oh * kh
        for col in range(ow):
            target = places[line * ow + col]
            for i in range(halves):
                common = np.uint32(0xFFFFFFFF)
                for r in range(top, top + kh):
                    for s in range(col * kw, col * kw + kw):
                        # 32 channels an AND: all values of a window are at most t exactly where the largest is.
                        common &= x[((image + rows[r]) * w + cols[s]) * halves + i]
                out[target + i] = common ^ flips[i]
