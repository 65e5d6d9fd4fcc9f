"""Eight weights as signs times one scale: the distance J = |W − αB|² over α, least at the mean of |W|."""

from __future__ import annotations

from typing import Any

import numpy as np

import binnet_kernels as bk

LABEL = "Eight weights and their binary form, signs times alpha; the distance J between both as a curve over alpha"
CAPTION = (
    "Left: eight weights W, with lines at α and −α, where the binary weights are; red is the error of each. "
    "Right: J, the sum of the squared errors, over α. Drag a weight, or the blue spot on either side; the arrow "
    "keys move what has the focus."
)


def values() -> dict[str, Any]:
    """Weights (8,), multiples of 0.05 within ±2; an α to begin with; the best α and its distance J, by the library."""
    w = np.array([0.9, -0.4, 1.5, -1.1, 0.2, -0.7, 0.3, -1.3], np.float32)
    alpha = bk.weight_alpha(w[None])
    distance = ((w - bk.weight_hat(w[None], alpha)[0]) ** 2).sum()
    return {"w": [round(float(v), 2) for v in w], "start": 1.4, "alpha": float(alpha[0]), "distance": float(distance)}
