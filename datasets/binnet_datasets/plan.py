"""What goes into a store: which images, of which classes, for training or for validation, in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import label_files
from .errors import DataError
from .image import LONGEST, decoding_quietly, header_size
from .layouts import Entry, Layout, find_layout
from .members import Members, list_members
from .sources import SOURCES
from .validation import hold_out, labelled, parse_val

HELD_OUT = 0.1  # of the training images of each class, where there are no validation images
LAYOUTS = ("splits", "classes")
SPLITS = ("auto", "train", "val", "test", "all")
LARGEST, MOST = 256, 2048  # short side unless another is asked for, and of any image
_SAMPLED = 200  # images that are looked at to find the usual size


@dataclass(frozen=True)
class BuildOptions:
    """What of a source goes into a store, and how.

    Attributes
    ----------
    size : short side of the stored images, pixels, at most 2048; None for the usual one of the source, at most 256
    channels : 3 (RGB) or 1 (grey)
    classes : None for all; a number (the first of the sorted ids), ids with commas between, or a text file of ids
    per_class : images of each class at most, the first by name; None for all
    val : nothing to use what the source has; a share to hold out of the training images; or up to one folder or tar and
        up to one file with the classes of flat validation images
    seed : of the choice of what is held out
    layout : "splits" when folders such as train and val are splits, "classes" when they are classes as all others;
        None to find out, and to refuse what can be read both ways
    """

    size: int | None = None
    channels: int = 3
    classes: str | None = None
    per_class: int | None = None
    val: tuple[str, ...] = ()
    seed: int = 0
    layout: str | None = None

    def __post_init__(self) -> None:
        for name, least, most in (("size", 1, MOST), ("per_class", 1, None), ("seed", 0, None)):
            value = getattr(self, name)
            if value is not None and not least <= value <= (most or value):
                span = f"from {least} to {most}" if most else f"of at least {least}"
                raise DataError(f"expected {name.replace('_', '-')} {span}, but got {value}")
        if self.channels not in (1, 3):
            raise DataError(f"expected channels 1 or 3, but got {self.channels}")
        if self.layout not in (None, *LAYOUTS):
            raise DataError(f"expected layout {' or '.join(LAYOUTS)}, but got {self.layout!r}")


@dataclass(frozen=True)
class Plan:
    """The images of a store in their order, and what is known about them.

    Attributes
    ----------
    name : of the data set
    class_ids, class_names : of each label; ids are sorted
    train, val : images in the order of their names
    short_side : of the stored images, pixels
    notes : what a person should know, a sentence each
    unused : name and reason of each file of the source that is not used
    pixels : of a stored image on average, about
    key : changes with the sources and with every option that changes the store
    """

    name: str
    class_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    train: list[Entry]
    val: list[Entry]
    short_side: int
    channels: int
    notes: tuple[str, ...] = ()
    unused: tuple[tuple[str, str], ...] = ()
    pixels: float = field(default=0.0, compare=False)
    key: str = field(default="", compare=False)


def make_plan(source: Path, options: BuildOptions, members: Members | None = None) -> Plan:
    """Look at a source and decide what goes into a store; raises DataError.

    Parameters
    ----------
    source : folder or tar
    options : what of it
    members : its files, where they have been listed already
    """
    members = list_members(source) if members is None else members
    layout = find_layout(members, source)
    share, elsewhere, truth_file = parse_val(options.val)
    ids = _choose(options.classes, sorted({entry.class_id for entry in layout.train}))
    train = _first(_of_classes(layout.train, ids), options.per_class)
    val, more = ([], members) if share is not None else labelled(layout, members, elsewhere, truth_file, source)
    val, notes = _of_classes(val, ids), _notes(layout, source)
    if not val:
        share = HELD_OUT if share is None else share
        train, val = hold_out(train, share, options.seed)
        notes += (
            f"held {len(val):,} of the {len(train) + len(val):,} training images out for validation ({share:.0%})",
        )
    with decoding_quietly():
        sizes = _sample(train)
    size = options.size or _usual_size(sizes)
    names = _names(ids, {**more, **members}, source)
    plan = Plan(_name(source), ids, names, train, val, size, options.channels, notes, (), _pixels(sizes) * size**2)
    return replace(plan, key=_key(plan))


def make_evaluation_plan(
    source: Path, options: BuildOptions, split: str = "auto", members: Members | None = None
) -> Plan:
    """Look at a source and decide which of its images to evaluate a model on: a plan without training images.

    Parameters
    ----------
    source : folder or archive
    options : what of it; what they say about validation images does not count
    split : "train", "val", "test" or "all" of its splits; "auto" for the test images where there are some with classes,
        else the validation images, else the training images. Of a source without splits all images are taken
    members : its files, where they have been listed already

    Returns
    -------
    Plan whose ``val`` are all labelled images of the split, of one class or more, and whose ``train`` is empty

    Raises
    ------
    DataError
        When the source cannot be used or has no such split.
    """
    if split not in SPLITS:
        raise DataError(f"expected split {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, but got {split!r}")
    plan = make_plan(source, replace(options, val=()), members)
    plan = replace(plan, train=[], val=sorted(plan.train + plan.val, key=lambda entry: entry.name))
    return replace(plan, key=_key(plan))


def _name(source: Path) -> str:
    """The name of the folder or tar; never that of a data set by name."""
    name = source.resolve().name.removesuffix(".tar") or "images"
    return f"{name}-images" if name in ("digits", *SOURCES) else name


def _notes(layout: Layout, source: Path) -> tuple[str, ...]:
    return (f"{layout.stray:,} images of {source} lie in no class folder and are left out",) if layout.stray else ()


# ---------------------------------------------------------------------------------------------- classes


def _choose(classes: str | None, there: Sequence[str]) -> tuple[str, ...]:
    """The ids that ``classes`` asks for, sorted."""
    if classes is None:
        return tuple(there)
    if classes.isdecimal():
        count = int(classes)
        if not 2 <= count <= len(there):
            raise DataError(f"expected a number of classes from 2 to {len(there)}, which there are, but got {count}")
        return tuple(there[:count])
    ids = {word.strip() for word in classes.split(",") if word.strip()}
    if not ids <= set(there) and Path(classes).is_file():
        text = label_files.read_text(label_files.whole_file(Path(classes)))
        ids = {line.split()[0] for line in text.splitlines() if line.strip()}
    unknown = sorted(ids - set(there))
    if unknown or len(ids) < 2:
        shown = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
        got = f"{unknown[0]!r}" if unknown else f"only {len(ids)}"
        raise DataError(f"expected at least two of the {len(there)} classes ({shown}), but got {got}")
    return tuple(sorted(ids))


def _of_classes(entries: Iterable[Entry], ids: Iterable[str]) -> list[Entry]:
    wanted = set(ids)
    return [entry for entry in entries if entry.class_id in wanted]


def _first(entries: list[Entry], count: int | None) -> list[Entry]:
    """The first ``count`` of each class."""
    if count is None:
        return entries
    taken: dict[str, int] = {}
    chosen = []
    for entry in entries:
        taken[entry.class_id] = taken.get(entry.class_id, 0) + 1
        if taken[entry.class_id] <= count:
            chosen.append(entry)
    return chosen


def _names(ids: tuple[str, ...], members: Members, source: Path) -> tuple[str, ...]:
    """Names of classes from the files that come with ImageNet, inside the source or beside it."""
    found = label_files.find(members, label_files.NAME_FILES)
    member = members[found] if found else label_files.beside(source, label_files.NAME_FILES)
    return label_files.class_names(ids, label_files.read_text(member)) if member else ids


# ---------------------------------------------------------------------------------------------- size and key


def _sample(train: Sequence[Entry]) -> NDArray[np.int64]:
    """Short and long sides of some images, int64 (N, 2), from their headers."""
    step = max(1, len(train) // _SAMPLED)
    sizes = [size for entry in train[::step] if (size := header_size(entry.member.read))]
    return np.array(sizes or [(LARGEST, LARGEST)], np.int64)


def _usual_size(sizes: NDArray[np.int64]) -> int:
    """The median short side, at most 256."""
    return min(LARGEST, int(np.median(sizes[:, 0])))


def _pixels(sizes: NDArray[np.int64]) -> float:
    """How many pixels an image has on average when its short side is 1."""
    return float(np.minimum(sizes[:, 1] / sizes[:, 0], LONGEST).mean())


def _key(plan: Plan) -> str:
    """SHA-256 over what is stored and in which form; an image counts by name, size and time."""
    about = (plan.name, plan.class_ids, plan.class_names, plan.short_side, plan.channels)
    digest = hashlib.sha256(repr(about).encode("utf-8", "surrogateescape"))
    for part in (plan.train, plan.val):
        digest.update(b"part")
        for e in part:
            row = (e.name, e.class_id, e.member.offset, e.member.size, e.member.modified)
            digest.update(repr(row).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
