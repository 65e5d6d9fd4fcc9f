"""Windows of one size from images of any size: the part of each image that a batch shows, and its scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .transforms import resample

Ints = NDArray[np.int64]
# Tests look at 224 pixels out of 256, as arXiv:1603.05279, section 4 does; other sizes keep the proportion.
SHOWN, STORED = 224, 256


def resized_to(sizes: Ints, window: tuple[int, int], short: Ints | None = None) -> Ints:
    """Size to which each image is resized, in proportion, before a window is cut out of it.

    Without ``short``, an image larger than 256/224 of the window shrinks to that, one that does not cover the window
    grows until it does, and one in between stays as it is. Hence a window of the image's own size is the whole image,
    and one of 224 pixels out of an image with a short side of 256 is a plain copy.

    Parameters
    ----------
    sizes : int64 (N, 2), rows and columns of each image, 1 or more
    window : rows and columns
    short : int64 (N,), what the short side is to become, or more where the window would not be covered; None for the
        rule above

    Returns
    -------
    int64 (N, 2), nowhere less than ``window``
    """
    least = (np.array(window) / sizes).max(axis=1)
    if short is None:
        view = np.rint(np.multiply(window, STORED) / SHOWN)
        factor = np.clip(1.0, least, (view / sizes).max(axis=1))
    else:
        factor = np.maximum(short / sizes.min(axis=1), least)
    resized: Ints = np.rint(sizes * factor[:, None]).astype(np.int64)
    return np.maximum(resized, window)


def corners(resized: Ints, window: tuple[int, int], place: NDArray[np.float64] | None = None) -> Ints:
    """First row and column of each window.

    Parameters
    ----------
    resized : int64 (N, 2), sizes of the images, nowhere less than ``window``
    window : rows and columns
    place : float64 (N, 2) in [0, 1), from the topmost and leftmost window to the last; None for the centre

    Returns
    -------
    int64 (N, 2)
    """
    room: Ints = resized - window
    return room // 2 if place is None else (place * (room + 1)).astype(np.int64)


def cut(image: NDArray[np.uint8], resized: Ints, corner: Ints, window: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image and cut out a window. Only the part that the window shows is resized.

    Parameters
    ----------
    image : uint8 (H, W, C), C 1 or 3 unless its size is ``resized`` already
    resized : int64 (2,), rows and columns to resize to
    corner : int64 (2,), first row and column of the window
    window : rows and columns

    Returns
    -------
    uint8 (*window, C); a view of the image when there is nothing to resize
    """
    (h, w), (rows, columns), (y, x) = image.shape[:2], resized.tolist(), corner.tolist()
    if (h, w) == (rows, columns):
        return image[y : y + window[0], x : x + window[1]]
    # Multiplied first: the far side of the last window is then exactly the image's, which Pillow insists on.
    box = (y * h / rows, x * w / columns, (y + window[0]) * h / rows, (x + window[1]) * w / columns)
    return resample(image, box, window)
