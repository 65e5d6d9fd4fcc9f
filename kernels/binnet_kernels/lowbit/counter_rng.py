"""Counter-based random numbers: number i depends only on the seed and i, not on the order in which they are drawn.

A counter goes through two rounds of multiplying and shifting (C. Wellons, "lowbias32"); the two halves of the mixed
seed enter before each. They round gradients to few levels; they are not for secrets.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..checks import Float

_MASK = (1 << 64) - 1
FIRST, SECOND = 0x7FEB352D, 0x846CA68B
STEP = np.float32(2.0**-24)


def keys(seed: int) -> npt.NDArray[np.uint32]:
    """The two keys (2,) of a seed, a whole number of at most 64 bits (splitmix64)."""
    z = (seed + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return np.array([(z ^ (z >> 31)) & 0xFFFFFFFF, (z ^ (z >> 31)) >> 32], np.uint32)


def uniform(count: int, seed: int, first: int = 0) -> Float:
    """Numbers ``first`` ... ``first + count - 1`` of a seed: float32 in [0, 1), multiples of 2**-24."""
    # Counters wrap at 2^32, as those of the compiled form do.
    return mixed(np.arange(first, first + count, dtype=np.uint64).astype(np.uint32), *keys(seed))


def mixed(x: npt.NDArray[np.uint32], key: np.uint32, second_key: np.uint32) -> Float:
    """The numbers of counters ``x``."""
    x = x ^ key
    # Products overflow on purpose: the mixing is arithmetic modulo 2^32.
    x = (x ^ (x >> np.uint32(16))) * np.uint32(FIRST) + second_key
    x = (x ^ (x >> np.uint32(15))) * np.uint32(SECOND)
    x ^= x >> np.uint32(16)
    result: Float = (x >> np.uint32(8)).astype(np.float32) * STEP
    return result
