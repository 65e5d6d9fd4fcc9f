"""Maps of bits: the signs of images that one fused layer writes and the next one reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import Border, Halves, Pair, border, border_halves
from .bordered import check_bordered


class BitMap:
    """The signs of images, packed, with the border that the next layer wants: bit 1 for negative, unused bits 0.

    The border is written here, once. Layers write the inside, where all bits are 0 at first.

    Parameters
    ----------
    shape : (N, H, W, C)
    padding : int, pair of ints (vertical, horizontal), or four ints (top, bottom, left, right)
    pad_value : 0, +1 or -1
        What the border holds. 0 is packed as +1; the convolution subtracts what that adds.

    Attributes
    ----------
    shape : (N, H, W, C)
    border : (top, bottom, left, right)
    words : uint32 (N, top + H + bottom, left + W + right, ceil(C / 32))
    fill : uint32 (ceil(C / 32),)
        A pixel of the border.

    Raises
    ------
    ValueError
        When an argument has the wrong form.
    """

    def __init__(self, shape: tuple[int, ...], padding: Pair = 0, pad_value: int = 0) -> None:
        self.shape, self.border = checks.image_shape(shape), border(padding)
        self.words: Halves = np.empty(checks.bits_shape(self.shape, self.border), np.uint32)
        self.fill = border_halves(self.shape[3], checks.pad_value(pad_value))
        # Kernels write the inside only, so the border is filled once, here.
        self.words[...] = self.fill
        self.inside[...] = 0

    def __repr__(self) -> str:
        return f"BitMap {self.shape} with the border {self.border}"

    @property
    def inside(self) -> Halves:
        """The words without the border, a view."""
        (_, h, w, _), (top, _, left, _) = self.shape, self.border
        return self.words[:, top : top + h, left : left + w]

    def places(self) -> npt.NDArray[np.int64]:
        """The first byte of each pixel of the inside, one after the other."""
        (n, h, w, _), (top, _, left, _) = self.shape, self.border
        _, high, wide, halves = self.words.shape
        image, row, col = np.arange(n) * high, np.arange(h) + top, np.arange(w) + left
        first: npt.NDArray[np.int64] = ((image[:, None, None] + row[:, None]) * wide + col) * (4 * halves)
        return first.ravel()


def check_bits(bits: Any, name: str, shape: tuple[int | None, ...], border: Border | None = None) -> BitMap:
    """``bits`` itself; ValueError unless it is a map of images of this shape, None for any size, with this border."""
    return check_bordered(bits, BitMap, name, shape, border)
