"""A real weight behind a sign, over 60 steps of gradient descent, with three derivatives of the sign."""

from __future__ import annotations

from typing import Any

import numpy as np

from binnet import Tensor, ops

STEPS = 60
LABEL = "A real weight over 60 steps of gradient descent, and the derivative of the sign that is used backward"
CAPTION = (
    "Left: the real weight W after each step W ← W − η · g · derivative(W), and a strip with its sign, which is "
    "all that the network sees. The gradients g of the sign are random with mean 0.5, so W should fall. Right: "
    "the derivative used for the sign. Drag the blue spot to start elsewhere. (The small part through α is left "
    "out.)"
)


def path(start: float, rate: float, ste: str) -> list[float]:
    """The weight before the first step and after each of 60, by binnet's own derivative ("clip" or "polynomial")."""
    weights = [np.float32(start)]
    for gradient in _gradients():
        weight = Tensor(weights[-1:], requires_grad=True)
        ops.sign(weight, ste).backward(np.array([gradient], np.float32))
        assert weight.grad is not None
        weights.append(weights[-1] - np.float32(rate) * weight.grad[0])
    return [float(weight) for weight in weights]


def _gradients() -> Any:
    return np.random.default_rng(3).normal(0.5, 0.7, STEPS).round(2)


def values() -> dict[str, Any]:
    """Gradients (60,) of the sign, and where to begin: the weight and the learning rate."""
    return {"g": [float(g) for g in _gradients()], "start": 0.6, "rate": 0.05}
