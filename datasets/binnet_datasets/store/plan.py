"""The plan of a store: its images and classes, their order, and their division into training and validation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..images.decoding import LONGEST, decoding_quietly, header_size
from ..named.remote import SOURCES
from ..sources.archives import without_ending
from ..sources.choice import beside_training, left, to_evaluate, training, without_classes
from ..sources.classes import about_alike, about_classes, about_unused, choose, count, first, names_of, shortened
from ..sources.layouts import Entry, Layout, find_layout, left_out
from ..sources.members import Members, list_members
from ..sources.splits import LAYOUTS
from ..sources.validation import has_truth, hold_out, labelled, parse_val, with_truth

HELD_OUT = 0.1  # share of each class's training images that is held out when there are no validation images
LARGEST, MOST = 256, 2048  # limits of the short side in pixels, by default and when a size is given
_SAMPLED = 200  # approximate number of images whose headers are read to find the usual size


@dataclass(frozen=True)
class BuildOptions:
    """The options of a store: which images of a source it holds, and in what form.

    Attributes
    ----------
    size : short side of the stored images in pixels, 1 to 2048; None for the median of the source, at most 256
    channels : 3 (RGB) or 1 (grey)
    classes : None for all; a number (the first of the sorted ids), ids with commas between, or a text file of
        ids, one on each line
    per_class : maximum number of images of each class, the first by name; None for all
    val : empty to use the validation images of the source; a share to hold out of the training images; or at most one
        folder or archive and at most one file with the classes of flat validation images
    seed : seed of the choice of held-out images
    layout : "splits" when folders such as train and val are splits, "classes" when they are classes like all others;
        None to detect it, with an error for folders that can be read both ways

    Raises
    ------
    DataError
        On construction, when a value is out of range.
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
    name : name of the data set
    class_ids, class_names : identifier and name of the class of each label; identifiers are sorted
    train, val : images in the order of their names
    short_side : short side of the stored images in pixels
    channels : 1 (grey) or 3 (RGB)
    notes : sentences for the user
    unused : name and reason of each file of the source that is not used
    pixels : estimated average number of pixels of a stored image
    key : SHA-256 in hexadecimal that changes with the sources and with every option that changes the store
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
    """Make the plan of a store for training; DataError when the source cannot be used.

    Parameters
    ----------
    source : folder or archive
    options : which images are stored, and how
    members : files of the source when they have been listed already, else None
    """
    members = list_members(source) if members is None else members
    layout = find_layout(members, source, options.layout)
    kind, train = training(layout, source)
    ids = choose(options.classes, sorted({entry.class_id for entry in train}))
    val, more = _validation(layout, kind, options, members, source)
    unused = layout.unused + left(layout, [kind], {entry.name for entry in val} if more is members else set())
    if more is not members:
        unused = unused + left_out(more, {entry.name for entry in val}, {})
    # The limit comes before images are held out, so it is for both parts together.
    train, val = first(_of_classes(train, ids), options.per_class), _of_classes(val, ids)
    seen = train
    notes: tuple[str, ...] = ()
    if not val:
        train, val, notes = _held_out(train, options, source)
    names = names_of(ids, {**more, **members}, source)
    if kind not in ("", "train"):
        notes += (f"{source} has no training images: training takes those in {layout.folders[kind]}",)
    notes += about_alike(ids) + about_classes(names, count(train, ids), count(val, ids))
    return _plan(source, options, (ids, names), (train, val), seen, notes, unused)


def make_evaluation_plan(
    source: Path, options: BuildOptions, split: str = "auto", members: Members | None = None
) -> Plan:
    """Make a plan of the images of a source to evaluate a model on, without training images.

    Parameters
    ----------
    source : folder or archive
    options : which images are stored, and how; of ``val`` only a file with the classes of images is used
    split : "train", "val", "test" or "all" of its splits; "auto" for the test images where there are some with classes,
        else the validation images, else the training images. Of a source without splits all images are taken
    members : files of the source when they have been listed already, else None

    Returns
    -------
    Plan whose ``val`` are all labelled images of the split, of one class or more, and whose ``train`` is empty

    Raises
    ------
    DataError
        When the source cannot be used or has no such split.
    """
    members = list_members(source) if members is None else members
    layout = find_layout(members, source, options.layout)
    truth_file = parse_val(options.val)[2]
    truth = truth_file is not None or has_truth(members, [source])
    layout = without_classes(layout, truth)
    chosen, notes = to_evaluate(layout, split, truth, source)
    entries: list[Entry] = []
    for kind in chosen:
        own = layout.splits[kind]
        flat = not own or not own[0].class_id
        told = truth_file is not None or (truth and kind != "test")  # what comes with ImageNet is about val
        if flat and not (own and told):
            raise DataError(f"expected a folder for each class in {source}, but got images that lie in no class folder")
        entries += with_truth(own, members, truth_file, [source]) if flat else own
    ids = choose(options.classes, sorted({entry.class_id for entry in entries}), 1)
    entries = first(_of_classes(sorted(entries, key=lambda entry: entry.name), ids), options.per_class)
    names = names_of(ids, members, source)
    notes += about_alike(ids) + about_classes(names, count(entries, ids))
    return _plan(source, options, (ids, names), ([], entries), entries, notes, layout.unused + left(layout, chosen))


def _validation(
    layout: Layout, kind: str, options: BuildOptions, members: Members, source: Path
) -> tuple[list[Entry], Members]:
    """Validation images with their classes (none when a share is to be held out), and the files they are among."""
    share, elsewhere, truth_file = parse_val(options.val)
    if share is not None:
        return [], members
    if elsewhere is not None:
        members = list_members(elsewhere)
    found = [] if elsewhere is not None else beside_training(layout, kind)
    # All classes, not only the chosen ones: validation images of the others are no error.
    classes = {entry.class_id for entry in layout.splits[kind] if entry.class_id}
    return labelled(found, members, classes, (source, elsewhere), truth_file), members


def _held_out(
    train: list[Entry], options: BuildOptions, source: Path
) -> tuple[list[Entry], list[Entry], tuple[str, ...]]:
    """Hold a share of the training images out, with the sentence that says so."""
    share = parse_val(options.val)[0] or HELD_OUT
    rest, held = hold_out(train, share, options.seed)
    if not held:
        raise DataError(
            f"expected at least two images of some class in {source} to hold one out for validation, but got one of "
            "each class; add images (20 of each class are a start), or name a folder of "
            "validation images with --val FOLDER"
        )
    sentence = (
        f"held {len(held):,} of the {len(train):,} training images out for validation; "
        f"their content decides, for {share:.0%} on average"
    )
    return rest, held, (sentence,)


def _plan(
    source: Path,
    options: BuildOptions,
    classes: tuple[tuple[str, ...], tuple[str, ...]],
    parts: tuple[list[Entry], list[Entry]],
    seen: list[Entry],
    notes: tuple[str, ...],
    unused: list[tuple[str, str]],
) -> Plan:
    """The plan with its size, from a sample of the images seen, and its key."""
    with decoding_quietly():
        sizes = _sample(seen)
    size = options.size or _usual_size(sizes)
    notes += about_unused(unused)
    fixed = (_name(source), *classes, *parts, size, options.channels, notes, shortened(unused))
    plan = Plan(*fixed, _pixels(sizes) * size**2)
    return replace(plan, key=_key(plan))


def _of_classes(entries: Iterable[Entry], ids: Iterable[str]) -> list[Entry]:
    wanted = set(ids)
    return [entry for entry in entries if entry.class_id in wanted]


def _name(source: Path) -> str:
    """The name of the folder or archive; never that of a data set by name."""
    name = without_ending(source.resolve().name) or "images"
    return f"{name}-images" if name in ("digits", *SOURCES) else name


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
    """Average number of pixels of an image whose short side is 1."""
    return float(np.minimum(sizes[:, 1] / sizes[:, 0], LONGEST).mean())


def _key(plan: Plan) -> str:
    """SHA-256 of the images (by name, size and time), their classes and the form in which they are stored."""
    about = (plan.name, plan.class_ids, plan.class_names, plan.short_side, plan.channels)
    digest = hashlib.sha256(repr(about).encode("utf-8", "surrogateescape"))  # names on Linux need not be UTF-8
    for part in (plan.train, plan.val):
        digest.update(b"part")  # so that the key depends on which part an image is in
        for e in part:
            row = (e.name, e.class_id, e.member.offset, e.member.size, e.member.modified)
            digest.update(repr(row).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
