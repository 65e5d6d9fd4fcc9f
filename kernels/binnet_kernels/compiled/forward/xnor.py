"""XNOR-popcount convolution and dense layers: sign(x) * sign(W) by bits, times K and alpha (Eq. 11).

With bit 1 for -1, the product of n signs sums to n - 2 popcount(a ^ b). SIMD lanes are output channels, one word of
activations is broadcast to all of them, and the counts of a tile stay in registers until the scales are applied.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from ...checks import Float, Halves, Ints, Window, Words, border_halves
from ...simd.counts import RECENT_STEPS, add_recent, count_differing, no_counts, settle
from ...simd.epilogue import store_dots
from ...simd.geometry import Indices, Sliding, aligned, border_classes, sliding
from ...simd.jit import helper, kernel
from ...simd.tile import CHANNELS, XNOR_ROWS, xnor_starts
from ...simd.tiling import items_of, part_of
from .image import pack_image, pack_image_and_mean
from .scale import box_filter, room_for_means

_ONE = np.ones(1, np.float32)
_NO_LIMIT = np.float32(-np.inf)
_WORTH_SHARING = 1 << 16  # values to pack, some 5 µs: as long as it takes to wake the other threads


class XnorConv2d:
    """:class:`binnet_kernels.XnorConv2d` on checked arrays; the weights are kept as bits only."""

    def __init__(
        self,
        weight_signs: Words,
        shape: tuple[int, ...],
        window: Window,
        pad_value: int,
        alpha: Float,
        use_k: bool,
        bias: Float | None,
    ) -> None:
        self.shape, self.window, self.pad_value, self.use_k = shape, window, pad_value, use_k
        self.weight_halves = interleaved(half_words(weight_signs, shape[3]))
        self._columns = whole_blocks(shape[0])
        self._alpha_blocks = in_blocks(alpha)
        self._bias_blocks = np.zeros_like(self._alpha_blocks) if bias is None else in_blocks(bias)
        self._taps = tap_sums(weight_signs, shape[3])
        self._border = border_halves(shape[3], pad_value)
        self._known: dict[tuple[int, int, int], tuple[Sliding, Ints, Indices]] = {}  # by number and size of the images

    def __call__(self, x: Float, y: Float) -> None:
        """Images (N, H, W, C) to ``y`` (N, OH, OW, O)."""
        if y.size:
            self._convolve(*self.pack(x, *y.shape[1:3]), x.shape, y, _NO_LIMIT)

    def convolve_bits(self, bits: Halves, x_shape: tuple[int, ...], relu: bool, y: Float) -> None:
        """The same of signs that are packed already; a ReLU may follow."""
        if y.size:
            self._convolve(bits.ravel(), _ONE, x_shape, y, np.float32(0) if relu else _NO_LIMIT)

    def _convolve(self, packed: Halves, K: Float, x_shape: tuple[int, ...], y: Float, least: np.float32) -> None:
        walk, base, border_class = self._tables(*x_shape[:3])
        tables = (base, border_class, self._alpha_blocks, K, self._bias_blocks)
        sizes = (walk.pixels, self.shape[0], walk.rows, walk.span, walk.pitch, self._columns, int(self.use_k))
        _xnor_convolve(packed, walk.starts, self.weight_halves, *tables, y.ravel(), least, *sizes)

    def pack(self, x: Float, oh: int, ow: int) -> tuple[Halves, Float]:
        """The padded image as half words, and K, or ``[1.0]`` without K, both flat."""
        (n, h, w, _), (top, bottom, left, right) = x.shape, self.window.border
        packed = np.empty(n * (top + h + bottom) * (left + w + right) * len(self._border), np.uint32)
        sizes = (*x.shape, *self.window.border)
        if not self.use_k:
            pack = pack_image if x.size > _WORTH_SHARING else pack_image.serial
            pack(x.ravel(), self._border, packed, *sizes)
            return packed, _ONE
        mean_abs_x, K = room_for_means(x.shape, self.window), np.empty((len(x), oh, ow, 1), np.float32)
        pack = pack_image_and_mean if x.size > _WORTH_SHARING else pack_image_and_mean.serial
        pack(x.ravel(), self._border, packed, mean_abs_x, *sizes)
        box_filter(mean_abs_x, K, x.shape, self.window)
        return packed, K.ravel()

    def _tables(self, n: int, h: int, w: int) -> tuple[Sliding, Ints, Indices]:
        """The walk over n images (h, w), then :func:`dot_starts`, flat, and the border class of each pixel."""
        known = self._known.get((n, h, w))
        if known is None:
            walk = sliding((n, h, w, -(-self.shape[3] // 32)), self.window)
            most = math.prod(self.shape[1:])
            base, border_class = dot_starts((n, h, w), self.window, self._taps, most, self.pad_value)
            if len(self._known) > 15:  # sizes that come and go should not pile up
                self._known.clear()
            known = self._known[n, h, w] = walk, base.ravel(), border_class
        return known


def tap_sums(packed: npt.NDArray[Any], c: int) -> Ints:
    """Sum of sign(W) over ``c`` channels for each filter and tap, packed in words of any width: int32 (...)."""
    negative: Ints = np.bitwise_count(packed).sum(axis=-1, dtype=np.int32)
    return np.int32(c) - 2 * negative


def dot_starts(
    images: tuple[int, int, int], window: Window, taps: Ints, most: int, pad_value: int
) -> tuple[Ints, Indices]:
    """What dot products start from, (border classes, whole blocks of filters), and the border class of each pixel.

    A dot product is ``most``, its value where all signs agree, less twice the number that differ. With pad_value 0 the
    border is packed as +1, so it adds the sum of sign(W) over the taps outside the image. The sum depends only on the
    filter and the border class, so it is taken off the start, and the loop over the bits has no case for the border:
    the result is exactly that of zeros (ADR 0004). ``taps`` (O, KH, KW) is from :func:`tap_sums`.
    """
    n, h, w = images
    outside, border_class = border_classes(h, w, n, window)
    correction = np.einsum("krs,ors->ko", outside.astype(np.int32), taps) * (pad_value == 0)
    return in_blocks((most - correction).astype(np.int32)), border_class


def whole_blocks(o: int) -> int:
    return -(-o // CHANNELS) * CHANNELS


def in_blocks(row: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A number for each channel, (..., O), with zeros up to a whole number of blocks."""
    wide = np.zeros((*row.shape[:-1], whole_blocks(row.shape[-1])), row.dtype)
    wide[..., : row.shape[-1]] = row
    return wide


def half_words(words: Words, n: int) -> Halves:
    """Split words (O, ..., W) of n signs into 32-bit halves (O, depth); drop the last half if it is empty."""
    # Units of 32 signs: a depth of 96 costs three of them, where words of 64 would cost as much as 128 signs (ADR
    # 0010).
    halves = words.view(np.uint32)[..., : -(-n // 32)]
    return np.ascontiguousarray(halves).reshape(len(words), int(np.prod(halves.shape[1:])))


def interleaved(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows (O, depth) of 4-byte values, reordered as a tile reads them; channels past O are 0.

    Block of CHANNELS filters by block, and in it the CHANNELS values of each depth side by side. Values go straight
    from one array to the other, as both may be large.
    """
    o, depth = rows.shape
    result = aligned(whole_blocks(o) * depth).view(rows.dtype)
    blocks, whole = result.reshape(whole_blocks(o) // CHANNELS, depth, CHANNELS), o // CHANNELS
    for number in range(whole):
        blocks[number] = rows[number * CHANNELS : (number + 1) * CHANNELS].T
    if whole < len(blocks):
        blocks[whole] = 0
        blocks[whole, :, : o % CHANNELS] = rows[whole * CHANNELS :].T
    return result


def in_rows(blocks: npt.NDArray[Any], o: int, depth: int) -> npt.NDArray[Any]:
    """The inverse of :func:`interleaved`: the rows (O, depth)."""
    by_tap = blocks.reshape(whole_blocks(o) // CHANNELS, depth, CHANNELS)
    return np.ascontiguousarray(by_tap.transpose(0, 2, 1)).reshape(-1, depth)[:o]


# ---------------------------------------------------------------------------------------------- kernels


@helper
def count_tile(x, starts, first, weight, place, rows, span, pitch):
    """Differing signs of one tile: XNOR_ROWS pixels x CHANNELS filters."""
    counts, recent, left, start = no_counts(), no_counts(), RECENT_STEPS, xnor_starts(starts, first)
    # Lanes are filters, so nothing is summed across lanes, and the depth is not padded to a vector (ADR 0010).
    for r in range(rows):
        for i in range(span):
            recent = count_differing(recent, x, start, r * pitch + i, weight, place)
            counts, recent, left = settle(counts, recent, left)
            place += CHANNELS
    return add_recent(counts, recent)


@kernel
def _xnor_convolve(
    x, starts, weight, base, border_class, alpha, K, bias, y, least, pixels, filters, rows, span, pitch, columns, k_step
):
    for item in prange(items_of(pixels, filters, XNOR_ROWS)):
        channel, begin, end = part_of(item, pixels, filters, XNOR_ROWS)
        for first in range(begin, end, XNOR_ROWS):
            counts = count_tile(x, starts, first, weight, channel * rows * span, rows, span, pitch)
            target = y, first, pixels - 1, filters, channel
            # The counts are still in registers: scales, bias and ReLU cost no pass over the map.
            store_dots(counts, *target, base, border_class, columns, alpha, K, k_step, bias, least)
