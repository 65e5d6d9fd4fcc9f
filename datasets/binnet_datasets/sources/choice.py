"""The choice of a source's splits for training, validation and evaluation."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import DataError
from .layouts import Entry, Layout

SPLITS = ("auto", "train", "val", "test", "all")


def training(layout: Layout, source: Path) -> tuple[str, list[Entry]]:
    """Return the split for training and its images; DataError unless these have at least two classes."""
    kind = "train" if "train" in layout.splits else ""
    if kind not in layout.splits:
        folders = [layout.folders[kind] for kind in layout.splits]
        if len(folders) > 1:
            raise DataError(
                f"expected training images in {source}, but {' and '.join(folders)} are named as other splits: give "
                "one of them as the source, or take each as a class with --layout classes"
            )
        kind = next(iter(layout.splits))
    train = [entry for entry in layout.splits[kind] if entry.class_id]
    classes = {entry.class_id for entry in train}
    if len(classes) < 2:
        got = f"only {classes.pop()!r}" if classes else "images that lie in no class folder"
        hint = "; --layout classes takes the folders of the splits as classes" if len(layout.splits) > 1 else ""
        raise DataError(f"expected a folder for each class, at least two, in {source}, but got {got}{hint}")
    return kind, train


def beside_training(layout: Layout, kind: str) -> list[Entry]:
    """Return the validation images of a source, else its test images when these have classes."""
    # Without a training split, the images are trained on whatever their folder is called.
    if kind != "train":
        return []
    val, test = layout.splits.get("val", []), layout.splits.get("test", [])
    return val or (test if test and test[0].class_id else [])


def left(layout: Layout, used: Sequence[str], taken: Container[str] = ()) -> list[tuple[str, str]]:
    """Return name and reason of each image of the other splits that was not taken."""
    others = [kind for kind in layout.splits if kind not in used]
    return [
        (e.name, f"an image of another split, {k}") for k in others for e in layout.splits[k] if e.name not in taken
    ]


def without_classes(layout: Layout, truth: bool) -> Layout:
    """The layout with the class ids removed from folders of validation and test images that are not classes.

    Tiny-ImageNet's ``val/images`` and ``test/images`` are not classes: the only folder of the split has a name that no
    training class has. With ``truth`` (a file states the class of each validation image), the same holds for several
    such folders of validation images.
    """
    known = {entry.class_id for entry in layout.splits.get("train", [])}
    splits = dict(layout.splits)
    for kind in ("val", "test"):
        named = {entry.class_id for entry in splits.get(kind, [])}
        told = truth and kind == "val"
        if named.isdisjoint(known) and (known or told) and (len(named) == 1 or (told and known)):
            splits[kind] = [replace(entry, class_id="") for entry in splits[kind]]
    return replace(layout, splits=splits)


def to_evaluate(layout: Layout, split: str, truth: bool, source: Path) -> tuple[list[str], tuple[str, ...]]:
    """Choose the splits to evaluate.

    Parameters
    ----------
    layout : the splits of the source
    split : one of `SPLITS`
    truth : whether a file states the classes of the images in a flat validation folder
    source : folder or archive, for messages

    Returns
    -------
    the splits, and sentences for the user

    Raises
    ------
    DataError
        When there is no such split.
    """
    if split not in SPLITS:
        raise DataError(f"expected split {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, but got {split!r}")
    # Images that were not trained on come first, so that "auto" prefers them.
    there: list[str] = [kind for kind in ("test", "val", "train", "") if kind in layout.splits]
    with_classes = {kind for kind in there if layout.splits[kind] and layout.splits[kind][0].class_id}
    known = [kind for kind in there if kind in with_classes or (kind == "val" and truth)]
    if split not in ("auto", "all"):
        if split not in there:
            got = ", ".join(kind or "class folders alone" for kind in there)
            raise DataError(f"expected a split named {split} in {source}, but got {got}")
        return [split], ()
    if split == "all" or not known:
        return known or there, ()
    kind = known[0]
    others = [other for other in there if other != kind]
    about = f"evaluating the {kind} images in {source / layout.folders[kind]}"
    return [kind], (f"{about}; --split {' or '.join([*others, 'all'])} takes others",) if others else ()
