"""What every loader returns: a data set of two splits, each a pair of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 4096  # images counted at a time: bincount widens to 8 bytes a value, so a chunk bounds the memory


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes
    ----------
    images : uint8 (N, H, W, C), 0..255
    labels : int64 (N,), index into the data set's ``class_names``

    Raises
    ------
    ValueError
        When dtype, rank or the two lengths are not these.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(f"images must be uint8 (N, H, W, C), got {images.dtype} {images.shape}")
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise ValueError(f"labels must be int64 ({len(images)},), got {labels.dtype} {labels.shape}")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named data set: a training split, a test split and what the labels mean.

    Raises
    ------
    ValueError
        When the two splits hold images of different sizes, or a label has no class name.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        train, test = self.train, self.test
        if train.images.shape[1:] != test.images.shape[1:]:
            raise ValueError(
                "training and test images must have one shape (H, W, C), "
                f"got {train.images.shape[1:]} and {test.images.shape[1:]}"
            )
        for split in (train, test):
            if len(split) and not 0 <= split.labels.min() <= split.labels.max() < self.num_classes:
                span = f"{split.labels.min()}..{split.labels.max()}"
                raise ValueError(f"labels must lie in 0..{self.num_classes - 1}, got {span}")

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image."""
        _, h, w, _ = self.train.images.shape
        return int(h), int(w)

    @property
    def channels(self) -> int:
        """Channels of every image: 1 (grey) or 3 (RGB)."""
        return int(self.train.images.shape[3])

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def mean_std(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of the training images scaled to [0, 1].

        Both come from a histogram of the 256 grey levels, in float64, so neither the order of the images nor the
        memory at hand changes a bit of them.

        Returns
        -------
        mean, std : float32 (C,)
            A channel without any variation gets ``std`` 1, so that dividing by it is always possible.

        Raises
        ------
        ValueError
            When the training split is empty.
        """
        counts = _histogram(self.train.images)
        total = counts.sum(axis=1)
        if not total.all():
            raise ValueError(f"mean and std need at least one training pixel, got images {self.train.images.shape}")
        levels = np.arange(256, dtype=np.float64) / 255.0
        mean = counts @ levels / total
        variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
        std = np.where((counts > 0).sum(axis=1) > 1, np.sqrt(variance), 1.0)
        return mean.astype(np.float32), std.astype(np.float32)


def _histogram(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count each grey level of each channel: uint8 (N, H, W, C) -> int64 (C, 256)."""
    channels = images.shape[3]
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        for c in range(channels):
            counts[c] += np.bincount(chunk[..., c].ravel(), minlength=256)
    return counts
