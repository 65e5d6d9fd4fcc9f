"""Initial values of weights, and networks without any: outlines, which have all shapes and take no memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

_left: ContextVar[int | None] = ContextVar("weights that an outline may still have", default=None)
_NOBODY: Any = None


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


def chance(seed: int) -> np.random.Generator:
    """What all weights of a network are drawn from.

    Inside :func:`outline` nothing is drawn: a model is loaded without NumPy's generators, 10 ms to import.
    """
    return _NOBODY if _left.get() is not None else np.random.default_rng(seed)


def repeated(value: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """One value as an array of any shape, read-only, without memory for it."""
    return np.broadcast_to(value, shape)


def is_outline(array: npt.NDArray[Any]) -> bool:
    """Whether it is one value, repeated."""
    return not any(array.strides) and not array.flags.writeable


def he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    """N(0, √(2 / fan_in)) as in the authors' code, float32.

    Parameters
    ----------
    shape
        (O, KH, KW, C) or (O, I); fan_in is the product of all but the first.
    rng
        The only source of chance; the same state gives the same bits.

    Raises
    ------
    ValueError
        Inside :func:`outline`, beyond its limit.
    """
    left = _left.get()
    if left is not None:
        if math.prod(shape) > left:
            raise ValueError("it does not hold as many weights as the network has that it describes")
        _left.set(left - math.prod(shape))
        return repeated(np.float32(0), shape)
    deviation = np.float32(math.sqrt(2 / math.prod(shape[1:])))
    return rng.standard_normal(shape, dtype=np.float32) * deviation
