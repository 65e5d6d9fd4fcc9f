"""Matching of a data set's classes to a model's classes by name, independent of order and number."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from binnet_datasets import DataError, Dataset, Split
from binnet_datasets.sources.splits import same_name
from binnet_datasets.subset import choose, keys_of

from ..modelfile.info import DataInfo

Ints = npt.NDArray[np.int64]
_SHOWN = 5  # the most names in a sentence


@dataclass(frozen=True)
class Matched:
    """The images of a data set that a model can be evaluated on.

    Attributes
    ----------
    split : Split
        The images of the model's classes, with the model's labels.
    by : str
        "name" or "number", the criterion by which classes were matched.
    unknown : dict of str to int
        Number of omitted images for each class that the model does not have.
    trained_on : int
        Number of images that were omitted because the model was trained on them.
    missing : tuple of str
        Classes of the model without any image.
    """

    split: Split
    by: str
    unknown: dict[str, int] = field(default_factory=dict)
    trained_on: int = 0
    missing: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """The criterion, the omitted images and the missing classes, ready for JSON."""
        left_out = {"unknown_class": self.unknown, "trained_on": self.trained_on}
        return {"classes_matched_by": self.by, "left_out": left_out, "classes_missing": list(self.missing)}

    def sentences(self) -> list[str]:
        """Notes for the user about omitted images and missing classes."""
        said = []
        if self.by == "number":
            said.append("note: the model does not say what its classes are called; they are matched by their number")
        if self.unknown:
            named = _some(f"{name} ({count:,})" for name, count in self.unknown.items())
            said.append(
                f"left out {_images(sum(self.unknown.values()))} of classes that the model does not know: {named}"
            )
        if self.trained_on:
            said.append(
                f"left out {_images(self.trained_on)} that the model was trained on (--include-trained uses them)"
            )
        if self.missing:
            said.append(
                f"note: there are no images of {_classes(len(self.missing))} of the model: {_some(self.missing)}"
            )
        return said


def match(info: DataInfo, num_classes: int, dataset: Dataset, include_trained: bool = False) -> Matched:
    """Relabel the test images of a data set with the labels of a model.

    Names are compared without regard to case and Unicode form. A class whose name is unknown is looked up by its
    identifier, such as that of WordNet, and so is one whose name two classes have. Where neither
    tells two classes apart, but model and data have the same names in the same order, the places do; otherwise the
    classes count as unknown. A model without class names is matched by number.

    Parameters
    ----------
    info
        The model's class names, and the keys of its training images.
    num_classes
        Number of classes of the model.
    dataset
        Data set whose test images are relabelled.
    include_trained
        Whether to keep images that the model was trained on.

    Raises
    ------
    DataError
        When no class matches, a model without names has another number of classes, or no image is left.
    """
    target, by = labels_by_class(info, num_classes, dataset)
    test = dataset.test
    known = target[test.labels] >= 0
    counts = np.bincount(test.labels[~known], minlength=dataset.num_classes)
    unknown: Counter[str] = Counter()
    for i in np.flatnonzero(counts):
        unknown[dataset.class_names[i]] += int(counts[i])  # two classes may have one name
    trained = np.zeros(len(test), bool) if include_trained else _trained_on(info, test)
    kept = np.flatnonzero(known & ~trained)
    labels = target[test.labels[kept]]
    _check_left(dataset, labels, known)
    missing = sorted(set(range(num_classes)) - set(labels.tolist()))
    names = tuple(map(info.class_name, missing))
    split = Split(test.images, labels) if len(kept) == len(test) else choose(test, kept, labels)
    return Matched(split, by, dict(unknown), int((known & trained).sum()), names)


def labels_by_class(info: DataInfo, num_classes: int, dataset: Dataset) -> tuple[Ints, str]:
    """The model's label for each class of the data set, int64, -1 for an unknown class, and the criterion.

    Arguments are those of :func:`match`. DataError when no class matches, or a model without class names has another
    number of classes.
    """
    if not info.class_names:
        if dataset.num_classes != num_classes:
            raise DataError(
                f"the model has {num_classes} classes without names, so that it can only be evaluated on as many, "
                f"but {dataset.name} has {dataset.num_classes}"
            )
        return np.arange(num_classes), "number"
    # The provenance comes out of a file and can hold anything, so its form is checked before it is used.
    ids = info.provenance.get("class_ids")
    tables = [_Names(info.class_names)]
    if isinstance(ids, list | tuple) and len(ids) == num_classes and all(isinstance(i, str) for i in ids):
        tables.append(_Names(ids))
    others = [_unique(names) for names in (dataset.class_names, dataset.class_ids) if names]
    found = [
        next((label for names in others for table in tables if (label := table.find(names[i])) is not None), -1)
        for i in range(dataset.num_classes)
    ]
    if -1 in found and [*map(_composed, info.class_names)] == [*map(_composed, dataset.class_names)]:
        return np.arange(num_classes), "name"  # two classes have one name, and their places tell them apart
    if max(found, default=-1) < 0:
        raise DataError(
            f"no class of {dataset.name} ({_some(dataset.class_names)}) is one of the model's "
            f"({_some(info.class_names)})"
        )
    return np.array(found, np.int64), "name"


class _Names:
    """Lookup of labels by name, exact first; case matters only between names that differ in nothing else."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, list[int]] = {}
        self._plain: dict[str, list[int]] = {}
        for label, name in enumerate(names):
            self._exact.setdefault(_composed(name), []).append(label)
            self._plain.setdefault(same_name(name), []).append(label)

    def find(self, name: str | None) -> int | None:
        """The label of a name; None when no name matches, or several do, all of them exactly or none."""
        if name is None:
            return None
        labels = self._exact.get(_composed(name)) or self._plain.get(same_name(name), [])
        return labels[0] if len(labels) == 1 else None


def _unique(names: Sequence[str]) -> list[str | None]:
    """The names, with None for each that stands there more than once."""
    counts = Counter(map(_composed, names))
    return [name if counts[_composed(name)] == 1 else None for name in names]


def _composed(name: str) -> str:
    """A name without outer white space, in Unicode NFC: macOS writes folder names in another form."""
    return unicodedata.normalize("NFC", name.strip())


def _trained_on(info: DataInfo, test: Split) -> npt.NDArray[np.bool_]:
    """Mask of the test images that the model was trained on, bool (n,); all False for images without keys."""
    keys = keys_of(test.images)
    return np.isin(keys, info.trained_on) if len(keys) == len(test) else np.zeros(len(test), bool)


def _check_left(dataset: Dataset, labels: Ints, known: npt.NDArray[np.bool_]) -> None:
    """Raise DataError when no image is left to evaluate on."""
    if len(labels):
        return
    if known.any():
        raise DataError(
            f"the model was trained on all {_images(int(known.sum()))} of {dataset.name} whose classes it knows; "
            "give others, or use them with --include-trained"
        )
    raise DataError(f"there are no images to evaluate on in {dataset.name}")


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def _classes(count: int) -> str:
    return f"{count:,} class{'es' * (count != 1)}"


def _some(names: Iterable[str]) -> str:
    """The first five names, and the number of the others."""
    listed = list(names)
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
