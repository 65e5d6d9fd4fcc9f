"""What is in the store that a build has made, or has found at its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .reading import read_store, what_is_wrong
from .twins import about_twins


@dataclass(frozen=True)
class Report:
    """What `build_store` has done.

    Attributes
    ----------
    path : the store
    train, val : images in it
    corrupt : names and reasons of those that could not be decoded and were left out
    fresh : False when the store was there already, of the same images and options
    notes : sentences about the images that a person should read
    """

    path: Path
    train: int
    val: int
    corrupt: tuple[tuple[str, str], ...]
    fresh: bool
    notes: tuple[str, ...] = ()


def report_of(out: Path, key: str, fresh: bool = False) -> Report:
    """What is in the store at ``out``; DataError unless it is one of this key."""
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
    """What is in the store that is there already, or why it is to be built again."""
    try:
        return report_of(out, key)
    except DataError as error:
        if rebuild and out.is_file():
            return str(error)
        raise
