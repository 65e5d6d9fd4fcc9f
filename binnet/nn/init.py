"""Initial values of weights, and networks without any: outlines, which have all shapes and take no memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

_left: ContextVar[int | None] = ContextVar("weights that an outline may still have", default=None)
_NO_RNG = cast("np.random.Generator", None)
_seeds = itertools.count()


@contextmanager
def outline(limit: int) -> Iterator[None]:
    """Layers built inside get one 0, repeated, instead of weights; the shapes are the right ones.

    ValueError as soon as they have more than ``limit`` weights together, so that a file that describes a large network
    and does not hold it costs nothing.
    """
    token = _left.set(limit)
    try:
        yield
    finally:
        _left.reset(token)


def make_seed(seed: int | Sequence[int] | None) -> npt.NDArray[np.int64]:
    """The seed of a layer as an array, to be part of its state.

    Parameters
    ----------
    seed
        Whole numbers of at least 0, of which those from 2^63 on are hashed; None for the number of layers so far that
        were given none, so that no two of them share their random numbers.

    Raises
    ------
    ValueError, TypeError
        When it is none of these.
    """
    numbers = [next(_seeds)] if seed is None else [seed] if isinstance(seed, int | np.integer) else [*seed]
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in numbers):
        raise ValueError(f"a seed must be whole numbers of at least 0, got {seed!r}")
    return np.array([n if n < 2**63 else _hashed(n) for n in numbers], np.int64)


def _hashed(seed: int) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))


def make_rng(rng: np.random.Generator | int) -> np.random.Generator:
    """``rng`` itself, or a new generator with this seed; TypeError for anything else."""
    # Inside `outline` nothing is drawn: a model is loaded without NumPy's generators, which take 10 ms to import.
    if _left.get() is not None:
        return _NO_RNG
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(int(rng))
    raise TypeError(f"rng must be a NumPy generator or a seed, a whole number of at least 0, got {rng!r}")


def repeated(value: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """One value as an array of any shape, read-only, without memory for it."""
    return np.broadcast_to(value, shape)


def is_outline(array: npt.NDArray[Any]) -> bool:
    """Whether it is one value, repeated."""
    # NumPy's broadcast of one value: no step in any direction, and not writeable.
    return not any(array.strides) and not array.flags.writeable


def he_normal(shape: tuple[int, ...], rng: np.random.Generator | int) -> Float:
    """N(0, √(2 / fan_in)) as in the authors' code, float32.

    Parameters
    ----------
    shape
        (O, KH, KW, C) or (O, I); fan_in is the product of all but the first.
    rng
        The only source of random numbers, or its seed; the same state gives the same bits.

    Raises
    ------
    ValueError
        When a size is no whole number of at least 1; inside :func:`outline`, beyond its limit.
    """
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in shape):
        raise ValueError(f"the sizes of a layer must be whole numbers of at least 1, got weights of shape {shape}")
    left = _left.get()
    if left is not None:
        # Counted before anything is allocated: the description in a file may ask for any size.
        if math.prod(shape) > left:
            raise ValueError("it does not hold as many weights as the network has that it describes")
        _left.set(left - math.prod(shape))
        return repeated(np.float32(0), shape)
    deviation = np.float32(math.sqrt(2 / math.prod(shape[1:])))
    return make_rng(rng).standard_normal(shape, dtype=np.float32) * deviation
