"""The classes of a source: selection, names and numbers of images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import DataError
from . import label_files
from .layouts import Entry
from .members import Member
from .splits import same_name

FEW = 5  # a class with fewer images is reported
_SHOWN = 20  # the most classes in a sentence
_LISTED = 10_000  # the most names per reason, so that half a million XML files beside ImageNet do not fill a store


def choose(classes: str | None, there: Sequence[str], least: int = 2) -> tuple[str, ...]:
    """Return the class ids that an option selects, sorted.

    Parameters
    ----------
    classes : None for all; a number, ids with commas between, or a text file with an id on each line
    there : all ids of the source, sorted
    least : the least number of classes to be selected

    Raises
    ------
    DataError
        When an id is unknown, or fewer than ``least`` classes are selected.
    """
    if classes is None:
        return tuple(there)
    if classes.isdecimal():
        wanted = int(classes)
        if not least <= wanted <= len(there):
            raise DataError(
                f"expected a number of classes from {least} to {len(there)}, which there are, but got {wanted}"
            )
        return tuple(there[:wanted])
    alike = {same_name(class_id): class_id for class_id in there}
    ids = {word.strip() for word in classes.split(",") if word.strip()}
    # A class may have the same name as a file; the class takes precedence.
    if not {same_name(word) for word in ids} <= set(alike) and os.path.isfile(classes):
        text = label_files.read_text(label_files.whole_file(Path(classes)))
        ids = {_id_of(line, alike) for line in text.splitlines() if line.strip()}
    unknown = sorted(word for word in ids if same_name(word) not in alike)
    # An exact id before one that differs in case.
    ids = {word if word in there else alike.get(same_name(word), word) for word in ids}
    if unknown or len(ids) < least:
        shown = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
        few = f"at least {'two' if least > 1 else 'one'}"
        raise DataError(
            f"expected {few} of the {len(there)} classes ({shown}), but got "
            + (f"{unknown[0]!r}" if unknown else f"only {len(ids)}")
        )
    return tuple(sorted(ids))


def _id_of(line: str, known: Mapping[str, str]) -> str:
    """The class that a line names: the line itself, the part before a tab, or the first word."""
    whole = line.strip()
    for part in (whole, whole.split("\t")[0].strip()):
        if same_name(part) in known:
            return part
    first_word = whole.split()[0]
    return first_word if same_name(first_word) in known else whole


def first(entries: list[Entry], wanted: int | None) -> list[Entry]:
    """The first ``wanted`` images of each class in their order; all of them for None."""
    if wanted is None:
        return entries
    taken: dict[str, int] = {}
    chosen = []
    for entry in entries:
        taken[entry.class_id] = taken.get(entry.class_id, 0) + 1
        if taken[entry.class_id] <= wanted:
            chosen.append(entry)
    return chosen


def names_of(ids: tuple[str, ...], members: Mapping[str, Member], source: Path) -> tuple[str, ...]:
    """Class names from a file like ImageNet's, within the source or beside it; the ids when there is none that fits."""
    found = label_files.find(members, label_files.NAME_FILES)
    member = members[found] if found else label_files.beside(source, label_files.NAME_FILES)
    if member is None:
        return ids
    text = label_files.read_text(member)
    return label_files.class_names(ids, text) if label_files.names_most(ids, text) else ids


def count(entries: Iterable[Entry], ids: Sequence[str]) -> list[int]:
    """The number of images of each class, in the order of ``ids``."""
    counts = dict.fromkeys(ids, 0)
    for entry in entries:
        counts[entry.class_id] += 1
    return list(counts.values())


def about_classes(names: Sequence[str], images: Sequence[int], val: Sequence[int] | None = None) -> tuple[str, ...]:
    """Sentences for the user: the classes with their numbers of images, and the classes with few images.

    Parameters
    ----------
    names : names of the classes
    images : number of images of each class; training images when ``val`` is given
    val : number of validation images of each class, or None
    """
    each = [f"{a:,}" if val is None else f"{a:,} + {val[i]:,}" for i, a in enumerate(images)]
    listed = ", ".join(f"{name} {n}" for name, n in zip(names[:_SHOWN], each, strict=False))
    more = f", ... (from {min(images):,} to {max(images):,} images each)" if len(names) > _SHOWN else ""
    kinds = "" if val is None else " (training + validation images)"
    plural = "class" if len(names) == 1 else "classes"
    notes = [f"{len(names):,} {plural}{kinds}: {listed}{more}"]
    for what, counts in (("", images),) if val is None else (("training ", images), ("validation ", val)):
        few = [f"{name} {n}" for name, n in zip(names, counts, strict=True) if n < FEW]
        if few:
            shown = ", ".join(few[:FEW]) + (f", ... ({len(few):,} classes)" if len(few) > FEW else "")
            notes.append(f"some classes have fewer than {FEW} {what}images, which says little about them: {shown}")
    return tuple(notes)


def about_alike(ids: Iterable[str]) -> tuple[str, ...]:
    """A sentence for the user about classes whose folders are one folder where case does not count."""
    alike: dict[str, list[str]] = {}
    for class_id in ids:
        alike.setdefault(same_name(class_id), []).append(class_id)
    several = [" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1]
    if not several:
        return ()
    shown = ", ".join(several[:FEW]) + (", ..." if len(several) > FEW else "")
    return (f"these are different classes here, but one folder on Windows and macOS: {shown}; rename one of them",)


def about_unused(unused: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Sentences for the user: for each reason, the number of unused files and the first three of them."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in sorted(set(unused)):
        by_reason.setdefault(reason, []).append(name)
    return tuple(
        f"{len(names):,} {'file is' if len(names) == 1 else 'files are'} not used ({reason}): "
        f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for reason, names in by_reason.items()
    )


def shortened(unused: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Names and reasons of unused files, sorted; beyond 10,000 for one reason they are only counted."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in sorted(set(unused)):
        by_reason.setdefault(reason, []).append(name)
    kept = [(name, reason) for reason, names in by_reason.items() for name in names[:_LISTED]]
    over = [(f"and {len(n) - _LISTED:,} more", reason) for reason, n in by_reason.items() if len(n) > _LISTED]
    return (*sorted(kept), *over)
