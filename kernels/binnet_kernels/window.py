"""Windows that slide over images: size, stride, and the border around the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Pair = int | Sequence[int]
Border = tuple[int, int, int, int]  # top, bottom, left, right
NO_BORDER = (0, 0, 0, 0)


def pair(value: Pair, name: str, least: int) -> tuple[int, int]:
    """An int or a pair of ints (vertical, horizontal), each at least ``least``."""
    both = _several(value, 2)
    if len(both) != 2 or not _are_whole(both, least):
        raise ValueError(f"{name} must be an int or a pair of ints, each at least {least}, got {value!r}")
    return int(both[0]), int(both[1])


def border(padding: Pair) -> Border:
    """(top, bottom, left, right) of an int, a pair (vertical, horizontal), or these four ints."""
    four = _several(padding, 4)
    if len(four) == 2:
        four = (four[0], four[0], four[1], four[1])
    if len(four) != 4 or not _are_whole(four, 0):
        forms = "an int or a pair of ints, each at least 0, or four of them (top, bottom, left, right)"
        raise ValueError(f"padding must be {forms}, got {padding!r}")
    return int(four[0]), int(four[1]), int(four[2]), int(four[3])


def _several(value: Pair, count: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (Sequence, np.ndarray)) else (value,) * count


def _are_whole(values: tuple[Any, ...], least: int) -> bool:
    return all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v >= least for v in values)


@dataclass(frozen=True)
class Window:
    """A filter that slides over an image.

    Attributes
    ----------
    size, stride : (vertical, horizontal)
    border : (top, bottom, left, right)
        Rows and columns around the image.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    border: Border

    @classmethod
    def of(cls, size: Pair, stride: Pair, padding: Pair) -> Window:
        """With as much padding below as above and right as left: an int or a pair (vertical, horizontal)."""
        return cls.with_border(size, stride, pair(padding, "padding", 0))

    @classmethod
    def with_border(cls, size: Pair, stride: Pair, padding: Pair) -> Window:
        """With padding as in :func:`border`: also four ints."""
        return cls(pair(size, "kernel_size", 1), pair(stride, "stride", 1), border(padding))

    @property
    def padding(self) -> tuple[int, int]:
        """Rows above and columns left of the image; with :meth:`of` there are as many below and right."""
        return self.border[0], self.border[2]

    def padded(self, h: int, w: int) -> tuple[int, int]:
        """Rows and columns of an image with its border."""
        top, bottom, left, right = self.border
        return top + h + bottom, left + w + right

    def output_size(self, h: int, w: int) -> tuple[int, int]:
        """Rows and columns of the result; ValueError when the padded image is smaller than the filter."""
        (kh, kw), (sh, sw), (high, wide) = self.size, self.stride, self.padded(h, w)
        if high < kh or wide < kw:
            around = self.padding if self.padding == self.border[1::2] else self.border
            raise ValueError(f"an image of {h}x{w} with padding {around} is smaller than the filter of {kh}x{kw}")
        return (high - kh) // sh + 1, (wide - kw) // sw + 1
