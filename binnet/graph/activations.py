"""Nodes of activation functions that networks of other tools use: tanh, the logistic function, and clipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .graph import Float, kind
from .maps import Monotone


@kind
@dataclass(frozen=True, eq=False)
class Tanh(Monotone):
    """``tanh(x)``, in float64 and rounded once."""

    def compute(self, *inputs: Any) -> Float:
        # Rounding once also keeps it monotone: errors of float64 are far below the distance of neighbouring float32.
        y: Float = np.tanh(inputs[0], dtype=np.float64).astype(np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Sigmoid(Monotone):
    """The logistic function ``1 / (1 + exp(-x))``, in float64 and rounded once."""

    def compute(self, *inputs: Any) -> Float:
        y: Float = (1 / (1 + np.exp(-inputs[0], dtype=np.float64))).astype(np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Clip(Monotone):
    """``min(max(x, low), high)``; NaN stays NaN. ReLU6 is 0 to 6, the hard tanh -1 to 1."""

    low: float
    high: float

    def check(self) -> None:
        largest = float(np.finfo(np.float32).max)
        ends = self.low, self.high
        # NaN fails each comparison.
        if not all(type(end) in (int, float) and abs(end) <= largest for end in ends) or not self.low <= self.high:
            raise ValueError(f"{self.name} must clip from a finite number to one that is not smaller, got {ends}")

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.clip(inputs[0], np.float32(self.low), np.float32(self.high))
        return y
