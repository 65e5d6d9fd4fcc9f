"""Softmax cross-entropy and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import checks
from ..checks import Float
from ..simd.jit import kernel


def softmax_cross_entropy(logits: Any, labels: Any, label_smoothing: float = 0.0) -> tuple[Float, Float]:
    """The cross-entropy of softmax(logits) with the labels, for each row.

    Parameters
    ----------
    logits : array (N, C) of real numbers
        −inf is a class of probability 0. A row of −inf alone, and one with +inf or NaN, gives NaN.
    labels : array (N,) of ints in [0, C)
    label_smoothing : float in [0, 1)
        Share of the target that is spread evenly over all classes.

    Returns
    -------
    losses : float32 (N,)
        In nats.
    probabilities : float32 (N, C)
        softmax(logits), for :func:`softmax_cross_entropy_grad`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    logits, spread = checks.floats(logits, "logits", 2), checks.smoothing(label_smoothing)
    labels = checks.labels(labels, *logits.shape)
    losses, probabilities = np.empty(len(logits), np.float32), np.empty_like(logits)
    if logits.size:
        _cross_entropy(logits.ravel(), labels, spread, losses, probabilities.ravel(), *logits.shape)
    return losses, probabilities


def softmax_cross_entropy_grad(probabilities: Any, labels: Any, label_smoothing: float = 0.0) -> Float:
    """Gradient of the sum of losses with respect to the logits: probabilities minus the (smoothed) target.

    Parameters
    ----------
    probabilities : array (N, C)
        From :func:`softmax_cross_entropy`.
    labels, label_smoothing
        As given there.

    Returns
    -------
    float32 (N, C)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    probabilities, spread = checks.floats(probabilities, "probabilities", 2), checks.smoothing(label_smoothing)
    labels = checks.labels(labels, *probabilities.shape)
    grad: Float = probabilities - spread / np.float32(max(probabilities.shape[1], 1))
    grad[np.arange(len(labels)), labels] -= 1 - spread
    return grad


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
