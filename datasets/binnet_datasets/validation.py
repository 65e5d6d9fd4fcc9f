"""Which images are for validation: those of the source or of another place with their classes, or a share held out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import label_files
from .errors import DataError
from .layouts import Entry, Layout, check_known, find_val
from .members import Member, Members, list_members


def parse_val(words: Sequence[str]) -> tuple[float | None, Path | None, Path | None]:
    """What ``--val`` says: a share, a folder or tar, a file of classes."""
    share, images, truth = None, None, None
    for word in words:
        path = Path(os.path.expanduser(word))
        try:
            number = None if path.exists() else float(word)
        except ValueError:
            raise DataError(f"expected a share, a folder, a tar or a file as val, but there is no {word}") from None
        if number is not None:
            if not 0 < number < 1:
                raise DataError(f"expected a share of the training images between 0 and 1 as val, but got {word}")
            share = number
        elif path.is_dir() or path.name.lower().endswith((".tar", ".gz", ".tgz", ".bz2", ".xz", ".zip")):
            images = path
        else:
            truth = path
    if len(words) != sum(found is not None for found in (share, images, truth)) or (share and len(words) > 1):
        raise DataError(f"expected a share alone, or one folder or tar and one file as val, but got {' '.join(words)}")
    return share, images, truth


def labelled(
    layout: Layout, members: Members, elsewhere: Path | None, truth: Path | None, source: Path
) -> tuple[list[Entry], Members]:
    """Validation images with their classes, and the files they come with."""
    where, found = source, layout.val
    classes = {entry.class_id for entry in layout.train}
    if elsewhere is not None:
        where, members = elsewhere, list_members(elsewhere)
        found = find_val(members, classes, elsewhere)
    elif truth is not None and not found:
        raise DataError(f"expected validation images in {source} for the classes in {truth}, but there are none")
    if all(entry.class_id for entry in found):
        return found, members
    ids = _truth([entry.name for entry in found], members, truth, [where, source])
    check_known(set(ids.values()), classes)
    return [replace(entry, class_id=ids[entry.name]) for entry in found], members


def _truth(images: list[str], members: Members, given: Path | None, beside: Sequence[Path]) -> dict[str, str]:
    """The class of each flat validation image."""
    name = None if given else label_files.find(members, label_files.TRUTH_FILES)
    member = members[name] if name else None
    for path in () if name or given else beside:
        member = member or label_files.beside(path, label_files.TRUTH_FILES)
    if given is not None:
        name, member = str(given), label_files.whole_file(given)
    if member is None:
        raise DataError(
            f"expected the classes of {len(images):,} validation images in one flat folder from "
            f"{', '.join(label_files.TRUTH_FILES)}, but none of these is there; "
            "name the file with --val FILE, or hold out training images with --val 0.1"
        )

    def meta() -> Member | None:
        inside = label_files.find(members, ("meta.mat",))
        found = label_files.beside(Path(member.path), ("meta.mat",)) if not inside else members[inside]
        return found or next(filter(None, (label_files.beside(path, ("meta.mat",)) for path in beside)), None)

    return label_files.truth(name or member.path, label_files.read_text(member), images, meta)


def hold_out(train: list[Entry], share: float, seed: int) -> tuple[list[Entry], list[Entry]]:
    """Take a share of each class for validation, at least one image and never all; which ones follows from the seed."""
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(train):
        places.setdefault(entry.class_id, []).append(place)
    held: set[int] = set()
    for label, class_id in enumerate(sorted(places)):
        own = places[class_id]
        count = min(max(1, round(share * len(own))), len(own) - 1)
        held.update(own[i] for i in np.random.default_rng([seed, label]).permutation(len(own))[:count])
    return ([e for i, e in enumerate(train) if i not in held], [e for i, e in enumerate(train) if i in held])
