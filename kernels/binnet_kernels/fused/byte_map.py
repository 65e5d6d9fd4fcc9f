"""Maps of bytes: whole numbers from 0 to 255, images as they are or values that were rounded to steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import Border, Pair, border
from .bordered import check_bordered

Bytes = npt.NDArray[np.uint8]
MOST = 255
SPARE = 64  # bytes after the last pixel: kernels read four bytes at a time, and may begin with the last one


class ByteMap:
    """Images of whole numbers from 0 to 255, with the border that the next layer wants. All bytes are 0 at first.

    The border holds 0 and stays so, whatever number stands for the value 0: :class:`FusedInt8Conv2d` counts the taps
    that lie inside alone.

    Parameters
    ----------
    shape : (N, H, W, C)
    padding : int, pair of ints (vertical, horizontal), or four ints (top, bottom, left, right)

    Attributes
    ----------
    shape : (N, H, W, C)
    border : (top, bottom, left, right)
    memory : uint8, flat
        The images with their border, and some zeros after the last one.

    Raises
    ------
    ValueError
        When an argument has the wrong form.
    """

    def __init__(self, shape: tuple[int, ...], padding: Pair = 0) -> None:
        self.shape, self.border = checks.image_shape(shape), border(padding)
        self.memory: Bytes = np.zeros(int(np.prod(self.wide)) + SPARE, np.uint8)

    def __repr__(self) -> str:
        return f"ByteMap {self.shape} with the border {self.border}"

    @property
    def wide(self) -> tuple[int, int, int, int]:
        """(N, top + H + bottom, left + W + right, C)."""
        (n, h, w, c), (top, bottom, left, right) = self.shape, self.border
        return n, top + h + bottom, left + w + right, c

    @property
    def inside(self) -> Bytes:
        """The images without the border, a view (N, H, W, C)."""
        (_, h, w, _), (top, _, left, _) = self.shape, self.border
        images = self.memory[: len(self.memory) - SPARE].reshape(self.wide)
        return images[:, top : top + h, left : left + w]


def check_bytes(x: Any, name: str, shape: tuple[int | None, ...], border: Border | None = None) -> ByteMap:
    """``x`` itself; ValueError unless it is a map of bytes of this shape, None for any size, with this border."""
    return check_bordered(x, ByteMap, name, shape, border)
