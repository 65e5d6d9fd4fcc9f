"""ReLU, its gradient, and sums of maps, in plain NumPy. The last array is written, and may be another one."""

from __future__ import annotations

import numpy as np

from ..checks import Float


def relu(x: Float, y: Float) -> None:
    """``y = max(x, 0)``; NaN stays NaN."""
    y[...] = np.where(x < 0, np.float32(0), x)


def relu_grad(grad: Float, y: Float, grad_x: Float) -> None:
    """``grad_x = grad`` where ``y > 0``, else 0."""
    grad_x[...] = np.where(y > 0, grad, np.float32(0))


def add(x: Float, y: Float, total: Float) -> None:
    """``total = x + y``."""
    np.add(x, y, out=total)
