"""Detection of the training, validation and test images of a folder or archive, and of their classes.

A source is a folder of class folders, or has splits such as ``train`` and ``val`` with class folders each, like
ImageNet and Tiny-ImageNet. Everything below a class folder belongs to the class, at any depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ..errors import DataError
from . import label_files
from .file_names import ENDINGS, is_image
from .members import OURS, SYSTEM, Member, Members, is_below
from .splits import Tree, find_splits, last, same_name

_CONVERT = {  # images all the same
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC, which cannot be read: convert it to JPEG"),
    **dict.fromkeys((".jxl",), "JPEG XL, which cannot be read: convert it to JPEG"),
    **dict.fromkeys((".svg", ".psd", ".eps", ".ico", ".tga"), "an image of a kind that is not read: convert it to PNG"),
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw"),
        "a camera's raw file, which cannot be read: convert it to JPEG",
    ),
}
_STRAY = "an image that lies in no class folder"
_OTHER = "no image"
_NO_CLASS = {"", "runs"}  # where trainings go: empty once they are deleted
_LABELS = (*label_files.NAME_FILES, *label_files.TRUTH_FILES, "meta.mat", "wnids.txt")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image: its name below the source, the place of its bytes, and its class id ("" while unknown)."""

    name: str
    member: Member
    class_id: str


@dataclass(frozen=True)
class Layout:
    """The splits of a source.

    Attributes
    ----------
    splits : images of "train", "val" and "test", or all of them under "" when there are no splits; of a split without
        class folders the classes are unknown
    folders : the folder of each split
    unused : name and reason of each file that is in no split
    """

    splits: dict[str, list[Entry]]
    folders: dict[str, str]
    unused: list[tuple[str, str]]


def find_layout(members: Members, where: object, layout: str | None = None) -> Layout:
    """Find the images of each split among the files of a source.

    Parameters
    ----------
    members : the files
    where : what messages call the source
    layout : see `find_splits`

    Raises
    ------
    DataError
        When there are no images, folders can be read in two ways, or a class folder holds no image that can be read.
    """
    images = images_of(members, where, "images")
    tree = Tree(images)
    folders = find_splits(tree, where, layout)
    splits = {kind: _entries(images, tree, folder) for kind, folder in folders.items()}
    used = {entry.name for own in splits.values() for entry in own}
    unused = left_out(members, used, folders)
    # An empty class folder would silently train a network without that class. Either all images of a split have a class
    # or none has, so the first one tells.
    for kind in ("", "train"):
        if kind in folders and splits[kind] and splits[kind][0].class_id:
            _check_empty(members, unused, {e.name for e in splits[kind]}, tree.descend(folders[kind]), where)
    return Layout(splits, folders, unused)


def left_out(members: Members, used: set[str], folders: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name and reason of each file that is neither used nor a file of labels; ``folders`` are those of the splits."""
    others = (name for name in members if name not in used and last(name) not in _LABELS)
    return members.unused + [(name, _reason(name, folders)) for name in others]


def images_of(members: Members, where: object, what: str) -> dict[str, Member]:
    """The files that are images; raises DataError without any, with what there is instead."""
    images = {name: member for name, member in members.items() if is_image(name)}
    if images:
        return images
    instead = members.unused + [(name, why) for name in members if (why := _reason(name, {})) != _OTHER]
    instead = [pair for pair in instead if pair[1] != SYSTEM]
    hint = f" ({instead[0][0]}: {instead[0][1]})" if instead else ""
    raise DataError(
        f"expected {what} ({' '.join(ENDINGS)}) in {where}, but there are none among {len(members)} files{hint}"
    )


def _reason(name: str, folders: Mapping[str, str]) -> str:
    """The reason why a file is in no split."""
    ending = PurePosixPath(name).suffix.lower()
    if not is_image(name):
        return _CONVERT.get(ending, _OTHER)
    if set(folders) - {""} and not is_below(name, folders.values()):
        return f"it lies beside the {'folder' if len(folders) == 1 else 'folders'} {' and '.join(folders.values())}"
    return _STRAY


def _entries(images: Mapping[str, Member], tree: Tree, folder: str) -> list[Entry]:
    """Images of a split with the class folders they are in, or all of them without classes when there are none."""
    top = tree.descend(folder)
    own = {name: below for name in images if (below := _below(name, top)) is not None}
    if not tree.children(top):
        return [Entry(name, images[name], "") for name in own] if top else []  # images at the very top are in no split
    return [Entry(name, images[name], below.partition("/")[0]) for name, below in own.items() if "/" in below]


def _below(name: str, top: str) -> str | None:
    """Return the name below a folder, or None when it is not there."""
    if not top:
        return name
    return name[len(top) + 1 :] if name.startswith(top + "/") else None


def _check_empty(members: Members, unused: Iterable[tuple[str, str]], used: set[str], top: str, where: object) -> None:
    """Raise DataError when a class folder holds nothing at all, or images of which none can be used."""
    quiet = (_OTHER, OURS, SYSTEM)
    lost = {found: (name, why) for name, why in unused if (found := _class_of(name, top)) and why not in quiet}
    filled = {_class_of(name, top) for name in members} | {_class_of(name, top) for name, why in unused if why == OURS}
    inside = {_class_of(folder + "/", top) for folder in members.folders}
    bad = sorted((set(lost) | (inside - filled)) - {_class_of(name, top) for name in used} - _NO_CLASS)
    if bad:
        name, why = lost.get(bad[0], ("", ""))
        what = f"none ({name}: {why})" if name else "none; delete the folder or put images into it"
        raise DataError(f"expected images that can be read in the class folder {bad[0]!r} of {where}, but got {what}")


def _class_of(name: str, top: str) -> str:
    """The class folder that a file is in; "" for none."""
    below = _below(name, top)
    return below.partition("/")[0] if below and "/" in below else ""


def match_classes(entries: list[Entry], classes: Iterable[str], where: object) -> list[Entry] | None:
    """Give validation images the ids of the training classes, whatever the case and Unicode form of their folders.

    Returns
    -------
    the images; None when no folder has the name of a class

    Raises
    ------
    DataError
        When some folders have the name of a class and others have not.
    """
    known = set(classes)
    alike: dict[str, list[str]] = {}
    for class_id in sorted(known):
        alike.setdefault(same_name(class_id), []).append(class_id)
    named = {entry.class_id for entry in entries}
    # An exact name takes precedence: on Linux "Cat" and "cat" may be two classes.
    found = {name: [name] if name in known else alike.get(same_name(name), []) for name in named}
    if not any(found.values()):
        return None
    for name in sorted(named):
        if len(found[name]) > 1:
            raise DataError(
                f"expected a class for the folder {name!r} of {where}, but {' and '.join(found[name])} both fit"
            )
    check_known({name for name in named if not found[name]}, known)
    return [replace(entry, class_id=found[entry.class_id][0]) for entry in entries]


def find_val(members: Members, classes: Iterable[str], where: object) -> list[Entry]:
    """Find the images of a source that holds nothing but validation images; raises DataError without any."""
    images = images_of(members, where, "validation images")
    tree, known = Tree(images), {same_name(name) for name in classes}
    if known & {same_name(last(folder)) for folder in tree.children("")}:
        entries = _entries(images, tree, "")  # class folders, one or more
    else:
        folders = find_splits(tree, where, None)
        # What --val names may be a whole data set, of which only these images are wanted.
        kind = next(kind for kind in ("val", "test", "train", "") if kind in folders)
        entries = _entries(images, tree, folders[kind])
    entries = entries or [Entry(name, member, "") for name, member in images.items()]
    return match_classes(entries, classes, where) or [replace(entry, class_id="") for entry in entries]


def check_known(unknown: set[str], classes: set[str]) -> None:
    """Raise DataError when validation images are of a class without training images."""
    if unknown - classes:
        raise DataError(
            f"expected validation images of {len(classes)} training classes, but got a class {min(unknown - classes)!r}"
        )
