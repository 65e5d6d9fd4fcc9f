"""Initial values of weights."""

from __future__ import annotations

import math

import numpy as np

from binnet_kernels.checks import Float


def he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    """N(0, √(2 / fan_in)) as in the authors' code, float32.

    Parameters
    ----------
    shape
        (O, KH, KW, C) or (O, I); fan_in is the product of all but the first.
    rng
        The only source of chance; the same state gives the same bits.
    """
    deviation = np.float32(math.sqrt(2 / math.prod(shape[1:])))
    return rng.standard_normal(shape, dtype=np.float32) * deviation
