"""The fused layers of packed models in plain NumPy: one thing after the other, on floats, packed at the end."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Float, Halves, Window, Words
from ..fused.bit_map import BitMap
from ..fused.epilogue import Arrays, Epilogue, Run
from .maps import avg_pool2d
from .xnor import convolve, half_words, scale_map

Truth = npt.NDArray[np.bool_]


def signs_of(bits: Halves, c: int) -> Float:
    """A map of bits as ±1 in float32 (..., C)."""
    return np.where(_truth(bits, c), np.float32(-1), np.float32(1))


def _truth(bits: Halves, c: int) -> Truth:
    flat = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=-1, bitorder="little")
    return flat[..., :c].astype(bool)


def _write(bits: BitMap, truth: Truth) -> None:
    """Bits to the inside of a map."""
    bits.inside[...] = half_words(truth)


def run_epilogue(y: Float, epilogue: Epilogue, arrays: Arrays) -> None:
    """The steps of an epilogue on sums (N, OH, OW, O), and what it writes."""
    for word, *vectors in epilogue.steps:
        if word == "norm":
            mean, factor, shift = vectors
            # Three float32 roundings, as in the compiled form.
            y = (y - mean) * factor + shift
        elif word == "relu":
            y = np.where(y < 0, np.float32(0), y)
        elif word == "prelu":
            y = np.where(y < 0, y * vectors[0], y)
        elif word == "sign":
            y = np.where(y < 0, np.float32(-1), np.float32(1))
        elif arrays.residual is not None:
            y = y + arrays.residual
    if arrays.out is not None:
        arrays.out[...] = y
    if arrays.bits is not None and epilogue.limits is not None:
        low, high = epilogue.limits
        _write(arrays.bits, (y >= low) & (y <= high))


class FusedXnorConv2d:
    """A convolution of bits with bits."""

    def __init__(self, signs: Words, shape: tuple[int, ...], window: Window, pad_value: int, alpha: Float) -> None:
        self._signs, self._window, self._pad_value, self._alpha = signs.copy(), window, pad_value, alpha
        self._weight = signs_of(signs.view(np.uint32), int(np.prod(shape))).reshape(shape)

    def stored(self) -> Words:
        """The signs as they were given."""
        return self._signs

    def bind(self, x: BitMap, epilogue: Epilogue, K: Float | None, arrays: Arrays) -> Run:
        """Convolve the bits in ``x``, times alpha and K, then run the epilogue."""

        def run() -> None:
            y = self._dots(x) * self._alpha
            run_epilogue(y if K is None else y * K, epilogue, arrays)

        return run

    def bind_bits(self, x: BitMap, most: npt.NDArray[np.int64], flips: Truth, bits: BitMap) -> Run:
        """Write the bits ``(dot product <= most) ^ flips``."""
        return lambda: _write(bits, (self._dots(x) <= most) ^ flips)

    def _dots(self, x: BitMap) -> Float:
        # Bits cannot hold 0. Here zeros stand around floats; the compiled form takes +1 and corrects the sums.
        if self._pad_value == 0:
            signs = self._window.bordered(signs_of(x.inside, x.shape[3]))
        else:
            signs = signs_of(x.words, x.shape[3])
        return convolve(signs, self._weight, self._window)


class FusedConv2d:
    """A convolution of real images with real weights (O, KH, KW, C)."""

    def __init__(
        self, weight: npt.NDArray[Any], shape: tuple[int, ...], window: Window, alpha: Float, bias: Float
    ) -> None:
        self._weight, self._window, self._alpha, self._bias = weight.copy(), window, alpha, bias

    def stored(self) -> npt.NDArray[Any]:
        """The weights as they were given."""
        return self._weight

    def bind(self, x: Float, epilogue: Epilogue, arrays: Arrays) -> Run:
        """Convolve ``x``, which has its border; the epilogue takes ``sum * alpha + bias``."""

        def run() -> None:
            run_epilogue(convolve(x, self._weight, self._window) * self._alpha + self._bias, epilogue, arrays)

        return run


class FusedBwnConv2d(FusedConv2d):
    """A convolution of real images with one-bit weights, signs of n weights in a row."""

    def __init__(self, signs: Words, shape: tuple[int, ...], window: Window, alpha: Float, bias: Float) -> None:
        weight = signs_of(signs.view(np.uint32), int(np.prod(shape))).reshape(shape)
        super().__init__(weight, shape, window, alpha, bias)
        self._signs = signs.copy()

    def stored(self) -> Words:
        """The signs as they were given."""
        return self._signs


def bind_map(x: Float, epilogue: Epilogue, window: Window, arrays: Arrays) -> Run:
    """Run the epilogue on the largest value of each window."""

    def run() -> None:
        # The border is never the largest value.
        wide = window.bordered(x, -np.inf)
        run_epilogue(window.patches(wide).max(axis=(4, 5)), epilogue, arrays)

    return run


def bind_average(x: Float, out: Float, window: Window) -> Run:
    """Write to ``out`` the mean of each window, the border counted as zeros."""
    return partial(avg_pool2d, x, window, out)


def bind_pool_bits(x: BitMap, flips: Truth, out: BitMap, window: Window) -> Run:
    """Write to ``out`` the AND of the bits of each window, exclusive or ``flips``."""

    def run() -> None:
        # True leaves an AND as it is, so the border plays no part.
        wide = window.bordered(_truth(x.words, x.shape[3]), True)
        _write(out, window.patches(wide).all(axis=(4, 5)) ^ flips)

    return run


def bind_pack_with_k(x: Float, bits: BitMap, K: Float, window: Window) -> Run:
    """Write the signs of ``x``, and K of its windows (Eq. 11)."""

    def run() -> None:
        _write(bits, x < 0)
        scale_map(x, window, K)

    return run
