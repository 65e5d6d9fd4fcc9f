"""Some of the images of a split, or the images of two splits, without a copy of what lies on disk."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dataset import Images, Split

Keys = NDArray[np.uint64]


class ChosenImages:
    """Images from one or several `Images` with the same channels, read when they are asked for.

    Attributes
    ----------
    channels : 1 or 3
    sizes : int64 (N, 2), rows and columns of each image
    keys : uint64 (N,), see `StoreImages`
    names : what the images are called
    """

    def __init__(self, sources: Sequence[Images], chosen: Sequence[tuple[int, int]]) -> None:
        """Take the sources, and for each image its source and its number there."""
        self._sources, self._chosen, self.channels = sources, list(chosen), sources[0].channels
        all_names, all_keys = [names_of(source) for source in sources], [keys_of(source) for source in sources]
        self.names = tuple(all_names[s][i] for s, i in self._chosen)
        whole = all(len(keys) == len(source) for keys, source in zip(all_keys, sources, strict=True))
        self.keys: Keys = np.array([all_keys[s][i] for s, i in self._chosen] if whole else [], np.uint64)
        self.sizes = np.array([sources[s].sizes[i] for s, i in self._chosen], np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Read image number ``i``: uint8 (H, W, C)."""
        source, place = self._chosen[index(i)]
        return self._sources[source][place]


def names_of(images: NDArray[np.uint8] | Images) -> tuple[str, ...]:
    """What images are called in their source; their numbers where nothing says that."""
    found: tuple[str, ...] | None = getattr(images, "names", None)
    return tuple(map(str, range(len(images)))) if found is None else found


def keys_of(images: NDArray[np.uint8] | Images) -> Keys:
    """Keys of images by the contents of their files, uint64 (N,); empty for images that come from no files."""
    found: Keys | None = getattr(images, "keys", None)
    return np.zeros(0, np.uint64) if found is None else found


def choose(split: Split, chosen: ArrayLike, labels: NDArray[np.int64] | None = None) -> Split:
    """Return some of the images of a split.

    Parameters
    ----------
    split : the images
    chosen : int64 (M,), which of them
    labels : int64 (M,), their new labels; None for those that they have
    """
    which = np.asarray(chosen, np.int64)
    labels = split.labels[which] if labels is None else labels
    if isinstance(split.images, np.ndarray):
        return Split(split.images[which], labels)
    return Split(ChosenImages([split.images], [(0, i) for i in which.tolist()]), labels)


def joined(first: Split, second: Split) -> Split:
    """Return the images of both splits, neither of them an array."""
    sources = [split.images for split in (first, second) if not isinstance(split.images, np.ndarray)]
    chosen = [(s, i) for s, source in enumerate(sources) for i in range(len(source))]
    return Split(ChosenImages(sources, chosen), np.concatenate([first.labels, second.labels]))
