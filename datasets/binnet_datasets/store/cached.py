"""Stores in the cache, built on the first use of an image folder and reused while the folder stays the same."""

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

_SHOWN = 20  # the most corrupt images that are named


def cached_store(
    source: Path,
    plan: Plan,
    cache: Path | None = None,
    progress: Progress | None = None,
    notes: Notes | None = None,
    max_corrupt: float | None = None,
    part: str = "",
) -> Store:
    """Open the store of a plan in the cache; it is built when it is missing or damaged.

    Changes to the folder are detected by names, sizes and times of the files. An older store of the same folder, part
    and form is deleted once the new one is complete. When the cache is not writable, the store is built in a temporary
    folder.

    Parameters
    ----------
    source : folder or archive
    plan : which images are stored, and how
    cache : folder with all cached data; None for `cache_folder`
    progress, notes, max_corrupt : see `build_store`
    part : which images of the folder the plan has, if not those for training

    Raises
    ------
    DataError
        When the source cannot be used, or the store cannot be written.
    """
    tell = notes or (lambda _: None)
    family = _family(source, plan, part)
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


def _family(source: Path, plan: Plan, part: str) -> str:
    """Eight hexadecimal digits that are common to all stores of one folder, purpose (training or a part) and form."""
    # Training and validation images of a folder may be used in turn, so neither store may replace the other.
    about = (str(source.resolve()), bool(plan.train), part, plan.short_side, plan.channels)
    return hashlib.sha256(repr(about).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _delete_older(kept: Path, family: str) -> None:
    """Delete the other stores of a family, and the hidden files of interrupted builds of them.

    A process that has such a store open can go on reading it. A build that is running is not disturbed.
    """
    for old in kept.parent.glob(f"*-{family}-*.h5"):
        if old != kept and not old.name.startswith("."):  # pathlib's * matches hidden names too
            with suppress(OSError):
                old.unlink()
    for hidden in kept.parent.glob(f".*-{family}-*.h5.*"):
        out = hidden.with_name(hidden.name[1:].partition(".h5.")[0] + ".h5")
        if out != kept:
            remove_stopped(out)


def holds_images(path: str | Path) -> bool:
    """Tell whether ``path`` is a store, or a folder or archive with images, so that no data set has to be named."""
    path = Path(os.path.expanduser(path))
    if path.is_file() and (may_be_store(path) or not is_archive(path)):
        return may_be_store(path)  # True also for an unreadable store, so that the caller reports it
    try:
        return any(is_image(name) for name, _ in each_member(path))
    except DataError:
        return False
