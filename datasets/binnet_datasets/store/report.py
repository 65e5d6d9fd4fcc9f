"""The report of a build: the contents of the store that it wrote, or found in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .reading import read_store, what_is_wrong
from .twins import about_twins


@dataclass(frozen=True)
class Report:
    """The result of `build_store`.

    Attributes
    ----------
    path : the store
    train, val : numbers of training and validation images
    corrupt : name and reason of each image that could not be decoded and was omitted
    fresh : False when a store of the same images and options existed already
    notes : sentences about the images, for the user
    """

    path: Path
    train: int
    val: int
    corrupt: tuple[tuple[str, str], ...]
    fresh: bool
    notes: tuple[str, ...] = ()


def report_of(out: Path, key: str, fresh: bool = False) -> Report:
    """The report on the store at ``out``; DataError unless it is a store with this key."""
    wrong = what_is_wrong(out) if out.is_file() else "is no image store"
    if wrong:
        what = "a folder" if out.is_dir() else f"something that {wrong}"
        raise DataError(f"expected to write an image store to {out}, but there is {what}")
    store = read_store(out)
    if store.description.get("key") != key:
        raise DataError(f"{out} is a store of other images or options already; delete it, or choose another name")
    corrupt = tuple((str(name), str(reason)) for name, reason in store.description["corrupt"])
    return Report(
        out, len(store.dataset.train), len(store.dataset.test), corrupt, fresh, about_twins(store.description)
    )


def found_at(out: Path, key: str, rebuild: bool) -> Report | str:
    """The report on an existing store, or, with ``rebuild``, the reason why it has to be built again."""
    try:
        return report_of(out, key)
    except DataError as error:
        if rebuild and out.is_file():
            return str(error)
        raise
