"""Which images a training uses: what a checkpoint remembers, so that a resumed training notices when they change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from binnet_datasets import Dataset, Split
from binnet_datasets.subset import names_of

from ...modelfile import StorageError
from ...modelfile.info import Keys

TRAINED_ON, VALIDATED_ON = "trained_on", "validated_on"  # arrays of a checkpoint


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """The images of a data set, known by the contents of their files.

    Attributes
    ----------
    class_names : tuple of str
    train, val : uint64 (n,)
        Sorted keys, see :attr:`binnet_datasets.StoreImages.keys`; empty for the data sets by name.
    digest : str
        SHA-256 over channels, splits, and key, class and stored size of each image; over the number of images of each
        class where there are no keys.
    splits : tuple of Split
        Where the names of images are; empty for a record out of a checkpoint, which has none.
    """

    class_names: tuple[str, ...]
    train: Keys
    val: Keys
    digest: str
    splits: tuple[Split, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> ImageRecord:
        """The record of a data set."""
        keys = [_keys(split) for split in (dataset.train, dataset.test)]
        digest = hashlib.sha256(repr(dataset.class_names).encode("utf-8", "surrogateescape"))
        for split, own in zip((dataset.train, dataset.test), keys, strict=True):
            columns = [own, split.labels, *split.sizes.T]
            rows = np.sort(np.rec.fromarrays(columns)) if own.size else np.bincount(split.labels)
            digest.update(f"split {len(split)} {split.channels}".encode() + np.ascontiguousarray(rows).tobytes())
        found = np.unique(keys[0]), np.unique(keys[1])
        return cls(dataset.class_names, *found, digest.hexdigest(), (dataset.train, dataset.test))

    @classmethod
    def read(cls, class_names: Sequence[str], arrays: Mapping[str, Any], description: Mapping[str, Any]) -> ImageRecord:
        """The record in a checkpoint; KeyError when there is none."""
        none = np.zeros(0, np.uint64)
        train, val = (arrays.get(name, none) for name in (TRAINED_ON, VALIDATED_ON))
        return cls(tuple(class_names), train, val, str(description["images"]))

    def name_of(self, keys: Keys) -> str:
        """The name of the first image with one of these keys."""
        for split in self.splits:
            places = np.flatnonzero(np.isin(_keys(split), keys))
            if places.size:
                return str(names_of(split.images)[places[0]])
        return "unknown"

    def arrays(self) -> dict[str, Any]:
        """The arrays that a checkpoint holds besides ``trained_on``."""
        return {VALIDATED_ON: self.val} if self.val.size else {}

    def require_same(self, now: ImageRecord, where: object) -> None:
        """StorageError that says what has changed since a training began, unless the images are the same now."""
        if self.digest == now.digest:
            return
        if self.class_names != now.class_names:
            gone, new = (sorted(set(a) - set(b)) for a, b in _both_ways(self.class_names, now.class_names))
            what = f"the classes are others ({_listed('gone', gone)}, {_listed('new', new)})"
        else:
            what = self._changes(now)
        raise StorageError(
            f"{where} was trained on other images: {what}; put them back as they were, or start a new training"
        )

    def _changes(self, now: ImageRecord) -> str:
        before, after = (np.union1d(record.train, record.val) for record in (self, now))
        new = np.setdiff1d(after, before)
        added, removed = len(new), len(np.setdiff1d(before, after))
        moved = len(np.intersect1d(self.train, now.val)) + len(np.intersect1d(self.val, now.train))
        words = (f"added ({now.name_of(new)})" if added else "", "removed")
        parts = [f"{n:,} {word}" for n, word in zip((added, removed), words, strict=True) if n]
        parts += [f"{moved:,} moved between training and validation"] if moved else []
        return ", ".join(parts) or "some have another class, size or number of channels now, or occur twice"


def _keys(split: Split) -> Keys:
    found: Keys = getattr(split.images, "keys", np.zeros(0, np.uint64))
    return found


def _both_ways(one: Sequence[str], other: Sequence[str]) -> tuple[tuple[Sequence[str], Sequence[str]], ...]:
    return (one, other), (other, one)


def _listed(word: str, names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{word}: {shown}" if names else f"none {word}"
