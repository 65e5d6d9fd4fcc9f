"""Images to evaluate a trained model on: those of a folder or archive, or a part of a store."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from .dataset import Dataset, Split
from .errors import DataError
from .sources.choice import SPLITS
from .sources.members import Members
from .store.build import Notes, Progress
from .store.cached import cached_store
from .store.plan import BuildOptions, make_evaluation_plan
from .store.reading import may_be_store, open_store
from .subset import choose, joined


def load_evaluation(
    data: str | Path,
    split: str = "auto",
    *,
    options: BuildOptions | None = None,
    cache: Path | None = None,
    max_corrupt: float | None = None,
    building: Progress | None = None,
    notes: Notes | None = None,
    members: Members | None = None,
) -> Dataset:
    """Load images to evaluate a model on; for a folder or archive, a store is built in the cache once.

    Parameters
    ----------
    data : an image store, or a folder or archive of images
    split : "train", "val", "test" or "all"; "auto" takes the validation images of a store, and from a folder those that
        `make_evaluation_plan` chooses
    options : how images are stored; ``size`` is the short side in pixels
    cache : folder with all cached data; None for `cache_folder`
    max_corrupt, building, notes : see `build_store`
    members : files of the folder when they have been listed already, else None

    Returns
    -------
    Dataset whose ``test`` are the images to evaluate on and whose ``train`` is empty

    Raises
    ------
    DataError
        When the source cannot be used or has no such split.
    """
    if split not in SPLITS:
        raise DataError(f"expected split {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, but got {split!r}")
    path = Path(os.path.expanduser(data))
    if may_be_store(path):
        return _part_of_store(path, split)
    plan = make_evaluation_plan(path, options or BuildOptions(), split, members)
    return cached_store(path, plan, cache, building, notes, max_corrupt, split).dataset


def _part_of_store(path: Path, split: str) -> Dataset:
    """A part of a store as the test images of a data set."""
    dataset = open_store(path)
    if split == "test":
        raise DataError(f"expected a split of the store {path}, which has train and val, but got 'test'")
    # Data sets have two splits, and a store's validation images are the one called "test" there.
    test: Split = dataset.train if split == "train" else dataset.test
    if split == "all":
        test = joined(dataset.train, dataset.test)
    # Mean and deviation stay those of the training images.
    return replace(dataset, train=choose(dataset.train, []), test=test)
