"""A word of 16 bits of which n are used: the unused ones, the tail, under XOR and under XNOR."""

from __future__ import annotations

from typing import Any

import numpy as np

import binnet_kernels as bk

BITS = 16
LABEL = "Two words of 16 bits of which n are used: what the unused bits do to the count under XOR and XNOR"
CAPTION = (
    "A word has 16 bits here, instead of 64, to fit on the page. Press a bit to flip it, and move n. The dashed "
    "bits are the tail, 0 in both words; the mask has n ones. The green results are the dot product; the red ones "
    "are not, unless the tail is empty."
)


def values() -> dict[str, Any]:
    """Bits (16,) of two rows of signs, n to begin with, and the dot products of the first n signs, n from 1 to 16."""
    x, w = np.random.default_rng(2).normal(size=(2, BITS)).astype(np.float32)
    pack = [(bk.pack_signs(x[None, :n]), bk.pack_signs(w[None, :n])) for n in range(1, BITS + 1)]
    return {
        "a": (x < 0).astype(int).tolist(),
        "b": (w < 0).astype(int).tolist(),
        "n": 11,
        "dots": [int(bk.xnor_gemm(a, b, n)[0, 0]) for n, (a, b) in enumerate(pack, 1)],
    }
