"""Contact sheets: one picture with sample images of each class, for checking the labels by eye."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .dataset import Dataset, Split
from .errors import DataError
from .files import replacing, why
from .images.decoding import to_short_side
from .images.windows import corners, cut, resized_to

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

CLASSES = 40  # the most rows of a sheet; of more classes an evenly spaced choice is shown
TRAIN, VAL = 8, 4  # images in a row
_CELL, _GAP, _TEXT = 96, 4, 220  # pixels


def contact_sheet(dataset: Dataset, path: str | Path) -> None:
    """Draw one row for each class: its name, 8 training images and, after a gap, 4 test images.

    The centre of each image is drawn at 96 x 96 pixels. The choice is evenly spaced, hence the same at every call.

    Parameters
    ----------
    dataset : data set with images of any size
    path : PNG file to write

    Raises
    ------
    DataError
        When the file cannot be written.
    """
    from PIL import Image, ImageDraw

    count = dataset.num_classes
    labels = sorted({int(i) for i in np.linspace(0, count - 1, min(count, CLASSES)).round()})
    width = _TEXT + (TRAIN + VAL) * (_CELL + _GAP) + 4 * _GAP
    sheet = Image.new("RGB", (width, len(labels) * (_CELL + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for row, label in enumerate(labels):
        top = _GAP + row * (_CELL + _GAP)
        _label(draw, top, dataset, label)
        _paste(sheet, dataset.train, label, TRAIN, _TEXT, top)
        _paste(sheet, dataset.test, label, VAL, _TEXT + TRAIN * (_CELL + _GAP) + 4 * _GAP, top)
    path = Path(path)
    try:
        with replacing(path) as temporary:
            sheet.save(temporary, "PNG")
    except OSError as error:
        raise DataError(f"cannot write {path}: {why(error)}") from error


def _label(draw: ImageDraw.ImageDraw, top: int, dataset: Dataset, label: int) -> None:
    """Write number, name and identifier of a class, shortened to the width of the text column."""
    from PIL import ImageFont

    lines = [f"{label}  {dataset.class_names[label]}"]
    if dataset.class_ids and dataset.class_ids[label] != dataset.class_names[label]:
        lines.append(dataset.class_ids[label])
    for i, line in enumerate(lines):
        font = ImageFont.load_default(14 if i == 0 else 11)
        text = " ".join(
            line.encode("latin-1", "replace").decode("latin-1").split()
        )  # the built-in font has Latin-1 only
        while draw.textlength(text, font) > _TEXT - 3 * _GAP:
            text = text.removesuffix("...")[:-1] + "..."
        draw.text((2 * _GAP, top + 30 + 20 * i), text, "black" if i == 0 else "grey", font)


def _paste(sheet: Image.Image, split: Split, label: int, count: int, left: int, top: int) -> None:
    """Draw up to ``count`` evenly spaced images of a class, from column ``left`` on."""
    from PIL import Image

    own = np.flatnonzero(split.labels == label)  # may be empty: linspace then gives no places
    chosen = own[np.linspace(0, len(own) - 1, min(count, len(own))).round().astype(int)]
    for column, i in enumerate(chosen.tolist()):
        window = (_CELL, _CELL)
        pixels = to_short_side(split.images[i], _CELL)
        size = resized_to(np.array([pixels.shape[:2]], np.int64), window)[0]
        cell = cut(pixels, size, corners(size, window), window)
        image = Image.fromarray(np.ascontiguousarray(cell[..., 0] if cell.shape[2] == 1 else cell))
        sheet.paste(image, (left + column * (_CELL + _GAP), top))
