"""The dot product of 16 pairs of signs, once with numbers and once with bits."""

from __future__ import annotations

from typing import Any

import numpy as np

import binnet_kernels as bk

TAPS = 16
LABEL = "The dot product of two rows of 16 signs, computed with numbers and with bits"
CAPTION = (
    "Press a sign of the first two rows to flip it; in a row, the arrow keys go from sign to sign. Orange is −1, "
    "its bit is 1; violet is +1, its bit is 0."
)


def values() -> dict[str, Any]:
    """Signs (16,) of the inputs and of the weights to begin with, their bits, and their dot product."""
    x, w = np.random.default_rng(16).normal(size=(2, TAPS)).astype(np.float32)
    a, b = bk.pack_signs(x), bk.pack_signs(w)
    return {
        "x": bk.sign(x).astype(int).tolist(),
        "w": bk.sign(w).astype(int).tolist(),
        "dot": int(bk.xnor_gemm(a[None], b[None], TAPS)[0, 0]),
    }
