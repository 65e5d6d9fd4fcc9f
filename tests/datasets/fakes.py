"""Images as a store has them, of several sizes and not an array, which remember who asked for what."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np


class FakeImages:
    """Images from a list.

    Attributes
    ----------
    asked : list of int, every index that was asked for, in that order
    threads : set of the threads that asked
    """

    def __init__(self, images: Sequence[np.ndarray], sizes: np.ndarray | None = None) -> None:
        self._images, self.asked, self.threads = list(images), [], set()
        shapes = np.array([image.shape[:2] for image in images], np.int64).reshape(-1, 2)
        self.sizes = shapes if sizes is None else sizes
        self.channels = images[0].shape[2] if images else 1

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> np.ndarray:
        self.asked.append(i)
        self.threads.add(threading.current_thread())
        return self._images[i]


def coordinates(sizes: Sequence[tuple[int, int]]) -> FakeImages:
    """Images below 128 pixels whose channels hold row, column and number: a window tells where it was cut."""
    images = []
    for number, (h, w) in enumerate(sizes):
        image = np.empty((h, w, 3), np.uint8)
        image[..., 0], image[..., 1], image[..., 2] = np.arange(h)[:, None], np.arange(w), number
        images.append(image)
    return FakeImages(images)
