"""Stores of image folders that are trained on as they are: built once, and reused while the folder stays the same."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from ..cache import cached
from ..errors import DataError
from ..sources.archives import is_archive
from ..sources.file_names import is_image
from ..sources.members import each_member
from .build import Notes, Progress, build_planned
from .journal import remove_stopped
from .plan import Plan
from .reading import Store, may_be_store, read_store

_SHOWN = 20  # corrupt images that are named at most


def cached_store(
    source: Path,
    plan: Plan,
    cache: Path | None = None,
    progress: Progress | None = None,
    notes: Notes | None = None,
    max_corrupt: float | None = None,
) -> Store:
    """Open the store of a plan in the cache; it is built when it is not there yet, or is damaged.

    Names, sizes and times of the files tell whether anything has changed. A store of the same folder and the same kind
    of plan as the folder was earlier is deleted once the new one is there. Where the cache cannot be written
    to, the store goes to a temporary folder.

    Parameters
    ----------
    source : folder or archive
    plan : what of it
    cache : folder with all cached data; None for `cache_folder`
    progress, notes, max_corrupt : see `build_store`

    Raises
    ------
    DataError
        When the source cannot be used or the store not be written.
    """
    tell = notes or (lambda _: None)
    family = _family(source, plan)
    name = f"{plan.name}-{family}-{plan.key[:16]}.h5"
    path = cached("stores", cache, [name], notes) / name
    there = path.exists()
    tell(
        f"using the store of {source} built earlier: {path}" if there else f"building a store of {source}, once: {path}"
    )
    report = build_planned(plan, path, max_corrupt, None, progress, notes, rebuild=True)
    for image, reason in report.corrupt[:_SHOWN]:
        tell(f"left out {image}: {reason}")
    if len(report.corrupt) > _SHOWN:
        tell(f"left out {len(report.corrupt) - _SHOWN:,} more corrupt images: binnet data info --json {path} names all")
    if report.fresh:
        _delete_older(path, family)
    return read_store(path, cached=True)


def _family(source: Path, plan: Plan) -> str:
    """Eight digits that stores of one folder, for one use and in one form, have in common."""
    about = (str(source.resolve()), bool(plan.train), plan.short_side, plan.channels)
    return hashlib.sha256(repr(about).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _delete_older(kept: Path, family: str) -> None:
    """Delete the other stores of a family, and what is left of builds of them that were stopped.

    A process that has such a store open goes on reading it; a build that is running is left alone.
    """
    for old in kept.parent.glob(f"*-{family}-*.h5"):
        if old != kept and not old.name.startswith("."):
            with suppress(OSError):
                old.unlink()
    for hidden in kept.parent.glob(f".*-{family}-*.h5.*"):
        out = hidden.with_name(hidden.name[1:].partition(".h5.")[0] + ".h5")
        if out != kept:
            remove_stopped(out)


def holds_images(path: str | Path) -> bool:
    """Tell whether this is a store, or a folder or archive with images: what needs no name of a data set."""
    path = Path(os.path.expanduser(path))
    if path.is_file() and (may_be_store(path) or not is_archive(path)):
        return may_be_store(path)  # one that cannot be read has to be said, not passed over
    try:
        return any(is_image(name) for name, _ in each_member(path))
    except DataError:
        return False
