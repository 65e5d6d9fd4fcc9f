"""Tables of the flat indices at which a sliding window reads and writes, computed once for a shape.

Kernels walk over output pixels in one flat sequence, through rows and images, so that a tile is full on 7x7 maps too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..checks import Float, Window, fresh
from .tile import FLOAT_ROWS, XNOR_ROWS

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sliding:
    """A window over a batch of padded images of ``depth`` values (channels or words) a pixel.

    Attributes
    ----------
    starts : int64 (pixels,), and copies of the last one to fill a tile
        Flat index, into the padded images, of the first value under the window of each output pixel.
    numbers : int64, as long as ``starts``
        0 ... pixels - 1, the output pixels themselves, and copies of the last one.
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
    numbers: Indices
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
    (kh, kw), (sh, sw), (high, wide) = window.size, window.stride, window.padded(h, w)
    image, row, col = np.arange(n) * high * wide, np.arange(oh) * sh * wide, np.arange(ow) * sw
    starts = ((image[:, None, None] + row[:, None] + col) * depth).ravel()
    numbers = np.arange(len(starts))
    return Sliding(n, oh, ow, (high, wide), filled(starts), filled(numbers), kh, kw * depth, wide * depth)


def filled(table: Indices) -> Indices:
    """A table of pixels or channels with copies of the last one, enough to fill any tile; an empty one stays empty."""
    return np.concatenate((table, np.repeat(table[-1:], max(FLOAT_ROWS, XNOR_ROWS))))


def aligned(size: int) -> Float:
    """Uninitialised floats, aligned to a cache line, so that no vector crosses two lines."""
    return fresh((size,))


def padded(x: Float, window: Window) -> Float:
    """The image with its border of zeros, flat; the image itself when there is no border."""
    (top, bottom, left, right), (h, w) = window.border, x.shape[1:3]
    return framed(x, (-top, h + bottom), (-left, w + right))


def framed(x: Float, rows: tuple[int, int], cols: tuple[int, int]) -> Float:
    """Rows and columns ``first`` to ``end`` of an image, flat, with zeros where they are outside of it.

    The image itself when that is all of it.
    """
    n, h, w, c = x.shape
    (top, bottom), (left, right) = rows, cols
    if (top, bottom, left, right) == (0, h, 0, w):
        return x.ravel()
    shape = n, bottom - top, right - left, c
    wide = aligned(int(np.prod(shape))).reshape(shape)
    y, x0 = (slice(max(-first, 0), max(min(end, size) - first, 0)) for (first, end), size in ((rows, h), (cols, w)))
    for border in (wide[:, : y.start], wide[:, y.stop :], wide[:, :, : x0.start], wide[:, :, x0.stop :]):
        border[...] = 0
    if y.start < y.stop and x0.start < x0.stop:
        wide[:, y, x0] = x[:, y.start + top : y.stop + top, x0.start + left : x0.stop + left]
    return wide.ravel()


@lru_cache(maxsize=64)
def border_classes(h: int, w: int, n: int, window: Window) -> tuple[npt.NDArray[np.bool_], Indices]:
    """Which taps of a window lie on the border, for each of the ways in which it can stick out of an image (h, w).

    Returns
    -------
    outside : bool (classes, kh, kw)
    border_class : int64 (n * oh * ow,)
        The class of each output pixel of n images.
    """
    rows, cols = (
        _outside(size, out, *axis)
        for size, out, *axis in zip((h, w), window.output_size(h, w), window.size, window.stride, window.padding)
    )
    # Few rows and columns of a map differ in this, so the corrections for the border are a small table.
    row_kinds, row_kind = np.unique(rows, axis=0, return_inverse=True)
    col_kinds, col_kind = np.unique(cols, axis=0, return_inverse=True)
    outside = row_kinds[:, None, :, None] | col_kinds[None, :, None, :]
    border_class = row_kind.reshape(-1, 1) * len(col_kinds) + col_kind.reshape(1, -1)
    return outside.reshape(-1, *window.size), np.tile(border_class.ravel().astype(np.int64), n)


def _outside(size: int, output: int, kernel: int, stride: int, padding: int) -> npt.NDArray[np.bool_]:
    """Which taps of a window lie on the border, along one axis: bool (output, kernel)."""
    position = np.arange(output)[:, None] * stride + np.arange(kernel) - padding
    return (position < 0) | (position >= size)


def seen_by(x_shape: tuple[int, ...], y_shape: tuple[int, ...], window: Window) -> tuple[Indices, Indices]:
    """For each row and column of the image: the first window that sees it and the one after the last, in turn."""
    axes = zip(x_shape[1:3], y_shape[1:3], window.size, window.stride, window.padding, strict=True)
    rows, cols = (_windows(*axis) for axis in axes)
    return rows, cols


def _windows(size: int, output: int, kernel: int, stride: int, padding: int) -> Indices:
    place = np.arange(size) + padding
    first, end = -((kernel - 1 - place) // stride), place // stride + 1
    return np.stack([first.clip(0), end.clip(max=output)], axis=1).astype(np.int64).ravel()
