"""Rounding to k bits, q_k: a staircase of 2^k levels, each a sum of signs with weights 1, 2, 4, …"""

from __future__ import annotations

from typing import Any

import numpy as np

import binnet_kernels as bk

LABEL = "Rounding a number between minus 1 and 1 to k bits, as a staircase, and its level as a sum of signs"
CAPTION = (
    "Choose k, and drag the spot along the staircase or move it with the arrow keys. A level is a sum of k signs "
    "with weights 1, 2, 4, …, so a dot product of numbers of k bits takes a popcount for each pair of bits."
)


def values() -> dict[str, Any]:
    """Where to begin: k and x; and the rounded x for k from 1 to 6, by the kernel."""
    x = 0.3
    return {"k": 2, "x": x, "levels": [float(bk.quantise_input(np.array([x], np.float32), k)[0]) for k in range(1, 7)]}
