"""Whether the steps of a trace agree with the same values computed another way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels import reference

from .arithmetic import Trace, windows_of

_ROUNDING = 1e-5  # of float32 sums in another order, relative to the largest value


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes
    ----------
    says : str
        What should be the same.
    difference : float
        The largest difference as a share of the largest value; NaN where only one side is.
    limit : float
        0 where both must be equal.
    """

    says: str
    difference: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether both sides agree."""
        return self.difference <= self.limit


def checks(t: Trace) -> list[Check]:
    """All comparisons of a trace, the exact ones first."""
    return [*_exact(t), *_rounded(t)]


def against_network(t: Trace, y_network: npt.NDArray[np.float32]) -> Check:
    """Compare with what the network's own layer gives, (OH, OW, O)."""
    ours = t.y if t.layer.use_k else t.y_without_k
    return Check("the network's own layer gives the same", _difference(ours, y_network), _ROUNDING)


def _exact(t: Trace) -> Iterator[Check]:
    layer, c = t.layer, t.x.shape[2]
    unpacked = bk.unpack_signs(t.x_words, c)
    yield Check("the words hold the signs of I", _difference(unpacked, np.where(t.x < 0, -1, 1)), 0)
    rows = windows_of(t.x_words, layer).reshape(-1, t.weight_words[0].size)
    filters = t.weight_words.reshape(len(t.weight_words), -1)
    bits = 64 * rows.shape[1]
    plain = (bits - reference.xnor_gemm(rows, filters, bits)) // 2
    yield Check("NumPy counts the same differing bits", _difference(t.differing, plain.reshape(t.dots.shape)), 0)
    (ph, pw), pad = layer.window.padding, layer.pad_value
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
    """The largest difference as a share of the largest value, both NaN counting as equal."""
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("nan")
    finite = np.isfinite(a)
    most = np.abs(b[finite]).max(initial=0)
    return float(np.abs(a[finite] - b[finite]).max(initial=0) / (most or 1))
