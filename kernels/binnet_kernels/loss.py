"""Softmax cross-entropy and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import checks
from .backend import LOSS, Late, front_door, in_numpy
from .checks import Float

if TYPE_CHECKING:
    from .compiled import loss as compiled
    from .reference import training as reference
else:
    reference = Late("binnet_kernels.reference.training")
    compiled = Late("binnet_kernels.compiled.loss")


@front_door(LOSS)
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
    logits, spread = checks.floats(logits, "logits", 2), _smoothing(label_smoothing)
    labels, losses = class_numbers(labels, *logits.shape), np.empty(len(logits), np.float32)
    probabilities = np.empty_like(logits)
    form = reference.softmax_cross_entropy if in_numpy() else compiled.softmax_cross_entropy
    form(logits, labels, spread, losses, probabilities)
    return losses, probabilities


@front_door(LOSS)
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
    probabilities, spread = checks.floats(probabilities, "probabilities", 2), _smoothing(label_smoothing)
    labels, grad = class_numbers(labels, *probabilities.shape), np.empty(probabilities.shape, np.float32)
    # In one form only: the arrays are small, and NumPy takes as long as compiled code would.
    reference.softmax_cross_entropy_grad(probabilities, labels, spread, grad)
    return grad


def class_numbers(labels: Any, n: int, classes: int) -> npt.NDArray[np.int64]:
    """Class numbers (n,) in [0, classes), as int64."""
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got dtype {array.dtype}")
    if array.shape != (n,):
        raise ValueError(f"labels must have shape {(n,)}, got {array.shape}")
    if n and not (0 <= array.min() and array.max() < classes):
        raise ValueError(f"labels must lie in 0…{classes - 1}, got {array.min()}…{array.max()}")
    return np.array(array, np.int64)


def _smoothing(value: float) -> np.float32:
    """The share of the target that label smoothing spreads over all classes, in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"label_smoothing must lie in [0, 1), got {value!r}")
    return np.float32(value)
