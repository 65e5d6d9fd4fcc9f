"""Signs of real values, their bits and the scales of filters, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..checks import Float, Words


def sign(x: Any) -> Float:
    """See :func:`binnet_kernels.sign`."""
    return np.where(checks.floats(x, "x") < 0, np.float32(-1), np.float32(1))


def pack_signs(x: Any) -> Words:
    """See :func:`binnet_kernels.pack_signs`."""
    x = checks.floats(np.atleast_1d(x), "x")
    n = x.shape[-1]
    bits = np.zeros((*x.shape[:-1], -(-n // 64) * 64), bool)
    bits[..., :n] = x < 0
    return np.packbits(bits, axis=-1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def weight_alpha(weight: Any) -> Float:
    """See :func:`binnet_kernels.weight_alpha`."""
    weight = checks.filters(weight)
    alpha: Float = np.abs(weight).mean(axis=tuple(range(1, weight.ndim)), dtype=np.float64).astype(np.float32)
    return alpha
