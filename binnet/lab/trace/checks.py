"""Checks of a trace: comparisons of its steps with the same values from independent code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels import reference

from .arithmetic import Trace, windows_of

_ROUNDING = 1e-5  # tolerance for float32 sums in another order, relative to the largest value


@dataclass(frozen=True)
class Check:
    """Result of one comparison.

    Attributes
    ----------
    says : str
        The statement that is checked.
    difference : float
        Largest difference divided by the largest value; NaN when shapes differ or only one side is finite.
    limit : float
        Largest difference that passes; 0 for integers, which must be equal.
    """

    says: str
    difference: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the limit; False for NaN."""
        return self.difference <= self.limit


def checks(t: Trace) -> list[Check]:
    """All comparisons of a trace without its network, the exact ones first."""
    return [*_exact(t), *_rounded(t)]


def against_network(t: Trace, y_network: npt.NDArray[np.float32]) -> Check:
    """Compare a trace with the output of the network's own layer, float32 (OH, OW, O)."""
    ours = t.y if t.layer.use_k else t.y_without_k
    return Check("the network's own layer gives the same", _difference(ours, y_network), _ROUNDING)


def _exact(t: Trace) -> Iterator[Check]:
    layer, c = t.layer, t.x.shape[2]
    unpacked = bk.unpack_signs(t.x_words, c)
    yield Check("the words hold the signs of I", _difference(unpacked, np.where(t.x < 0, -1, 1)), 0)
    rows = windows_of(t.x_words, layer).reshape(-1, t.weight_words[0].size)
    filters = t.weight_words.reshape(len(t.weight_words), -1)
    bits = 64 * rows.shape[1]
    # The reference counts with NumPy, the trace with the compiled kernel.
    plain = (bits - reference.xnor_gemm(rows, filters, bits)) // 2
    yield Check("NumPy counts the same differing bits", _difference(t.differing, plain.reshape(t.dots.shape)), 0)
    (ph, pw), pad = layer.window.padding, layer.pad_value
    # Floats can hold the 0 of a border, so this check needs no correction for it.
    padded = np.pad(t.sign_x, ((ph, ph), (pw, pw), (0, 0)), constant_values=pad)
    floats = bk.conv2d(padded[None], layer.weight_sign, layer.window.stride)[0]
    yield Check("a float convolution of the signs gives n − 2·differing", _difference(t.dots, floats), 0)


def _rounded(t: Trace) -> Iterator[Check]:
    window, layer = t.layer.window, t.layer
    K = reference.scale_map(t.x[None], window.size, window.stride, window.padding)[0, :, :, 0]
    yield Check("K is A convolved with k in NumPy", _difference(t.K, K), _ROUNDING)
    if layer.weight is not None and layer.scale == "mean":
        alpha = reference.weight_alpha(layer.weight)
        yield Check("α is the mean of |W| in NumPy", _difference(layer.alpha, alpha), _ROUNDING)
    whole = bk.XnorConv2d(layer.weight_sign, window.stride, window.padding, layer.pad_value, layer.alpha, True)
    yield Check("the fused kernel gives the same product", _difference(t.y, whole(t.x[None])[0]), _ROUNDING)


def _difference(found: npt.ArrayLike, expected: npt.ArrayLike) -> float:
    """The largest difference divided by the largest value; equal NaN or infinity on both sides are ignored."""
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("nan")
    finite = np.isfinite(a)
    most = np.abs(b[finite]).max(initial=0)
    return float(np.abs(a[finite] - b[finite]).max(initial=0) / (most or 1))
