"""Subsets of a split and unions of two splits, without copies of images that lie on disk."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dataset import Images, Split

Keys = NDArray[np.uint64]


class ChosenImages:
    """A selection of images from one or several `Images` with equal channels, each read on access.

    Attributes
    ----------
    channels : 1 or 3
    sizes : int64 (N, 2), rows and columns of each image
    keys : uint64 (N,), see `StoreImages`
    names : name of each image in its source
    """

    def __init__(self, sources: Sequence[Images], chosen: Sequence[tuple[int, int]]) -> None:
        """Select images; each item of ``chosen`` is (index of the source, index of the image in it)."""
        self._sources, self._chosen, self.channels = sources, list(chosen), sources[0].channels
        all_names, all_keys = [names_of(source) for source in sources], [keys_of(source) for source in sources]
        self.names = tuple(all_names[s][i] for s, i in self._chosen)
        # Keys of only some images would shift against the images, so they are all there or none is.
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
    """The names of images in their source; their numbers when the source has no names."""
    found: tuple[str, ...] | None = getattr(images, "names", None)  # not part of `Images`
    return tuple(map(str, range(len(images)))) if found is None else found


def keys_of(images: NDArray[np.uint8] | Images) -> Keys:
    """Keys of images by the contents of their files, uint64 (N,); empty for images that do not come from files."""
    found: Keys | None = getattr(images, "keys", None)
    return np.zeros(0, np.uint64) if found is None else found


def choose(split: Split, chosen: ArrayLike, labels: NDArray[np.int64] | None = None) -> Split:
    """Return a subset of a split.

    Parameters
    ----------
    split : the split to choose from
    chosen : int64 (M,), indices of the images, in the order of the result
    labels : int64 (M,), new labels; None keeps the present ones
    """
    which = np.asarray(chosen, np.int64)
    labels = split.labels[which] if labels is None else labels
    if isinstance(split.images, np.ndarray):
        return Split(split.images[which], labels)
    return Split(ChosenImages([split.images], [(0, i) for i in which.tolist()]), labels)


def joined(first: Split, second: Split) -> Split:
    """Return the union of two splits, whose images must both be `Images`, not arrays."""
    sources = [split.images for split in (first, second) if not isinstance(split.images, np.ndarray)]
    chosen = [(s, i) for s, source in enumerate(sources) for i in range(len(source))]
    return Split(ChosenImages(sources, chosen), np.concatenate([first.labels, second.labels]))
