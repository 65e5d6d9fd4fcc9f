"""Gradients of weights in few bits, to be sent: what rounding leaves over is kept, and added to the next gradient.

Error feedback (Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847) needs a rounding that never makes the
rest larger than what was rounded. So values go to the *nearest* of few levels. At random, as in
:func:`quantise_gradient`, one level of max|g| leaves on average more than there was, and the rest grows from step to
step: after 300 steps of normal gradients its size is 25 times that of a gradient, with this rounding 0.6 times.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import WEIGHTS, Late, front_door, in_numpy
from ..checks import Float, Words
from .rounding import MAGNITUDES, Rounding

if TYPE_CHECKING:
    from ..compiled.lowbit import compress as compiled
    from ..reference.lowbit import compress as reference
else:
    reference = Late("binnet_kernels.reference.lowbit.compress")
    compiled = Late("binnet_kernels.compiled.lowbit.compress")


@front_door(WEIGHTS)
def compress_gradient(grad: Any, error: Float, bits: int = 2) -> tuple[Words, Float]:
    """Round a gradient and what was left of the last one to few bits a weight, and keep what is left now.

    With v = ``grad`` + ``error`` and L = 2^(bits - 1) - 1, the whole number of each weight is the nearest of -L ... L
    to v / unit, where unit = max|v| / (L + 1) of its filter. The highest level is below the largest magnitude, with two
    bits half of it, because most values are far smaller.

    Parameters
    ----------
    grad : array (O, KH, KW, C) or (O, I) of real numbers
        Gradient of the weights, n of them in each filter.
    error : float32 of the same shape, C-contiguous and writeable
        What the last call has left, at first zeros; changed in place to v minus what :func:`expand_gradient` gives.
    bits : int, 2 to 9
        For each weight: a sign and bits - 1 of the magnitude. Two bits have the values -1, 0 and 1.

    Returns
    -------
    packed : uint64 (O, bits, ceil(n / 64))
        Planes of each filter, the least significant bit first: of signs, 1 where v < 0, then of the magnitude from its
        lowest bit on.
    unit : float32 (O,)
        What a 1 stands for. NaN where v is not finite, so that all gradients of the filter are NaN; 0 where
        the highest level is below 2**-100.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    whole = checks.count(bits, "bits", 2)
    if whole > 9:
        raise ValueError(f"bits must be a whole number from 2 to 9, got {bits!r}")
    checks.in_place(error, "error", np.shape(grad))
    checks.filters(error)
    shape = len(error), math.prod(error.shape[1:])
    grad, left = checks.floats(grad, "grad").reshape(shape), error.reshape(shape)
    packed = np.empty((shape[0], whole, -(-shape[1] // 64)), np.uint64)
    rounding = Rounding(MAGNITUDES, whole - 1, 0)  # the seed is not used
    form = reference.compress_gradient if in_numpy() else compiled.compress_gradient
    return packed, form(grad, rounding, np.float32(rounding.top / (rounding.top + 1)), left, packed)


@front_door(WEIGHTS)
def expand_gradient(packed: Any, unit: Any, out: Float) -> Float:
    """The gradient in packed planes, whole numbers times the unit of their filter.

    Parameters
    ----------
    packed : uint64 (O, bits, ceil(n / 64))
    unit : array (O,) of real numbers
        Both from :func:`compress_gradient`.
    out : float32 (O, ...), C-contiguous, n weights a filter
        Where to write.

    Returns
    -------
    float32 (O, ...)
        ``out``.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    out = checks.output(out, checks.filters(out).shape)
    flat = out.reshape(len(out), math.prod(out.shape[1:]))
    packed = checks.packed(packed, flat.shape[1], "packed", 3)
    if len(packed) != len(flat) or not 2 <= packed.shape[1] <= 9:
        raise ValueError(f"packed must be ({len(flat)}, 2 to 9 bits, words) for this out, got shape {packed.shape}")
    unit = checks.floats(unit, "unit", shape=(len(flat),))
    (reference.expand_gradient if in_numpy() else compiled.expand_gradient)(packed, unit, flat)
    return out
