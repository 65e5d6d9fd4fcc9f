"""What a trained model is to be evaluated on: all images of a folder or archive, or a part of a store."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .build import Notes, Progress, build_planned
from .choice import SPLITS
from .dataset import Dataset, Split
from .errors import DataError
from .members import Members
from .plan import BuildOptions, Plan, make_evaluation_plan
from .sources import cache_folder
from .store import is_store, open_store
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
    if is_store(path):
        return _part_of_store(path, split)
    plan = make_evaluation_plan(path, options or BuildOptions(), split, members)
    return open_store(_cached(plan, path, cache, max_corrupt, building, notes))


def _part_of_store(path: Path, split: str) -> Dataset:
    """A part of a store as the test images of a data set."""
    dataset = open_store(path)
    if split == "test":
        raise DataError(f"expected a split of the store {path}, which has train and val, but got 'test'")
    test: Split = dataset.train if split == "train" else dataset.test
    if split == "all":
        test = joined(dataset.train, dataset.test)
    return replace(dataset, train=choose(dataset.train, []), test=test)


def _cached(
    plan: Plan,
    source: Path,
    cache: Path | None,
    max_corrupt: float | None,
    building: Progress | None,
    notes: Notes | None,
) -> Path:
    """A store of a plan in the cache, built when it is not there or damaged; that of an earlier state is deleted."""
    text = f"evaluation of {source.resolve()}"
    where = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    folder = (cache_folder() if cache is None else Path(cache)) / "stores"
    path = folder / f"{plan.name}-{where}-{plan.key[:16]}.h5"
    say = notes or (lambda sentence: None)
    there = path.exists()
    try:
        report = build_planned(plan, path, max_corrupt, None, building, notes)
    except DataError as error:
        if not there:
            raise
        say(f"building it anew, because {error}")
        path.unlink(missing_ok=True)
        report = build_planned(plan, path, max_corrupt, None, building, None)
    for name, reason in report.corrupt:
        say(f"left out {name}: {reason}")
    for old in folder.glob(f"*-{where}-*.h5*"):
        if old != path:
            with suppress(OSError):
                old.unlink()
    return path
