"""Convolutions of k-bit weights with m-bit inputs, as sums of popcounts (arXiv:1603.05279, end of section 3.2).

A level is a sum of signs, L q = sum_i 2^i b_i (see ``lowbit/levels.py``). So a dot product of levels is one of signs
for each pair of planes, weighted with 2^(i + j), and with n taps

    L_k L_m (q · r) = L_k L_m n - 2 sum_ij 2^(i + j) popcount(plane i of x ^ plane j of W)

A tile of counts goes from the highest i + j to the lowest and is doubled in between. The cost is that of k m layers of
signs; the sums are whole numbers, exact.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numba import prange

from ...checks import Float, Halves, Ints, Window, Words
from ...fused.bit_map import BitMap
from ...fused.epilogue import NONE, Arrays, Epilogue, Run
from ...simd.counts import RECENT_STEPS, add_recent, count_differing, no_counts, settle, twice
from ...simd.epilogue_steps import run_epilogue, times_columns
from ...simd.geometry import Indices, Sliding, sliding
from ...simd.jit import helper, kernel
from ...simd.pixels import as_floats, store, times_pixels
from ...simd.tile import CHANNELS, XNOR_ROWS, xnor_starts
from ...simd.tiling import items_of, part_of
from ..forward.scale import scale_map
from ..forward.xnor import dot_starts, half_words, in_rows, interleaved, tap_sums, whole_blocks
from ..fused.xnor import filter_halves, nothing, signs_of_halves, sizes_of
from .level_lanes import pack_levels

_WORTH_SHARING = 1 << 15  # values to pack, some 5 µs: as long as it takes to wake the other threads


class FusedKbitConv2d:
    """A convolution of levels with levels, planes of weights (k, ceil(n / 64)) or (k, O, KH, KW, ceil(C / 64))."""

    def __init__(
        self,
        planes: Words,
        shape: tuple[int, ...],
        window: Window,
        pad_value: int,
        act_bits: int,
        alpha: Float,
        use_k: bool,
    ) -> None:
        self._shape, self._window, self._pad_value, self._use_k = shape, window, pad_value, use_k
        self._act_bits, self._weight_bits, self._columns = act_bits, len(planes), whole_blocks(shape[0])
        self._levels = (1 << act_bits) - 1, (1 << len(planes)) - 1
        # Levels are counted as whole numbers L q, so both L leave with α, in one factor.
        self._scale = alpha / np.float32(self._levels[0] * self._levels[1])
        halves = np.stack([half_words(p, shape[3]) if planes.ndim == 5 else filter_halves(p, shape) for p in planes])
        whole = np.pad(halves, ((0, 0), (0, self._columns - shape[0]), (0, 0)))  # each plane in blocks of its own
        self._weight = interleaved(whole.reshape(len(planes) * self._columns, halves.shape[2]))
        sums = tap_sums(halves.reshape(len(planes), *shape[:3], -(-shape[3] // 32)), shape[3])
        self._taps = np.einsum("i,iors->ors", np.int32(1) << np.arange(len(planes), dtype=np.int32), sums)

    def stored(self) -> Words:
        """The planes as they were given, converted back from the order of the kernel."""
        (o, kh, kw, c), blocks = self._shape, self._weight.reshape(self._weight_bits, -1)
        return np.stack([signs_of_halves(in_rows(each, o, kh * kw * -(-c // 32)), c) for each in blocks])

    def bind(self, x: Float, epilogue: Epilogue, arrays: Arrays) -> Run:
        """Quantise ``x``, convolve, multiply by K if wanted, then run the epilogue."""
        plane = BitMap(x.shape, self._window.border, self._pad_value)
        planes = np.repeat(plane.words[None], self._act_bits, axis=0)
        K = np.empty(math.prod(arrays.shape[:3]), np.float32) if self._use_k else NONE
        convolve = self._bound(planes, x.shape, epilogue, K, arrays)
        if convolve is nothing:
            return nothing
        if self._use_k:
            convolve = self._with_k(x, K, convolve)
        pack = _pack_image if x.size > _WORTH_SHARING else _pack_image.serial
        arguments = (x.ravel(), planes.ravel(), *x.shape, *self._window.border, self._act_bits, self._levels[0])

        def run() -> None:
            pack(*arguments)
            convolve()

        return run

    def bind_planes(self, planes: Halves, x_shape: tuple[int, ...], epilogue: Epilogue, arrays: Arrays) -> Run:
        """Convolve planes of levels, which have their border, then run the epilogue."""
        return self._bound(planes, x_shape, epilogue, NONE, arrays)

    def _bound(self, planes: Halves, x_shape: tuple[int, ...], epilogue: Epilogue, K: Float, arrays: Arrays) -> Run:
        (walk, base, border_class), o = self._tables(*x_shape[:3]), self._shape[0]
        if not walk.pixels * o:
            return nothing
        table, low = epilogue.table(o, self._columns, self._scale)
        *targets, floats, between = arrays.flat()
        steps = (self._act_bits, self._weight_bits, planes[0].size, len(self._weight) // self._weight_bits)
        sizes = np.append(sizes_of(walk, o, self._columns, low, floats, between, self._use_k), steps)
        tables = (planes.ravel(), walk.starts, self._weight, base.ravel(), border_class, table, epilogue.codes)
        return partial(_convolve, *tables, K, *targets, sizes)

    def _with_k(self, x: Float, K: Float, convolve: Run) -> Run:
        """First the map K of ``x``, then the convolution that multiplies by it."""
        window = self._window

        def run() -> None:
            scale_map(x, window, K.reshape(len(x), *window.output_size(*x.shape[1:3]), 1))
            convolve()

        return run

    def _tables(self, n: int, h: int, w: int) -> tuple[Sliding, Ints, Indices]:
        """The walk over n images (h, w), then :func:`dot_starts` of whole numbers L q, and the border classes."""
        (lm, lk), walk = self._levels, sliding((n, h, w, -(-self._shape[3] // 32)), self._window)
        most = lk * math.prod(self._shape[1:])
        # `_taps` are sums of levels of weights; a border of +1 has the highest level of inputs in each tap, lm.
        base, border_class = dot_starts((n, h, w), self._window, self._taps, most, self._pad_value)
        return walk, base * np.int32(lm), border_class


# ---------------------------------------------------------------------------------------------- kernels


@helper
def count_planes(x, starts, first, weight, place, rows, span, pitch, x_bits, w_bits, x_step, w_step):
    """Differing signs of one tile, over all pairs of planes, each pair times 2^(i + j)."""
    counts = no_counts()
    start = xnor_starts(starts, first)
    for power in range(x_bits + w_bits - 2, -1, -1):
        # Horner's rule over the powers of two: one shift of the tile for all pairs of planes with the same i + j.
        counts, recent, left = twice(counts), no_counts(), RECENT_STEPS
        for i in range(max(0, power - w_bits + 1), min(power, x_bits - 1) + 1):
            source, target = i * x_step, place + (power - i) * w_step
            for r in range(rows):
                for t in range(span):
                    recent = count_differing(recent, x, start, source + r * pitch + t, weight, target)
                    counts, recent, left = settle(counts, recent, left)
                    target += CHANNELS
        counts = add_recent(counts, recent)
    return counts


@kernel
def _pack_image(x, planes, n, h, w, c, top, bottom, left, right, bits, levels):
    halves, high, wide = (c + 31) // 32, top + h + bottom, left + w + right
    step = n * high * wide * halves
    for line in prange(n * h):
        # Only the inside: the border was written when the planes were made.
        target = ((line // h * high + line % h + top) * wide + left) * halves
        for col in range(w):
            start = (line * w + col) * c
            pack_levels(x, start, c, np.float32(1), bits, levels, planes, target + col * halves, step)


@kernel
def _convolve(x, starts, weight, base, border_class, table, steps, K, residual, out, bits, places, sizes):
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, use_k, last = sizes[6], sizes[7], sizes[8], sizes[9], pixels - 1
    x_bits, w_bits, x_step, w_step = sizes[10], sizes[11], sizes[12], sizes[13]
    for item in prange(items_of(pixels, columns, XNOR_ROWS)):
        channel, begin, end = part_of(item, pixels, columns, XNOR_ROWS)
        for first in range(begin, end, XNOR_ROWS):
            place = channel * rows * span
            counts = count_planes(x, starts, first, weight, place, rows, span, pitch, x_bits, w_bits, x_step, w_step)
            y = times_columns(as_floats(counts, base, border_class, columns, first, last, channel), table, channel)
            if use_k:
                y = times_pixels(y, K, first, last)
            y = run_epilogue(y, steps, table, columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)
