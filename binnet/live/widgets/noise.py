"""The sign averaged over uniform noise of width w: a ramp, whose slope at w = 1 is the straight-through estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from binnet import Tensor, ops

LABEL = "The sign averaged over uniform noise of a chosen width, and the slope of that average"
CAPTION = (
    "u is noise, uniform on −w … w. Left: sign(x) dashed, and its average E[sign(x + u)] over the noise. The "
    "strip below has the places x + u; violet ones count as +1, orange ones as −1. Right: the slope of the average, "
    "and dashed the straight-through estimator (STE). Drag the blue spot or use the sliders."
)


def mean(x: float, width: float) -> float:
    """E[sign(x + u)] for u even on [−width, width]: x / width, limited to ±1."""
    return min(1.0, max(-1.0, x / width))


def slope(x: float, width: float) -> float:
    """The derivative of :func:`mean`: 1 / width for |x| ≤ width, where both edges count as inside, and 0 elsewhere."""
    return 1 / width if abs(x) <= width else 0.0


def values() -> dict[str, Any]:
    """Width and x to begin with, and the STE by binnet's sign: places (401,) and derivatives (401,)."""
    r = Tensor(np.linspace(-2, 2, 401, dtype=np.float32), requires_grad=True)
    ops.sign(r).backward(np.ones(401, np.float32))
    assert r.grad is not None
    ste = {"x": [round(float(x), 2) for x in r.data], "slope": [float(s) for s in r.grad]}
    return {"w": 0.5, "x": 0.2, "ste": ste}
