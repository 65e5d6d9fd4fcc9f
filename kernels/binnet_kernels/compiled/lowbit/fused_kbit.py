"""Convolutions of k-bit weights with m-bit inputs, as sums of popcounts (arXiv:1603.05279, end of section 3.2).

A level is a sum of signs, L q = sum_i 2^i b_i (see ``kbit_levels.py``). So a dot product of levels is one of signs for
each pair of planes, weighted with 2^(i + j), and with n taps

    L_k L_m (q · r) = L_k L_m n - 2 sum_ij 2^(i + j) popcount(plane i of x ^ plane j of W)

A tile of counts goes from the highest i + j to the lowest and is doubled in between. The cost is that of k m layers of
signs; the sums are whole numbers, exact.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange

from ... import checks
from ...bit_map import BitMap, Bits
from ...checks import Float, Ints, Pair, Window, Words
from ...finish import NONE, Finish, Run, check_map, outputs
from ...simd.geometry import Indices, Sliding, border_classes, sliding
from ...simd.jit import helper, kernel
from ...simd.pixels import as_floats, changed, store, times_pixels
from ...simd.tail import run_tail, times_columns
from ...simd.tile import CHANNELS, CHUNK, XNOR_ROWS, count_differing, no_counts, xnor_starts
from ...simd.vector import HALVES, LANES, twin
from ..forward.fused import filter_halves, nothing, signs_of_halves, sizes_of
from ..forward.scale import scale_map
from ..forward.xnor import half_words, in_rows, interleaved, tap_sums, whole_blocks
from .level_lanes import pack_levels

_WORTH_SHARING = 1 << 15  # values to pack, some 5 µs: as long as it takes to wake the other threads


class FusedKbitConv2d:
    """A convolution of levels with levels whose output goes through a :class:`Finish`.

    Parameters
    ----------
    planes : uint64 (k, ceil(n / 64)) or (k, O, KH, KW, ceil(C / 64))
        Those of the n weights in OHWI order, as :func:`pack_planes` packs them, or as :func:`weight_planes` does.
    shape : (O, KH, KW, C)
    act_bits : int
        m, from 1 to 8.
    stride, pad_value, use_k
        As in :class:`XnorConv2d`.
    padding : int, pair of ints, or four ints (top, bottom, left, right)
    alpha : array (O,), optional
        Scales, 1 when not given.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or a sum would not fit 32 bits.
    """

    def __init__(
        self,
        planes: Any,
        shape: tuple[int, ...],
        act_bits: int,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = None,
        use_k: bool = False,
    ) -> None:
        tap_by_tap = np.ndim(planes) == 5
        planes = checks.packed(
            planes, shape[3] if tap_by_tap else int(np.prod(shape)), "planes", 5 if tap_by_tap else 2
        )
        self.levels = checks.levels_of_both(act_bits, len(planes), int(np.prod(shape[1:])))
        self.shape, self.window, self.act_bits = shape, Window.with_border(shape[1:3], stride, padding), int(act_bits)
        self.pad_value, self.use_k, self.weight_bits = checks.pad_value(pad_value), bool(use_k), len(planes)
        self.alpha = np.ones(shape[0], np.float32) if alpha is None else checks.floats(alpha, "alpha", shape=shape[:1])
        self.columns = whole_blocks(shape[0])
        halves = np.stack([half_words(p, shape[3]) if tap_by_tap else filter_halves(p, shape) for p in planes])
        whole = np.pad(halves, ((0, 0), (0, self.columns - shape[0]), (0, 0)))  # each plane in blocks of its own
        self._weight = interleaved(whole.reshape(len(planes) * self.columns, halves.shape[2]))
        sums = tap_sums(halves.reshape(len(planes), *shape[:3], -(-shape[3] // 32)), shape[3])
        self._taps = np.einsum("i,iors->ors", np.int32(1) << np.arange(len(planes), dtype=np.int32), sums)

    def stored(self) -> Words:
        """The planes as they were given, converted back from the order of the kernel."""
        (o, kh, kw, c), blocks = self.shape, self._weight.reshape(self.weight_bits, -1)
        return np.stack([signs_of_halves(in_rows(each, o, kh * kw * -(-c // 32)), c) for each in blocks])

    def bind(self, x: Float, finish: Finish, *, residual: Any = None, out: Any = None, bits: Any = None) -> Run:
        """A function without arguments that quantises, packs and convolves.

        Parameters
        ----------
        x : float32 (N, H, W, C)
        residual, out, bits
            As in :meth:`FusedXnorConv2d.bind`.

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        n, h, w, c = check_map(x).shape
        checks.same_channels(x, self.shape)
        plane = BitMap(x.shape, self.window.border, self.pad_value)
        planes = np.repeat(plane.words[None], self.act_bits, axis=0)
        K = np.empty(n * math.prod(self.window.output_size(h, w)), np.float32) if self.use_k else NONE
        convolve = self.bind_planes(planes, x.shape, finish, residual=residual, out=out, bits=bits, K=K)
        if convolve is nothing:
            return nothing
        if self.use_k:
            convolve = self._with_k(x, K, convolve)
        pack = _pack_image if x.size > _WORTH_SHARING else _pack_image.alone
        arguments = (x.ravel(), planes.ravel(), n, h, w, c, *self.window.border, self.act_bits, self.levels[0])

        def run() -> None:
            pack(*arguments)
            convolve()

        return run

    def bind_planes(
        self,
        planes: Bits,
        x_shape: tuple[int, ...],
        finish: Finish,
        *,
        residual: Any = None,
        out: Any = None,
        bits: Any = None,
        K: Float = NONE,
    ) -> Run:
        """The convolution of planes of images ``x_shape`` alone, each as the words of a BitMap, times K if wanted."""
        walk, base, group = self._tables(*x_shape[:3])
        o, shape = self.shape[0], (walk.n, walk.oh, walk.ow, self.shape[0])
        # Levels are counted as whole numbers L q, so both L leave with α, in one factor.
        scale = self.alpha / np.float32(self.levels[0] * self.levels[1])
        table, low = finish.table(o, self.columns, scale)
        y, words, place, residual, floats, between = outputs(finish, shape, out, bits, residual)
        if not walk.pixels * o:
            return nothing
        steps = (self.act_bits, self.weight_bits, planes[0].size, len(self._weight) // self.weight_bits)
        sizes = np.append(sizes_of(walk, o, self.columns, low, floats, between, self.use_k), steps)
        arrays = (planes.ravel(), walk.starts, self._weight, base.ravel(), group, table, finish.codes)
        return partial(_convolve, *arrays, K, residual, y, words, place, sizes)

    def _with_k(self, x: Float, K: Float, convolve: Run) -> Run:
        """First the map K of ``x``, then the convolution that multiplies by it."""
        window = self.window

        def run() -> None:
            scale_map(x, window, K.reshape(len(x), *window.output_size(*x.shape[1:3]), 1))
            convolve()

        return run

    def _tables(self, n: int, h: int, w: int) -> tuple[Sliding, Ints, Indices]:
        """The walk, what dot products start from (classes, columns), and the class of border of each pixel.

        With pad_value 0 the border is packed as +1, so what it adds is taken off, as in :class:`XnorConv2d`.
        """
        (lm, lk), c = self.levels, self.shape[3]
        walk = sliding((n, h, w, -(-c // 32)), self.window)
        outside, group = border_classes(h, w, n, self.window)
        correction = np.einsum("krs,ors->ko", outside.astype(np.int32), self._taps) * (self.pad_value == 0)
        base = np.zeros((len(outside), self.columns), np.int32)
        base[:, : self.shape[0]] = lm * (lk * int(np.prod(self.shape[1:])) - correction)
        return walk, base, group


# ---------------------------------------------------------------------------------------------- kernels


@twin(lambda counts: counts + counts)
def doubled(context: Any, counts: Any) -> Any:
    """Each count twice."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        one = ir.Constant(HALVES.llvm_type, [1] * LANES)
        return changed(builder, sig.args[0], args[0], lambda value, row, v: builder.shl(value, one))

    return counts(counts), build


@helper
def count_planes(x, starts, first, weight, place, rows, span, pitch, x_bits, w_bits, x_step, w_step):
    """Differing signs of one tile, over all pairs of planes, each pair times 2^(i + j)."""
    counts = no_counts()
    start = xnor_starts(starts, first)
    for power in range(x_bits + w_bits - 2, -1, -1):
        # Horner's rule over the powers of two: one shift of the tile for all pairs of planes with the same i + j.
        counts = doubled(counts)
        for i in range(max(0, power - w_bits + 1), min(power, x_bits - 1) + 1):
            source, target = i * x_step, place + (power - i) * w_step
            for r in range(rows):
                for t in range(span):
                    counts = count_differing(counts, x, start, source + r * pitch + t, weight, target)
                    target += CHANNELS
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
def _convolve(x, starts, weight, base, group, table, tail, K, residual, out, bits, places, sizes):
    pixels, filters, rows, span, pitch, columns = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    low, floats, between, use_k = sizes[6], sizes[7], sizes[8], sizes[9]
    x_bits, w_bits, x_step, w_step = sizes[10], sizes[11], sizes[12], sizes[13]
    tiles, depth, blocks = (pixels + XNOR_ROWS - 1) // XNOR_ROWS, rows * span, columns // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        channel = item % blocks * CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first, last, place = tile * XNOR_ROWS, pixels - 1, channel * depth
            counts = count_planes(x, starts, first, weight, place, rows, span, pitch, x_bits, w_bits, x_step, w_step)
            y = times_columns(as_floats(counts, base, group, columns, first, last, channel), table, channel)
            if use_k:
                y = times_pixels(y, K, first, last)
            y = run_tail(y, tail, table, columns + channel, columns, residual, first, last, filters, channel)
            store(y, low, columns, table, out, floats, bits, places, between, first, last, filters, channel)
