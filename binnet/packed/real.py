"""Real weights in the file: float32, or float16 at half the size. Either way they are computed with in float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..nn.options import check_word
from .steps import Array, Conv, Filters, Step, with_weights

REAL = ("float32", "float16")


def dtype_in_file(step: Step, field: str, real: str) -> str:
    """The dtype in which a file holds an array: ``real`` is that of real weights; scales and biases stay float32."""
    if isinstance(step, Conv) and field == "weight":
        return real
    return step.arrays()[field].dtype.name


def rounded(steps: Sequence[Step], real: str) -> tuple[Step, ...]:
    """The steps with real weights that ``real`` holds exactly: rounded to nearest, ties to even.

    Raises
    ------
    ValueError
        For another word than those in ``REAL``, and where a weight is too large for float16.
    """
    check_word("real", real, REAL)
    return tuple(steps) if real == "float32" else tuple(with_weights(step, _in_float16) for step in steps)


def _in_float16(step: Filters) -> Array:
    if not isinstance(step, Conv):
        return step.held
    with np.errstate(over="ignore"):
        half = step.weight.astype(np.float16)
    if np.isinf(half).any():
        raise ValueError(f"{step.name}.weight does not fit into float16, which ends at 65504")
    return half.astype(np.float32)
