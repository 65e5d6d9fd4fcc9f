"""Passes over whole maps between fused convolutions, compiled."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
from numba import prange

from ...checks import Float, Window
from ...fused.bit_map import BitMap
from ...fused.epilogue import Arrays, Epilogue, Run
from ...simd.epilogue_steps import run_epilogue
from ...simd.geometry import Indices
from ...simd.jit import kernel
from ...simd.pixels import larger, load_pixel, store
from ...simd.tile import CHANNELS
from ..forward.image import pack_image_and_mean
from ..forward.pool import avg_pool2d
from ..forward.scale import box_filter, room_for_means
from ..forward.xnor import whole_blocks


def bind_map(x: Float, epilogue: Epilogue, window: Window, arrays: Arrays) -> Run:
    """Run the epilogue on the largest value of each window."""
    (n, h, w, c), (oh, ow), columns = x.shape, arrays.shape[1:3], whole_blocks(x.shape[3])
    table, low = epilogue.table(c, columns)
    *targets, floats, between = arrays.flat()
    rows, cols = taps_of((h, w), (oh, ow), window)
    sizes = np.array((n, h, w, c, oh, ow, *window.size, columns, low, floats, between), np.int64)
    return partial(_map, x.ravel(), rows, cols, table, epilogue.codes, *targets, sizes)


def bind_average(x: Float, out: Float, window: Window) -> Run:
    """Write to ``out`` the mean of each window, the border counted as zeros."""
    return partial(avg_pool2d, x, window, out)


def bind_pool_bits(x: BitMap, flips: npt.NDArray[np.bool_], out: BitMap, window: Window) -> Run:
    """Write to ``out`` the AND of the bits of each window, exclusive or ``flips``."""
    (n, h, w, c), (oh, ow) = x.shape, out.shape[1:3]
    rows, cols = taps_of((h, w), (oh, ow), window)
    negated = np.packbits(np.pad(flips, (0, -c % 32)), bitorder="little").view(np.uint32)
    sizes = np.array((n, h, w, x.words.shape[3], oh, ow, *window.size), np.int64)
    return partial(_pool_bits, x.words.ravel(), rows, cols, negated, out.words.ravel(), out.places() // 4, sizes)


def bind_pack_with_k(x: Float, bits: BitMap, K: Float, window: Window) -> Run:
    """Write the signs of ``x``, and K of its windows (Eq. 11)."""
    means = room_for_means(x.shape, window)

    def run() -> None:
        pack_image_and_mean(x.ravel(), bits.fill, bits.words.ravel(), means, *x.shape, *window.border)
        box_filter(means, K, x.shape, window)

    return run


def taps_of(size: tuple[int, int], output: tuple[int, int], window: Window) -> tuple[Indices, Indices]:
    """The rows and the columns of the taps of each window, flat; those on the border repeat one within."""
    axes = zip(size, output, window.size, window.stride, window.padding)
    rows, cols = (_taps(*axis).ravel() for axis in axes)
    return rows, cols


def _taps(size: int, output: int, kernel: int, stride: int, padding: int) -> Indices:
    position = np.arange(output)[:, None] * stride + np.arange(kernel) - padding
    return position.clip(0, size - 1).astype(np.int64)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _map(x, rows, cols, table, steps, residual, out, bits, places, sizes):
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
                y = run_epilogue(y, steps, table, channel, columns, residual, pixel, last, c, channel)
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
