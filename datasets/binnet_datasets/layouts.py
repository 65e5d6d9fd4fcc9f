"""Which files of a folder or tar are training and validation images, and of which class.

A folder of class folders, or ``train`` and ``val`` with class folders each, as ImageNet, Tiny-ImageNet and most others
have it. Everything below a class folder belongs to the class, whatever the folders in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import DataError
from .members import Member, Members

ENDINGS = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".webp")
_TRAIN, _VAL, _TEST = (
    re.compile(rf"(^|[-_. ])({words})$", re.IGNORECASE)
    for words in ("train|training", "val|valid|validation", "test|testing")
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An image: its name below the source, where its bytes are, and its class id ("" while unknown)."""

    name: str
    member: Member
    class_id: str


@dataclass(frozen=True)
class Layout:
    """What was found.

    Attributes
    ----------
    train : images with their classes
    val : images with their classes, or without any (in one flat folder), or none
    stray : how many images lie in no class folder
    """

    train: list[Entry]
    val: list[Entry]
    stray: int


def is_image(name: str) -> bool:
    """Tell from the ending whether a file is an image that can be read."""
    return name.lower().endswith(ENDINGS)


def find_layout(members: Members, where: object) -> Layout:
    """Find training and validation images among the files of a source.

    Raises
    ------
    DataError
        When there are no images, or no two class folders.
    """
    images = {name: member for name, member in members.items() if is_image(name)}
    if not images:
        raise DataError(
            f"expected images ({' '.join(ENDINGS)}) in {where}, but there are none among {len(members)} files"
        )
    folders = _folders(images)
    top = _named(folders, _TRAIN)
    if top is None:
        top = _descend(folders, images)
    train, stray = _by_class(images, top)
    classes = {entry.class_id for entry in train}
    if len(classes) < 2:
        got = f"only {classes.pop()!r}" if classes else "images that lie in no class folder"
        raise DataError(f"expected a folder for each class, at least two, in {where}, but got {got}")
    return Layout(train, _find_val(images, folders, top, classes), stray)


def find_val(members: Members, classes: Iterable[str], where: object) -> list[Entry]:
    """Find the images of a source that holds nothing but validation images; raises DataError without any."""
    images = {name: member for name, member in members.items() if is_image(name)}
    if not images:
        raise DataError(f"expected validation images in {where}, but there are none among {len(members)} files")
    folders = _folders(images)
    top = _named(folders, _VAL)
    return _val_entries(images, _descend(folders, images) if top is None else top, set(classes))


def _folders(images: Iterable[str]) -> set[str]:
    """Every folder that holds images at any depth, "" for the top."""
    parents = {name.rpartition("/")[0] for name in images}
    return {"/".join(parts[:n]) for parts in (p.split("/") for p in parents) for n in range(len(parts) + 1)}


def _named(folders: set[str], pattern: re.Pattern[str], beside: str | None = None) -> str | None:
    """Return the shallowest folder of this name; None without any."""
    found = [f for f in folders if f and pattern.search(f.rsplit("/", 1)[-1])]
    if pattern is _TRAIN:  # with folders in it: "train" may be a class, like "bus"
        parents = {f.rpartition("/")[0] for f in folders if f}
        found = [f for f in found if f in parents]
    if beside is not None:
        found = [f for f in found if f.rpartition("/")[0] == beside]
    return min(found, key=lambda f: (f.count("/"), f), default=None)


def _descend(folders: set[str], images: Members) -> str:
    """Go down while there is one folder and nothing but folders in it: archives often wrap all in one."""
    top, direct = "", {name.rpartition("/")[0] for name in images}
    while True:
        inside = [f for f in folders if f and f.rpartition("/")[0] == top]
        if top in direct or len(inside) != 1 or inside[0] in direct:
            return top
        top = inside[0]


def _below(name: str, top: str) -> str | None:
    """Return the name below a folder, or None when it is not there."""
    if not top:
        return name
    return name[len(top) + 1 :] if name.startswith(top + "/") else None


def _by_class(images: Members, top: str) -> tuple[list[Entry], int]:
    """Images below a folder by the class folder they are in, and how many are in none."""
    found, stray = [], 0
    for name, member in images.items():
        below = _below(name, top)
        if below is not None:
            class_id, slash, _ = below.partition("/")
            if slash:
                found.append(Entry(name, member, class_id))
            else:
                stray += 1
    return found, stray


def _find_val(images: Members, folders: set[str], train: str, classes: set[str]) -> list[Entry]:
    """Images of the folder beside the training folder; one named test counts when it has the same class folders."""
    if not _TRAIN.search(train.rsplit("/", 1)[-1]):
        return []
    beside = train.rpartition("/")[0]
    val = _named(folders, _VAL, beside)
    if val is not None:
        return _val_entries(images, val, classes)
    test = _named(folders, _TEST, beside)
    entries = [] if test is None else _val_entries(images, test, classes)
    return entries if all(entry.class_id for entry in entries) else []


def _val_entries(images: Members, top: str, classes: set[str]) -> list[Entry]:
    """Images of class folders, or all without a class when no folder has the name of one."""
    found, _ = _by_class(images, top)
    named = {entry.class_id for entry in found}
    if not named & classes:
        below = ((name, member) for name, member in images.items() if _below(name, top) is not None)
        return [Entry(name, member, "") for name, member in below]
    check_known(named, classes)
    return found


def check_known(named: set[str], classes: set[str]) -> None:
    """Raise DataError when validation images are of a class without training images."""
    if named - classes:
        unknown = min(named - classes)
        raise DataError(f"expected validation images of {len(classes)} training classes, but got a class {unknown!r}")
