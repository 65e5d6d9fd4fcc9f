"""Stores of image folders that are trained on as they are: built once, and reused while the folder stays the same."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from .archives import is_archive
from .build import Notes, Progress, build_planned
from .errors import DataError
from .layouts import is_image
from .members import each_member
from .plan import BuildOptions, make_plan
from .sources import cache_folder
from .store import is_store


def cached_store(
    source: Path,
    cache: Path | None = None,
    progress: Progress | None = None,
    notes: Notes | None = None,
    *,
    options: BuildOptions | None = None,
    max_corrupt: float | None = None,
) -> Path:
    """Return a store of the images in a folder or tar, built when there is none of them in the cache yet.

    Names, sizes and times of the files tell whether anything has changed. A store of the same folder as it was earlier
    is deleted once the new one is there.

    Parameters
    ----------
    source : folder or tar
    cache : folder with all cached data; None for `cache_folder`
    progress, notes, options, max_corrupt : see `build_store`

    Raises
    ------
    DataError
        When the source cannot be used or the store not be written.
    """
    plan = make_plan(source, options or BuildOptions())
    where = hashlib.sha256(str(source.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    folder = (cache_folder() if cache is None else Path(cache)) / "stores"
    path = folder / f"{plan.name}-{where}-{plan.key[:16]}.h5"
    if path.exists():
        if notes is not None:
            for note in (f"using the store of {source} built earlier: {path}", *plan.notes):
                notes(note)
        return path
    if notes is not None:
        notes(f"building a store of {source}, once: {path}")
    report = build_planned(plan, path, max_corrupt, None, progress, notes)
    for name, reason in report.corrupt:
        if notes is not None:
            notes(f"left out {name}: {reason}")
    for old in folder.glob(f"*-{where}-*.h5*"):  # with the hidden files of builds that were stopped
        if old != path:
            with suppress(OSError):
                old.unlink()
    return path


def holds_images(path: str | Path) -> bool:
    """Tell whether this is a store, or a folder or archive with images: what needs no name of a data set."""
    path = Path(os.path.expanduser(path))
    if path.is_file() and (is_store(path) or not is_archive(path)):
        return is_store(path)
    try:
        return any(is_image(name) for name, _ in each_member(path))
    except DataError:
        return False
