"""Softmax cross-entropy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import prange

from ..checks import Float
from ..simd.jit import kernel

Labels = npt.NDArray[np.int64]


def softmax_cross_entropy(
    logits: Float, labels: Labels, spread: np.float32, losses: Float, probabilities: Float
) -> None:
    """``losses`` (N,) and ``probabilities`` (N, C); ``spread`` is the share of label smoothing."""
    if logits.size:
        _cross_entropy(logits.ravel(), labels, spread, losses, probabilities.ravel(), *logits.shape)


@kernel
def _cross_entropy(logits, labels, spread, losses, probabilities, n, c):
    for row in prange(n):
        start = row * c
        most = logits[start]
        for i in range(1, c):
            most = max(most, logits[start + i])
        total = np.float32(0)
        for i in range(c):
            # No exponent is positive, so none overflows.
            probabilities[start + i] = np.exp(logits[start + i] - most)
            total += probabilities[start + i]
        log_total, mean = np.log(total), np.float32(0)
        for i in range(c):
            probabilities[start + i] /= total
            if spread > 0:  # 0 times the -inf of an impossible class would be NaN
                mean += (logits[start + i] - most - log_total) / np.float32(c)
        chosen = logits[start + labels[row]] - most - log_total
        losses[row] = -(np.float32(1) - spread) * chosen - spread * mean
