"""Six weights and three rules for their gradient: exact, paper and plain (section 5.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from binnet import ops

RULES = ("exact", "paper", "plain")
LABEL = "Six weights of a filter and their gradients by three rules, exact, paper and plain, as arrows"
CAPTION = (
    "Top: the real weights W, with the window ±1. Bottom: for each weight, the gradient by the three rules as "
    "arrows; an arrow with two tips goes on beyond ±1. The plain one is g itself. Drag a weight, or the tip of a plain "
    "arrow. A step of training moves W against the arrow."
)


def values() -> dict[str, Any]:
    """Weights and gradients of the binary weights (6,) to begin with, and the three gradients (6,) by the library."""
    w = [0.9, -0.4, 0.2, -1.3, 0.05, -0.6]
    g = [0.5, 0.3, -0.2, 0.4, -0.1, 0.2]
    return {"w": w, "g": g, "rules": {rule: gradient(w, g, rule) for rule in RULES}}


def gradient(w: list[float], g: list[float], rule: str) -> list[float]:
    """Gradients (n,) of the real weights of one filter by a rule of `binnet.ops.grad_weight`."""
    weights, gradients = np.array([w], np.float32), np.array([g], np.float32)
    found = ops.grad_weight(gradients, weights, ops.weight_alpha(weights), rule)
    return [float(value) for value in found[0]]
