"""The classes `Dataset` and `Split`: images with labels, as an array or read from disk on access."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .images import histogram
from .images.transforms import channel_stats

_CHUNK = 4096  # images counted at a time: bincount converts to 8 bytes per value, so a chunk bounds the memory

Stats = tuple[NDArray[np.float32], NDArray[np.float32]]


@runtime_checkable
class Images(Protocol):
    """Protocol for images that may lie on disk and differ in size, such as those of a store.

    ``images[i]`` is uint8 (H, W, C), 0..255. It must be the same at every call, and callable from several threads.
    """

    @property
    def channels(self) -> int:
        """Number of channels of every image: 1 (grey) or 3 (RGB)."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows and columns of each image, int64 (N, 2), each 1 or more."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Split:
    """Images and their labels.

    Attributes
    ----------
    images : uint8 (N, H, W, C), 0..255, or `Images`
    labels : int64 (N,), index into the data set's ``class_names``

    Raises
    ------
    ValueError
        When a dtype or rank is another, the two lengths differ, or a size is below 1.
    """

    images: NDArray[np.uint8] | Images
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if isinstance(images, np.ndarray):
            if images.dtype != np.uint8 or images.ndim != 4:
                raise ValueError(f"images must be uint8 (N, H, W, C), got {images.dtype} {images.shape}")
        elif not isinstance(images, Images):
            raise ValueError(f"images must be an array or have sizes and channels, got {type(images).__name__}")
        elif images.sizes.dtype != np.int64 or images.sizes.shape != (len(images), 2):
            raise ValueError(f"sizes must be int64 ({len(images)}, 2), got {images.sizes.dtype} {images.sizes.shape}")
        elif images.sizes.min(initial=1) < 1:
            raise ValueError(f"sizes must be 1 or more, got {images.sizes.min()}")
        if labels.dtype != np.int64 or labels.shape != (len(images),):
            raise ValueError(f"labels must be int64 ({len(images)},), got {labels.dtype} {labels.shape}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """Channels of every image: 1 (grey) or 3 (RGB)."""
        return int(self.images.shape[3]) if isinstance(self.images, np.ndarray) else self.images.channels

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Rows and columns of each image: int64 (N, 2), not to be written to."""
        if isinstance(self.images, np.ndarray):
            # A broadcast view takes no memory, however many images there are.
            return np.broadcast_to(np.array(self.images.shape[1:3], np.int64), (len(self), 2))
        return self.images.sizes

    @cached_property
    def uniform_size(self) -> tuple[int, int] | None:
        """Rows and columns when all images have the same size; None when they differ, or there are none on disk."""
        if isinstance(self.images, np.ndarray):
            return int(self.images.shape[1]), int(self.images.shape[2])
        if not len(self) or (self.sizes != self.sizes[0]).any():
            return None
        return int(self.sizes[0, 0]), int(self.sizes[0, 1])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named data set: a training split, a test split and the names of the classes.

    Attributes
    ----------
    name : name of the data set
    train, test : the two splits; either may be empty
    class_names : name of the class of each label
    stats : precomputed result of `mean_std`, or None
    class_ids : identifiers of the classes, such as those of WordNet; empty when there are none

    Raises
    ------
    ValueError
        When the splits differ in channels (arrays also in size), a label has no class name, ``class_ids`` has another
        length than ``class_names``, or ``stats`` has another shape than one value per channel.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    stats: Stats | None = None
    class_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_alike(self.train, self.test)
        for split in (self.train, self.test):
            if len(split) and not 0 <= split.labels.min() <= split.labels.max() < self.num_classes:
                span = f"{split.labels.min()}..{split.labels.max()}"
                raise ValueError(f"labels must lie in 0..{self.num_classes - 1}, got {span}")
        if self.class_ids and len(self.class_ids) != self.num_classes:
            raise ValueError(f"class_ids must be none or {self.num_classes}, got {len(self.class_ids)}")
        if self.stats is not None:
            channel_stats(*self.stats, self.channels)

    @property
    def image_size(self) -> tuple[int, int]:
        """Rows and columns to train at: the common size of all images, else a square of the smallest side."""
        # An empty split has no size, and must not make two sizes of one.
        filled = [split for split in (self.train, self.test) if len(split)] or [self.train]
        sizes = {split.uniform_size for split in filled}
        size = sizes.pop()
        if size is not None and not sizes:
            return size
        short = min((int(split.sizes.min()) for split in filled if len(split)), default=0)
        return short, short

    @property
    def channels(self) -> int:
        """Number of channels of every image: 1 (grey) or 3 (RGB)."""
        return self.train.channels

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def is_grey(self) -> bool:
        """Whether the training images are grey, by their statistics: all channels have the same mean and deviation.

        Images of a folder are stored in colour, grey ones with three equal channels.
        """
        if not len(self.train):
            return self.channels == 1
        return all(bool((values == values[0]).all()) for values in self.mean_std())

    def mean_std(self) -> Stats:
        """Mean and standard deviation of the training images scaled to [0, 1].

        Unless ``stats`` is set, both are computed in float64 from a histogram of the 256 grey levels. The result
        therefore depends neither on the order of the images nor on how many are counted at a time.

        Returns
        -------
        mean, std : float32 (C,)
            A channel without any variation has ``std`` 1, so that division by it is always possible.

        Raises
        ------
        ValueError
            When the training split is empty.
        """
        if self.stats is not None:
            return channel_stats(*self.stats, self.channels)
        counts = np.zeros((self.channels, 256), np.int64)
        for pixels in _pieces(self.train):
            counts += histogram.count_levels(pixels)
        if not counts.any():
            raise ValueError(f"mean and std need at least one training pixel, got {len(self.train)} images")
        return histogram.mean_std(counts)


def _check_alike(train: Split, test: Split) -> None:
    """Raise ValueError unless both splits fit one network: equal channels, for arrays equal size."""
    if isinstance(train.images, np.ndarray) and isinstance(test.images, np.ndarray):
        one, other = train.images.shape[1:], test.images.shape[1:]
        if one != other:
            raise ValueError(f"training and test images must have one shape (H, W, C), got {one} and {other}")
    elif train.channels != test.channels:
        raise ValueError(
            f"training and test images must have the same channels, got {train.channels} and {test.channels}"
        )


def _pieces(split: Split) -> Iterator[NDArray[np.uint8]]:
    """Yield all images as uint8 (..., C), at most ``_CHUNK`` at a time."""
    images = split.images
    if isinstance(images, np.ndarray):
        yield from (images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK))
    else:
        yield from (images[i] for i in range(len(images)))
