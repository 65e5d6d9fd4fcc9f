"""The images that a command line names: files, folders, patterns, standard input, stores and archives."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import binnet_datasets
from binnet_datasets import BuildOptions, DataError, Loader, is_image
from binnet_datasets.evaluation import load_evaluation
from binnet_datasets.sources.archives import is_archive
from binnet_datasets.sources.classes import about_unused
from binnet_datasets.sources.file_names import is_system_name
from binnet_datasets.sources.layouts import left_out
from binnet_datasets.sources.members import SYSTEM, Member, Members, list_members
from binnet_datasets.store.plan import make_evaluation_plan
from binnet_datasets.subset import names_of

from ..engine.pixels import as_input
from ..engine.preprocessing import Prepared, read_for, view_of

Image = NDArray[Any]  # (1, H, W, C), float32 and normalised, or uint8 for a model that takes pixels


@dataclass(frozen=True)
class Picked:
    """An image that is read when it is needed.

    Attributes
    ----------
    name : str
        Name in the output.
    read : function that returns the image as the model takes it, (1, H, W, C); raises DataError
    """

    name: str
    read: Callable[[], Image]


class Picker:
    """Finds images for a model.

    Parameters
    ----------
    model
        Model whose ``info`` has the normalisation.
    note
        Called with sentences about files that are passed over.
    """

    def __init__(self, model: Prepared, note: Callable[[str], None]) -> None:
        self.model, self.info, self._note = model, model.info, note

    def of_paths(self, paths: Iterable[str]) -> Iterator[Picked]:
        """The images that are named one by one, lie in a folder or archive, or fit a pattern; "-" is standard input.

        Hidden files and those of the system are left out of folders and patterns. A file or folder in them that
        cannot be read is an image whose ``read`` raises the reason.

        Raises
        ------
        DataError
            When a folder holds no images, or no file fits a pattern.
        """
        for path in paths:
            if path == "-":
                yield Picked("standard input", lambda: self._decode(_standard_input(), "standard input"))
            elif Path(path).is_dir() or (is_archive(path) and Path(path).is_file()):
                yield from self._in_folder(Path(path))
            elif glob.has_magic(path) and not Path(path).exists():  # a file may be called "a[1].png"
                yield from self._fitting(path)
            else:
                yield Picked(path, partial(self._decode, path))

    def of_data(self, data: str, split: str, layout: str | None = None) -> tuple[int, Iterator[Picked]]:
        """The number of images that a store, folder or archive has in a split, and the images; raises DataError."""
        if binnet_datasets.is_store(data):
            return self._of_store(data, split)
        chosen = self._chosen(data, split, layout)
        return len(chosen), (self._of_member(name, member) for name, member in chosen)

    def _of_store(self, data: str, split: str) -> tuple[int, Iterator[Picked]]:
        test, model = load_evaluation(data, split).test, self.model
        if test.channels != model.in_channels:
            raise DataError(f"the model takes images of {model.in_channels} channels, but {data} has {test.channels}")
        mean, std = self.info.normalisation()
        view = view_of(self.info, test, model.image_size)
        batches = Loader(test, 1, mean=mean, std=std, view=view).epoch()
        # The loader neither shuffles nor leaves images out, so names and batches of one go together.
        named = zip(names_of(test.images), batches, strict=True)
        return len(test), (Picked(name, partial(np.asarray, image)) for name, (image, _) in named)

    def _chosen(self, data: str, split: str, layout: str | None) -> list[tuple[str, Member]]:
        """The images of a split; all there are where nothing says to which split or class they belong."""
        path = Path(data).expanduser()
        members, options = list_members(path), BuildOptions(self.info.preprocessing.stored_size, layout=layout)
        try:
            plan = make_evaluation_plan(path, options, split, members)
        except DataError:
            found = [(name, member) for name, member in members.items() if is_image(name)]
            if split != "auto" or layout or not found:
                raise
            self._note(f"predicting all {len(found):,} images of {data}")
            return found
        for note in plan.notes:
            self._note(note)
        return [(entry.name, entry.member) for entry in plan.val]

    def _in_folder(self, folder: Path) -> Iterator[Picked]:
        """The images in a folder and its subfolders, or in an archive, by name."""
        members = list_members(folder)
        failed = [Picked(f"{folder}/{name}", _failing(f"{folder}/{name}", reason)) for name, reason in _failed(members)]
        found = [(name, member) for name, member in members.items() if is_image(name)]
        if not found and not failed:
            among = about_unused(left_out(members, set(), {}))
            raise DataError(f"expected images in {folder}, but there are none{': ' * bool(among)}{'; '.join(among)}")
        # What fails as an image is not reported a second time as a file that is passed over.
        reported = {name for name, _ in _failed(members)}
        for note in about_unused(p for p in left_out(members, {n for n, _ in found}, {}) if p[0] not in reported):
            self._note(f"{folder}: {note}")
        images = [self._of_member(_path_of(folder, name, member), member) for name, member in found]
        yield from sorted(images + failed, key=lambda image: image.name)

    def _fitting(self, pattern: str) -> Iterator[Picked]:
        """The images that fit a pattern with ``*``, ``?`` and ``**``, and those in folders that do."""
        paths = [path for path in sorted(glob.glob(pattern, recursive=True)) if not is_system_name(Path(path).name)]
        folders = [path for path in paths if Path(path).is_dir()]
        # A folder may be called like an image.
        files = [path for path in paths if is_image(path) and not Path(path).is_dir()]
        if not files and not folders:
            raise DataError(f"expected images that fit {pattern}, but there are none")
        yield from (Picked(path, partial(self._decode, path)) for path in files)
        if "**" not in pattern:  # which lists what is in folders itself
            for folder in folders:
                yield from self._in_folder(Path(folder))

    def _of_member(self, name: str, member: Member) -> Picked:
        return Picked(name, lambda: self._decode(_content(name, member), name))

    def _decode(self, source: str | bytes, where: str | None = None) -> Image:
        return as_input(self.model, read_for(self.model, source, where=where)[None])


def _path_of(folder: Path, name: str, member: Member) -> str:
    """The path of a file in a folder as the system writes it; of one in an archive there, below the archive's."""
    inside = Path(member.path).parent != folder and not Path(member.path).is_relative_to(folder)
    return f"{folder}/{name}" if inside or is_archive_member(name, member) else member.path


def is_archive_member(name: str, member: Member) -> bool:
    """Tell whether a member is a part of another file."""
    return Path(member.path).suffix.casefold() != Path(name).suffix.casefold()  # a whole file ends as its name does


def _content(name: str, member: Member) -> bytes:
    try:
        return member.read()
    except OSError as error:
        raise DataError(f"expected an image at {name}, but reading it failed: {error.strerror or error}") from error


def _failed(members: Members) -> list[tuple[str, str]]:
    """Images, and folders with what may be images, that cannot be read."""
    unused = [(name, reason) for name, reason in members.unused if reason != SYSTEM]
    # A name without an ending may be a folder of images that could not be opened.
    return [(name, reason) for name, reason in unused if is_image(name) or "." not in name.rpartition("/")[2]]


def _failing(name: str, reason: str) -> Callable[[], Image]:
    def read() -> Image:
        raise DataError(f"expected images at {name}, but it cannot be used: {reason}")

    return read


def _standard_input() -> bytes:
    if sys.stdin is None:  # closed by the shell
        raise DataError("expected an image at standard input, but it is closed")
    return sys.stdin.buffer.read()
