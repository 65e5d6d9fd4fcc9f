from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from binnet_datasets import DataError, Dataset, Split, contact_sheet


def coloured(classes: int, channels: int = 3, names: tuple[str, ...] | None = None) -> Dataset:
    """Ten images of each class, all pixels of a class of one colour, train and test 100 apart."""
    labels = np.repeat(np.arange(classes), 10)
    levels = np.broadcast_to((labels % 100).astype(np.uint8)[:, None, None, None], (len(labels), 20, 30, channels))
    names = names or tuple(f"class {i}" for i in range(classes))
    return Dataset("colours", Split(levels.copy(), labels), Split(levels + np.uint8(100), labels), names)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_row_shows_its_class(tmp_path: Path, channels: int) -> None:
    contact_sheet(coloured(5, channels), tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[0] == 5 * 100 + 4
    for label in range(5):
        row = sheet[50 + 100 * label, 220:]
        found = {int(v) for v in np.unique(row[..., 0])}
        assert found == {label, label + 100, 255}
        assert (row[..., 0] == label).sum() == 8 * 96
        assert (row[..., 0] == label + 100).sum() == 4 * 96
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_of_many_classes_some_are_shown(tmp_path: Path) -> None:
    contact_sheet(coloured(90), tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[0] == 40 * 100 + 4
    assert sheet[50, 230, 0] == 0
    assert sheet[-50, 230, 0] == 89


def test_any_name_can_be_drawn(tmp_path: Path) -> None:
    names = ("日本語", "a very long name " * 20, "", "two\nlines", "Ωμέγα")
    contact_sheet(coloured(5, names=names), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[1] == 504


@pytest.mark.parametrize("where", ["folder", "folder/text/sheet.png"])
def test_where_nothing_can_be_written(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "text").write_text("text")
    with pytest.raises(DataError, match=f"cannot write .*{where}: "):
        contact_sheet(coloured(2), tmp_path / where)
    assert (tmp_path / "folder" / "text").read_text() == "text"
