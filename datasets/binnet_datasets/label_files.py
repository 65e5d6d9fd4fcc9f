"""The text files that come with ImageNet: names of classes, and classes of validation images."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from .errors import DataError
from .members import Member, Members

NAME_FILES = ("words.txt", "LOC_synset_mapping.txt", "synset_words.txt")
TRUTH_FILES = ("val_annotations.txt", "LOC_val_solution.csv", "ILSVRC2012_validation_ground_truth.txt")


def find(members: Members, names: Sequence[str]) -> str | None:
    """Return the member with one of these file names, the shallowest and of those the first; None without any."""
    found = [name for name in members if name.rsplit("/", 1)[-1] in names]
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def beside(path: Path, names: Sequence[str]) -> Member | None:
    """Return the first of these files that lies in the same folder as ``path``; None without any."""
    for file in (path.absolute().parent / name for name in names):
        if file.is_file():
            return whole_file(file)
    return None


def whole_file(path: Path) -> Member:
    """A file as a member; raises DataError when it is not there."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"expected a file at {path}, but looking for it failed: {error.strerror}") from error
    return Member(str(path), 0, status.st_size, status.st_mtime_ns)


def read_text(member: Member) -> str:
    """Read a text file; raises DataError."""
    try:
        return member.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected a text file at {member.path}, but reading it failed: {error}") from error


def class_names(ids: Sequence[str], text: str) -> tuple[str, ...]:
    """Name classes from lines of an id and its synonyms ("n01443537<tab>goldfish, Carassius auratus").

    The first synonym is the name; classes that would share a name (ImageNet has two cranes) get all of their synonyms,
    and their id too when that is not enough. An id without a line is its own name.
    """
    lines = (line.split(None, 1) for line in text.splitlines())
    wanted = set(ids)
    synonyms = {pair[0]: pair[1].strip() for pair in lines if len(pair) == 2 and pair[0] in wanted}
    long = [synonyms.get(i, i) for i in ids]
    with_ids = [f"{name} ({i})" for name, i in zip(long, ids, strict=True)]
    return _distinct(_distinct([name.split(",")[0] for name in long], long), with_ids)


def _distinct(names: Sequence[str], longer: Sequence[str]) -> tuple[str, ...]:
    """Replace the names that occur more than once by longer ones."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return tuple(long if counts[name] > 1 else name for name, long in zip(names, longer, strict=True))


def truth(name: str, text: str, images: Sequence[str], meta: Callable[[], Member | None]) -> dict[str, str]:
    """Say which class each validation image has.

    Parameters
    ----------
    name : of the file, for messages
    text : lines of one of these kinds: ``val_0.JPEG<tab>n02226429 ...`` (Tiny-ImageNet), ``ImageId,PredictionString``
        (a CSV file whose second column begins with the class), or one number a line (ILSVRC's development kit)
    images : names of the images
    meta : gives the ``meta.mat`` of the development kit, which says what the numbers mean

    Returns
    -------
    class id by image name

    Raises
    ------
    DataError
        When the file is none of these, or does not fit the images.
    """
    import csv

    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"expected the classes of validation images in {name}, but it is empty")
    if all(line.strip().isdecimal() for line in lines):
        return _numbered(name, [int(line) for line in lines], images, meta())
    rows = list(csv.reader(io.StringIO(text))) if lines[0].startswith("ImageId,") else [line.split() for line in lines]
    classes = {PurePosixPath(row[0]).stem: row[1].split()[0] for row in rows if len(row) > 1 and row[1].strip()}
    missing = [image for image in images if PurePosixPath(image).stem not in classes]
    if missing:
        raise DataError(f"expected the class of every validation image in {name}, but {missing[0]} is not in it")
    return {image: classes[PurePosixPath(image).stem] for image in images}


def _numbered(name: str, numbers: list[int], images: Sequence[str], meta: Member | None) -> dict[str, str]:
    """One number a line, in the order of the images' names."""
    if len(numbers) != len(images):
        raise DataError(f"expected {len(images)} numbers in {name}, one for each image, but got {len(numbers)}")
    if meta is None:
        raise DataError(
            f"expected meta.mat of the development kit beside {name}, which numbers the classes, but it is not there "
            "(LOC_val_solution.csv needs no other file)"
        )
    ids = _read_meta(meta)
    unknown = [number for number in numbers if number not in ids]
    if unknown:
        raise DataError(f"expected numbers of meta.mat in {name}, but got {unknown[0]}")
    in_order = sorted(images, key=lambda image: PurePosixPath(image).name)
    return {image: ids[number] for image, number in zip(in_order, numbers, strict=True)}


def _read_meta(member: Member) -> dict[int, str]:
    """Class id by number from the table ``synsets`` of meta.mat."""
    from scipy.io import loadmat

    try:
        synsets = loadmat(io.BytesIO(member.read()), squeeze_me=True, variable_names=["synsets"])["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets}
    except Exception as error:  # a damaged file makes the reader raise anything
        raise DataError(f"expected the table of synsets in {member.path}, but reading it failed: {error}") from error
