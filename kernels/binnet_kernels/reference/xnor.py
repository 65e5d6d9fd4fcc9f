"""The paper on one page, in plain NumPy: signs, scales, and products of signs (arXiv:1603.05279, sections 3.1 and 3.2).

Arguments are already checked; the result is written to the last one (or ones). Products and sums of signs are whole
numbers below 2^24, which float32 holds exactly. Sums of real numbers agree with the compiled forms up to the order of
summation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Float, Halves, Ints, Window, Words

# ---------------------------------------------------------------------------------------------- signs and their bits


def sign(x: Float, y: Float) -> None:
    """``y`` = sign(x), the optimal binary approximation (Eq. 4); sign(0) = +1."""
    y[...] = np.where(x < 0, np.float32(-1), np.float32(1))


def pack_signs(x: Float, words: Words) -> None:
    """``words`` (..., ceil(n / 64)): a bit for each sign of ``x`` (..., n), 1 for -1."""
    words[...] = _packed(x < 0, 64).view("<u8")


def unpack_signs(words: Words, x: Float) -> None:
    """The signs ``x`` (..., n) of packed ``words``."""
    x[...] = _signs_in(words.astype("<u8", copy=False), x.shape[-1])


def signs(x: Float, padding: tuple[int, int], pad_value: int, bits: Halves, within: Halves) -> None:
    """``bits``: the signs of images with their border; ``within``: where the straight-through gradient passes."""
    (ph, pw), border = padding, pad_value < 0
    negative = np.pad(x < 0, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=border)
    bits[...], within[...] = half_words(negative), half_words(np.abs(x) <= 1)


def half_words(truth: npt.NDArray[np.bool_]) -> Halves:
    """Bits (..., C) as half words (..., ceil(C / 32)), the unused ones 0."""
    return _packed(truth, 32).view("<u4").astype(np.uint32, copy=False)


def signs_of_map(bits: Halves, x_shape: tuple[int, ...], window: Window, pad_value: int) -> Float:
    """The signs in a map of bits, with a border of ``pad_value``."""
    (_, h, w, c), (ph, pw) = x_shape, window.padding
    # Rebuild the border from `pad_value`: in the bits a 0 is stored as +1.
    inside = bits.astype("<u4", copy=False)[:, ph : ph + h, pw : pw + w]
    return window.bordered(_signs_in(np.ascontiguousarray(inside), c), pad_value)


def _packed(truth: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.uint8]:
    """Bits (..., n) in bytes, the least significant first, up to a whole number of words of ``width`` bits."""
    n = truth.shape[-1]
    whole = np.zeros((*truth.shape[:-1], -(-n // width) * width), bool)
    whole[..., :n] = truth
    return np.packbits(whole, axis=-1, bitorder="little")


def _signs_in(words: npt.NDArray[Any], n: int) -> Float:
    """The first ``n`` bits of each row of words as signs."""
    negative = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[..., :n]
    return np.where(negative == 1, np.float32(-1), np.float32(1))


# ---------------------------------------------------------------------------------------------- scales


def weight_alpha(weight: Float, alpha: Float) -> None:
    """``alpha`` (O,): the optimal scale of each filter, ‖W‖₁ / n (Eq. 6)."""
    # float64: both forms round to the same float32.
    alpha[...] = np.abs(weight).mean(axis=tuple(range(1, weight.ndim)), dtype=np.float64)


def binary_weights(weight: Float, signs: Words, alpha: Float) -> None:
    """``signs`` (O, ceil(n / 64)) and ``alpha`` (O,) of filters (O, n)."""
    pack_signs(weight, signs)
    weight_alpha(weight, alpha)


def stand_in(signs: Words, alpha: Float, below: Float, weight: Float) -> None:
    """``weight`` (O, n): ``below`` (O,) where the sign is negative, elsewhere ``alpha``."""
    unpack_signs(signs, weight)
    weight[...] = np.where(weight < 0, below[:, None], alpha[:, None])


def scale_map(x: Float, window: Window, K: Float) -> None:
    """``K = A * k`` (N, OH, OW, 1): A is the mean of |x| over channels, k a box filter (Eq. 11)."""
    mean_abs_x = np.abs(x).mean(axis=-1, keepdims=True)
    K[...] = window.patches(window.bordered(mean_abs_x)).mean(axis=(4, 5))


# ---------------------------------------------------------------------------------------------- products


def xnor_gemm(a: Words, b: Words, n: int, dots: Ints) -> None:
    """``dots`` (M, N): dot products of rows of n signs. Equal signs multiply to +1, different ones to -1 (Eq. 9)."""
    dots[...] = n - 2 * np.bitwise_count(a[:, None] ^ b).sum(axis=-1, dtype=np.int32)


class XnorConv2d:
    """``I * W ≈ (sign(I) ⊛ sign(W)) ⊙ K α`` (Eq. 11). On single pixels it is a dense layer, with K = β (Eq. 10)."""

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
        self.window, self.pad_value, self.use_k = window, pad_value, use_k
        self.weight_sign, self.alpha, self.bias = np.empty(shape, np.float32), alpha, bias
        unpack_signs(weight_signs, self.weight_sign)

    def __call__(self, x: Float, y: Float) -> None:
        x_sign = np.empty_like(x)
        sign(x, x_sign)
        self._convolve(self.window.bordered(x_sign, self.pad_value), y)
        if self.use_k:
            K = np.empty((*y.shape[:3], 1), np.float32)
            scale_map(x, self.window, K)
            y *= K
        if self.bias is not None:
            y += self.bias

    def convolve_bits(self, bits: Halves, x_shape: tuple[int, ...], relu: bool, y: Float) -> None:
        """The same of signs that are packed already; a ReLU may follow."""
        self._convolve(signs_of_map(bits, x_shape, self.window, self.pad_value), y)
        if self.bias is not None:
            y += self.bias
        if relu:
            y[y < 0] = 0

    def _convolve(self, signs: Float, y: Float) -> None:
        y[...] = convolve(signs, self.weight_sign, self.window)
        y *= self.alpha


class BwnConv2d:
    """``I * W ≈ (I ⊕ sign(W)) α`` with real input (Eq. 1)."""

    def __init__(self, weight: Float, window: Window, alpha: Float) -> None:
        self.window, self.alpha, self.weight_sign = window, alpha, np.empty_like(weight)
        sign(weight, self.weight_sign)

    def __call__(self, x: Float, y: Float) -> None:
        y[...] = convolve(self.window.bordered(x), self.weight_sign, self.window)
        y *= self.alpha


def convolve(padded: Float, weight: Float, window: Window) -> Float:
    """Each window of a padded image times each filter, summed: (N, OH, OW, O)."""
    # BLAS chooses the order of the sum: real results agree with the compiled form up to rounding, products of signs
    # exactly, as whole numbers below 2^24 are exact in float32.
    y: Float = np.tensordot(window.patches(padded), weight, axes=([4, 5, 3], [1, 2, 3])).astype(np.float32, copy=False)
    return y
