"""The arrays of a trace for the HTML page: as many filters and channels as fit, encoded in base64."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .approximation import fit
from .arithmetic import Trace

BUDGET = 3_400_000  # maximum bytes of all arrays; base64 adds a third
CHANNEL_BUDGET = 1_400_000  # maximum bytes of the real input, as a part of these


@dataclass(frozen=True)
class Part:
    """The part of a trace that the page contains: number of filters, and of channels with real values."""

    filters: int
    channels: int


def part_of(t: Trace, budget: int = BUDGET) -> Part:
    """The number of channels, then of filters, that fit into ``budget`` bytes, at least one of each."""
    h, w, c = t.x.shape
    o, pixels = t.dots.shape[2], t.dots[..., 0].size
    channels = _clamped(min(CHANNEL_BUDGET, budget // 2) // (4 * h * w), c)
    fixed = 4 * h * w * channels + t.x_words.nbytes + t.mean_abs_x.nbytes + t.K.nbytes + 12 * o
    taps = t.weight_words[0].size // t.words
    real = 4 * taps * channels if t.layer.weight is not None else 0
    # Bytes of a filter: weights, words, y and conv as float32, differing and dots as integers.
    each = real + t.weight_words[0].nbytes + pixels * (8 + 2 * _integers(t.dots).itemsize)
    return Part(_clamped((budget - fixed) // each, o), channels)


def _clamped(count: int, most: int) -> int:
    return max(1, min(count, most))


def arrays(t: Trace, part: Part) -> dict[str, dict[str, Any]]:
    """The arrays of the page by name, each with type, shape and base64 of its little-endian bytes.

    Words are split into pairs of 32 bits, the lower half first, because 64-bit integers are slow in a browser.
    """
    f, c, fits = part.filters, part.channels, fit(t.y, t.conv)
    found: dict[str, npt.NDArray[Any]] = {
        "x": t.x[..., :c],
        "x_words": _halves(t.x_words),
        "mean_abs_x": t.mean_abs_x,
        "K": t.K,
        "weight_words": _halves(t.weight_words[:f]),
        "alpha": t.layer.alpha,
        "differing": _integers(t.differing[..., :f]),
        "dots": _integers(t.dots[..., :f]),
        "y": t.y[..., :f],
        "conv": t.conv[..., :f],
        "errors": fits.errors.astype(np.float32),
        "correlations": fits.correlations.astype(np.float32),
    }
    if t.layer.weight is not None:  # a packed model has only the signs, which are in weight_words
        found["weight"] = t.layer.weight[:f, ..., :c]
    return {name: _encoded(array) for name, array in found.items()}


def _integers(array: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """The array as int16 if its values fit, otherwise as int32."""
    fits = not array.size or np.abs(array).max() < 1 << 15
    return array.astype(np.int16) if fits else array


def _halves(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(words).astype("<u8").view("<u4")


def _encoded(array: npt.NDArray[Any]) -> dict[str, Any]:
    plain = np.ascontiguousarray(array)
    little = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    return {
        "type": plain.dtype.name,
        "shape": list(plain.shape),
        "data": base64.b64encode(little.tobytes()).decode(),
    }
