"""How far the levels of k-bit weights reach, for both forms."""

from __future__ import annotations

import numpy as np

from ..checks import Float

# Of Gaussian weights, the distance of the outer levels from 0 that loses least, over the mean of |W|: for k = 1, 2, ...
RANGES = (1.0, 1.8719, 2.5706, 3.1508, 3.6549, 4.1083, 4.5258, 4.9158)


def stretch(alpha: Float, bits: int) -> Float:
    """What weights are multiplied with before q_k: 1 / alpha, 0 for filters of zeros; 1 where only signs count."""
    if bits == 1:  # products may vanish, and their sign with them
        return np.ones_like(alpha)
    with np.errstate(over="ignore"):  # of filters that are almost zero
        return np.divide(np.float32(1), alpha, out=np.zeros_like(alpha), where=alpha > 0)
