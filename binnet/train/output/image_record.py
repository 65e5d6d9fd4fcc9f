"""Record of the images of a training, stored in checkpoints so that a resumed training detects changed images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from binnet_datasets import Dataset, Split
from binnet_datasets.subset import names_of

from ...modelfile import StorageError
from ...modelfile.info import Keys

# Names of a checkpoint's arrays of image keys; the first one has those of the third as well.
TRAINED_ON, VALIDATED_ON, EARLIER = "trained_on", "validated_on", "trained_on_earlier"
_NONE = np.zeros(0, np.uint64)


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """The images of a data set, identified by the contents of their files.

    Attributes
    ----------
    class_names : tuple of str
        Names of the classes in label order.
    train, val : uint64 (n,)
        Sorted keys, see :attr:`binnet_datasets.StoreImages.keys`; empty for the built-in data sets.
    digest : str
        SHA-256 over channels, splits, and key, class and stored size of each image. Where there are no keys, it covers
        the number of images of each class instead.
    splits : tuple of Split
        The splits, for the names of their images; empty for a record from a checkpoint.
    earlier : uint64 (n,)
        Sorted keys of other images, on which the model that the training began with or its teacher was trained.
    """

    class_names: tuple[str, ...]
    train: Keys
    val: Keys
    digest: str
    splits: tuple[Split, ...] = ()
    earlier: Keys = field(default_factory=lambda: _NONE)

    @classmethod
    def of(cls, dataset: Dataset, earlier: Keys = _NONE) -> ImageRecord:
        """The record of a data set; ``earlier``: keys of the images of a model before, which may be among them."""
        keys = [_keys(split) for split in (dataset.train, dataset.test)]
        # File names in class names may not be valid UTF-8; surrogateescape keeps their bytes.
        digest = hashlib.sha256(repr(dataset.class_names).encode("utf-8", "surrogateescape"))
        for split, own in zip((dataset.train, dataset.test), keys, strict=True):
            columns = [own, split.labels, *split.sizes.T]
            # Sorted, so that the digest depends on the set of images and not on their order in the store.
            rows = np.sort(np.rec.fromarrays(columns)) if own.size else np.bincount(split.labels)
            digest.update(f"split {len(split)} {split.channels}".encode() + np.ascontiguousarray(rows).tobytes())
        found = np.unique(keys[0]), np.unique(keys[1])
        splits = dataset.train, dataset.test
        return cls(dataset.class_names, *found, digest.hexdigest(), splits, np.setdiff1d(earlier, found[0]))

    @classmethod
    def read(cls, class_names: Sequence[str], arrays: Mapping[str, Any], description: Mapping[str, Any]) -> ImageRecord:
        """The record stored in a checkpoint; KeyError when there is none."""
        seen, val, earlier = (arrays.get(name, _NONE) for name in (TRAINED_ON, VALIDATED_ON, EARLIER))
        train = np.setdiff1d(seen, earlier)
        return cls(tuple(class_names), train, val, str(description["images"]), earlier=earlier)

    @property
    def seen(self) -> Keys:
        """Sorted keys of all images that have had a part in the weights."""
        return np.union1d(self.train, self.earlier)

    def name_of(self, keys: Keys) -> str:
        """The name of the first image with one of these keys, or "unknown"."""
        for split in self.splits:
            places = np.flatnonzero(np.isin(_keys(split), keys))
            if places.size:
                return str(names_of(split.images)[places[0]])
        return "unknown"

    def arrays(self) -> dict[str, Any]:
        """The arrays of the record in a checkpoint, apart from ``trained_on``, which the data's description has."""
        return {name: keys for name, keys in ((VALIDATED_ON, self.val), (EARLIER, self.earlier)) if keys.size}

    def require_same(self, now: ImageRecord, where: object) -> None:
        """Raise StorageError that names the changes, unless the images ``now`` are those of this record."""
        if self.digest == now.digest:
            return
        if self.class_names != now.class_names:
            gone, new = (sorted(set(a) - set(b)) for a, b in _both_ways(self.class_names, now.class_names))
            what = f"the classes have changed ({_listed('gone', gone)}, {_listed('new', new)})"
        else:
            what = self._changes(now)
        raise StorageError(
            f"{where} was trained on other images: {what}; put them back as they were, or start a new training"
        )

    def _changes(self, now: ImageRecord) -> str:
        # An image that moved between the splits is neither added nor removed, so compare the unions.
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
