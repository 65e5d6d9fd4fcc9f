"""Where a sliding window reads and writes: tables of flat indices, computed once for a shape.

Kernels walk over output pixels in one flat sequence, through rows and images, so that a tile is full on 7x7 maps too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .checks import Float, Window
from .tile import FLOAT_ROWS, XNOR_ROWS

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sliding:
    """A window over a batch of padded images of ``depth`` values (channels or words) a pixel.

    Attributes
    ----------
    starts : int64 (pixels,), and copies of the last one to fill a tile
        Flat index, into the padded images, of the first value under the window of each output pixel.
    rows, span : int
        The window reads ``rows`` runs of ``span`` consecutive values ...
    pitch : int
        ... that lie ``pitch`` values apart.
    """

    n: int
    oh: int
    ow: int
    wide: tuple[int, int]  # padded height and width
    starts: Indices
    rows: int
    span: int
    pitch: int

    @property
    def pixels(self) -> int:
        """Output pixels of all images."""
        return self.n * self.oh * self.ow


@lru_cache(maxsize=64)
def sliding(shape: tuple[int, int, int, int], window: Window) -> Sliding:
    """The walk of ``window`` over images (n, h, w, depth)."""
    n, h, w, depth = shape
    oh, ow = window.output_size(h, w)
    (kh, kw), (sh, sw), (ph, pw) = window.size, window.stride, window.padding
    high, wide = h + 2 * ph, w + 2 * pw
    image, row, col = np.arange(n) * high * wide, np.arange(oh) * sh * wide, np.arange(ow) * sw
    starts = ((image[:, None, None] + row[:, None] + col) * depth).ravel()
    starts = np.pad(starts, (0, max(FLOAT_ROWS, XNOR_ROWS)), mode="edge") if len(starts) else starts
    return Sliding(n, oh, ow, (high, wide), starts, kh, kw * depth, wide * depth)


def padded(x: Float, window: Window) -> Float:
    """The image with its border of zeros, flat; the image itself when there is no border."""
    (ph, pw) = window.padding
    if (ph, pw) == (0, 0):
        return x.ravel()
    n, h, w, c = x.shape
    wide = np.empty((n, h + 2 * ph, w + 2 * pw, c), np.float32)
    for border in (wide[:, :ph], wide[:, h + ph :], wide[:, :, :pw], wide[:, :, w + pw :]):
        border[...] = 0
    wide[:, ph : ph + h, pw : pw + w] = x
    return wide.ravel()


@lru_cache(maxsize=64)
def border_classes(h: int, w: int, n: int, window: Window) -> tuple[npt.NDArray[np.bool_], Indices]:
    """Which taps of a window lie on the border, for each of the ways in which it can stick out of an image (h, w).

    Returns
    -------
    outside : bool (classes, kh, kw)
    class_of : int64 (n * oh * ow,)
        The class of each output pixel of n images.
    """
    rows, cols = (
        _outside(size, out, *axis)
        for size, out, *axis in zip((h, w), window.output_size(h, w), window.size, window.stride, window.padding)
    )
    row_kinds, row_kind = np.unique(rows, axis=0, return_inverse=True)
    col_kinds, col_kind = np.unique(cols, axis=0, return_inverse=True)
    outside = row_kinds[:, None, :, None] | col_kinds[None, :, None, :]
    class_of = row_kind.reshape(-1, 1) * len(col_kinds) + col_kind.reshape(1, -1)
    return outside.reshape(-1, *window.size), np.tile(class_of.ravel().astype(np.int64), n)


def _outside(size: int, output: int, kernel: int, stride: int, padding: int) -> npt.NDArray[np.bool_]:
    """Which taps of a window lie on the border, along one axis: bool (output, kernel)."""
    position = np.arange(output)[:, None] * stride + np.arange(kernel) - padding
    return (position < 0) | (position >= size)
