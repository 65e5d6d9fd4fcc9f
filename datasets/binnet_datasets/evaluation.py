"""What a trained model is to be evaluated on: all images of a folder or archive, or a part of a store."""

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
    """Load images to evaluate a model on; their store is built into the cache once when they lie in a folder.

    Parameters
    ----------
    data : an image store, or a folder or archive of images
    split : "train", "val", "test" or "all"; "auto" for the validation images of a store, and for what
        `make_evaluation_plan` chooses of a folder
    options : how images are stored; ``size`` is the short side
    cache : folder with all cached data; None for `cache_folder`
    max_corrupt, building, notes : see `build_store`
    members : files of the folder where they have been listed already

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
    return cached_store(path, plan, cache, building, notes, max_corrupt).dataset


def _part_of_store(path: Path, split: str) -> Dataset:
    """A part of a store as the test images of a data set."""
    dataset = open_store(path)
    if split == "test":
        raise DataError(f"expected a split of the store {path}, which has train and val, but got 'test'")
    test: Split = dataset.train if split == "train" else dataset.test
    if split == "all":
        test = joined(dataset.train, dataset.test)
    return replace(dataset, train=choose(dataset.train, []), test=test)
