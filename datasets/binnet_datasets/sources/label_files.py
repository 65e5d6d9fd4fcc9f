"""The text files that come with ImageNet: names of classes, and classes of validation images."""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..errors import DataError
from .file_names import ENDINGS
from .tars import Member

NAME_FILES = ("words.txt", "LOC_synset_mapping.txt", "synset_words.txt")
TRUTH_FILES = ("val_annotations.txt", "LOC_val_solution.csv", "ILSVRC2012_validation_ground_truth.txt")


def find(members: Mapping[str, Member], names: Sequence[str]) -> str | None:
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
    """Read a text file in any of the codes of `decoded`; raises DataError."""
    try:
        return decoded(member.read())
    except OSError as error:
        raise DataError(f"expected a text file at {member.path}, but reading it failed: {error}") from error


def decoded(content: bytes) -> str:
    """Text in UTF-8, in UTF-16 with a byte order mark, else in Latin-1."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # the mark of Windows editors
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # accepts any bytes: a wrong accent in a name does not stop a build


def names_most(ids: Sequence[str], text: str) -> bool:
    """Tell whether a file of names has a line for more than half of these classes."""
    # More than half: a words.txt that lies beside the source may belong to another data set.
    there = {_named(line)[0] for line in text.splitlines() if line.strip()}
    return 2 * sum(i in there for i in ids) > len(ids)


def _named(line: str) -> list[str]:
    """An id and the names after it, separated by a tab or, in a line without tabs, by spaces."""
    return [part.strip() for part in line.split("\t" if "\t" in line else None, 1)]


def class_names(ids: Sequence[str], text: str) -> tuple[str, ...]:
    """Name classes from lines of an id and its synonyms ("n01443537<tab>goldfish, Carassius auratus").

    The first synonym is the name; classes that would share a name (ImageNet has two cranes) get all of their synonyms,
    and their id too when that is not enough. An id without a line is its own name.
    """
    lines = (_named(line) for line in text.splitlines())
    wanted = set(ids)  # Tiny-ImageNet's words.txt has a line for every noun of WordNet
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
    """The class of each validation image, from a file of classes.

    Parameters
    ----------
    name : name of the file, for messages
    text : lines of one of these kinds: ``val_0.JPEG<tab>n02226429 ...`` (Tiny-ImageNet), ``ImageId,PredictionString``
        (a CSV file whose second column begins with the class), or one number a line (ILSVRC's development kit)
    images : names of the images
    meta : returns the ``meta.mat`` of the development kit, which maps numbers to classes, or None

    Returns
    -------
    class id by image name

    Raises
    ------
    DataError
        When the file is none of these, or does not fit the images.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"expected the classes of validation images in {name}, but it is empty")
    # Numbers alone are ILSVRC's development kit; both tables have two columns.
    if all(line.strip().isdecimal() for line in lines):
        return _numbered(name, [int(line) for line in lines], images, meta())
    # A header such as "ImageId,PredictionString" stays in: it matches no image.
    rows = [row for line in lines if len(row := _row(line)) > 1 and row[1].strip()]
    return _matched(name, [(row[0].strip(), _class_in(row[1])) for row in rows], images)


def _row(line: str) -> list[str]:
    """An image's name and its class: with a tab or comma between, else with spaces after an ending such as ".jpg"."""
    for separator in ("\t", ","):
        if separator in line:
            return next(csv.reader([line], delimiter=separator))  # a name in quotes may hold the separator
    # The last ending counts, because a name may hold spaces and dots.
    ends = [m.end() for m in re.finditer(r"\.\w+(?=\s)", line) if m[0].lower() in ENDINGS]
    return [line[: ends[-1]].strip(), line[ends[-1] :].strip()] if ends else line.split(None, 1)


def _class_in(text: str) -> str:
    """The class in a column: in the tables of ImageNet a box follows it, or several of class and box."""
    # Four numbers after the class are a box. Otherwise the whole text is the class, whose name may hold spaces.
    words = text.split()
    return words[0] if len(words) > 4 and all(re.fullmatch(r"-?[\d.]+", word) for word in words[1:5]) else text.strip()


def _matched(name: str, rows: Sequence[tuple[str, str]], images: Sequence[str]) -> dict[str, str]:
    """Class of each image, found by its path, the end of the path, or the file's name with or without its ending.

    A line that names a path fits no other path. Several lines with one name must have the same class.
    """
    table: dict[str, set[str]] = {}
    for key, class_id in rows:
        table.setdefault(_plain(key), set()).add(class_id)
    found = {}
    for image in images:
        classes = next((table[key] for key in _keys(image) if key in table), None)
        if classes is None:
            raise DataError(f"expected the class of every validation image in {name}, but {image} is not in it")
        if len(classes) > 1:
            raise DataError(
                f"expected one class for {image} in {name}, but got {' and '.join(sorted(classes))}; "
                "give each image with the folders it is in"
            )
        found[image] = next(iter(classes))
    _check_distinct(name, table, images)
    return found


def _keys(image: str) -> Iterator[str]:
    """The names that a line may have for an image, the longest first."""
    plain = _plain(image)
    parts = plain.split("/")
    # A line with folders takes precedence: files of the same name may be in several.
    for names in (parts, [*parts[:-1], PurePosixPath(parts[-1]).stem]):
        yield from ("/".join(names[n:]) for n in range(len(parts)))


def _plain(name: str) -> str:
    # Names of images are in composed form with "/"; a list from macOS or Windows may differ in both.
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    return name.removeprefix("./").lstrip("/")


def _check_distinct(name: str, table: Mapping[str, set[str]], images: Sequence[str]) -> None:
    """Raise DataError when a line without folders fits two images that differ in their folders or endings."""
    seen: dict[str, str] = {}
    for image in images:
        key = next(key for key in _keys(image) if key in table)
        if key in seen:
            raise DataError(
                f"expected a line for each of {seen[key]} and {image} in {name}, but {key!r} fits both; "
                "give each image with the folders it is in and its ending"
            )
        seen[key] = image


def _numbered(name: str, numbers: list[int], images: Sequence[str], meta: Member | None) -> dict[str, str]:
    """Class of each image from one number per line, in the order of the images' names."""
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
    # ILSVRC2012_val_00000001.JPEG and so on, in any folders.
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
