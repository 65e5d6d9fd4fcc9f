"""Labels from a CSV file of image names and classes, instead of class folders."""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import Path

from binnet_datasets import DataError, is_image
from binnet_datasets.sources.members import Members, list_members

# Accepted names of the columns; the first column of the table that matches counts.
_IMAGE = ("image", "file", "filename", "file_name", "path", "name", "image_id", "imageid")
_CLASS = ("class", "label", "category", "class_name", "target")


def labelled_members(data: str | Path, table: str | Path) -> tuple[Members, list[str]]:
    """The images of a folder or archive, renamed as if each lay in a folder of its class, and notes for the user.

    Parameters
    ----------
    data
        Folder or archive.
    table
        CSV file (comma, semicolon or tab; UTF-8) with image names and classes. A name is the path below ``data``, or
        the file's name alone where that is unique. A first row may name the columns.

    Raises
    ------
    DataError
        When ``data`` or ``table`` cannot be read, an image has two classes, or no row names an image.
    """
    members, rows = list_members(Path(data)), _rows(Path(table))
    images = {name: member for name, member in members.items() if is_image(name)}
    short: dict[str, list[str]] = {}
    for name in images:
        short.setdefault(name.rpartition("/")[2], []).append(name)
    classes: dict[str, str] = {}
    unknown = 0
    for given, label in rows:
        name = given if given in images else next(iter(short.get(given, [])), "")
        if not name:
            unknown += 1
            continue
        if name != given and len(short[given]) > 1:
            raise DataError(f"{table} names {given}, but {data} holds {len(short[given])} images of this name")
        if classes.setdefault(name, label) != label:
            raise DataError(f"{table} gives {name} two classes, {classes[name]} and {label}")
    if not classes:
        raise DataError(f"expected names of images in {data} in {table}, but none of its {len(rows)} rows has one")
    # Class folders are what the rest of the package reads, so a table needs no other code there.
    found = Members()
    for name in sorted(classes):
        found[f"{classes[name]}/{name}"] = images[name]
    return found, _notes(data, table, unknown, len(images) - len(classes))


def _notes(data: object, table: object, unknown: int, without: int) -> list[str]:
    """Sentences about the rows without an image, and the images without a row."""
    said = []
    if unknown:
        said.append(f"left out {unknown:,} of the rows of {table}: they name no image in {data}")
    if without:
        said.append(f"left out {without:,} of the images in {data}: {table} does not name them")
    return said


def _rows(path: Path) -> list[tuple[str, str]]:
    """The image name and the class in each row of a table; DataError when the table is malformed."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # spreadsheets put a byte order mark in front
    except OSError as error:
        raise DataError(f"expected a table of labels at {path}, but reading it failed: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"expected a table of labels in UTF-8 at {path}, but it is not: {error}") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]
    image, label, named = _columns(rows[0] if rows else [])
    found = []
    for row in rows[named:]:
        if len(row) <= max(image, label) or not row[image].strip() or not row[label].strip():
            raise DataError(f"expected an image and a class in each row of {path}, but got {delimiter.join(row)!r}")
        # The class becomes a folder's name; one spelling can have several Unicode forms.
        if "/" in (name := unicodedata.normalize("NFC", row[label].strip())):
            raise DataError(f"expected classes without a slash in {path}, but got {name!r}")
        found.append((_below(row[image]), name))
    if not found:
        raise DataError(f"expected rows of an image and its class in {path}, but there are none")
    return found


def _columns(first: list[str]) -> tuple[int, int, bool]:
    """The columns of image and class, and whether the first row names them."""
    heads = [cell.strip().casefold() for cell in first]
    image = next((i for i, head in enumerate(heads) if head in _IMAGE), None)
    label = next((i for i, head in enumerate(heads) if head in _CLASS), None)
    if image is None or label is None:
        # Unknown headings count as headings unless the first cell is the name of an image.
        return 0, 1, bool(heads) and not is_image(heads[0])
    return image, label, True


def _below(name: str) -> str:
    """A file's name in the form of `list_members`: slashes, Unicode NFC, no leading "./"."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/").removeprefix("./"))
