"""The folder of a training: what is written line by line, and what a resumed training finds there."""

import csv
import errno
import os
from dataclasses import astuple, fields, replace
from pathlib import Path

import pytest

from binnet.config import TrainConfig, read_toml
from binnet.run_folder import EpochFigures, RunFolder
from binnet.storage import StorageError

FIGURES = EpochFigures(1, 0.01, 0.123456789, 0.5, 2.0, 0.25, 1.0, 1234.5678, 3.0)


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "runs" / "first")
    made.start(TrainConfig(epochs=3))
    return made


def rows(folder):
    with (folder.path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_names(folder):
    assert [p.name for p in (folder.last, folder.best, folder.packed)] == ["last.h5", "best.h5", "packed.h5"]
    assert sorted(p.name for p in folder.path.iterdir()) == ["config.toml", "log.txt", "metrics.csv"]
    assert TrainConfig.from_dict(read_toml(folder.path / "config.toml")) == TrainConfig(epochs=3)


def test_metrics(folder):
    assert rows(folder) == []
    folder.add_figures(FIGURES)
    folder.add_figures(replace(FIGURES, epoch=2))
    read = rows(folder)
    assert list(read[0]) == [f.name for f in fields(EpochFigures)]
    assert [r["epoch"] for r in read] == ["1", "2"]
    assert [float(v) for v in read[0].values()] == pytest.approx(astuple(FIGURES), rel=1e-5)


def test_a_resumed_training_drops_later_and_broken_rows(folder):
    for epoch in (1, 2, 3):
        folder.add_figures(replace(FIGURES, epoch=epoch))
    with (folder.path / "metrics.csv").open("a") as file:
        file.write("4,0.01,0.1")  # the power failed here
    folder.keep_figures(2)
    folder.add_figures(replace(FIGURES, epoch=3, lr=0.5))
    assert [(r["epoch"], r["lr"]) for r in rows(folder)] == [("1", "0.01"), ("2", "0.01"), ("3", "0.5")]
    (folder.path / "metrics.csv").unlink()
    folder.keep_figures(2)
    assert rows(folder) == []
    assert (folder.path / "metrics.csv").read_text().startswith("epoch,lr,")


def test_the_log_grows_line_by_line(folder):
    folder.log("one α")
    folder.log("two")
    RunFolder(folder.path).log("three")
    lines = (folder.path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == ["one α", "two", "three"]
    assert all(line[:4].isdigit() for line in lines)


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=f"cannot write to the folder {path}: "):
            RunFolder(path)


def test_a_full_disk_is_told_in_one_sentence(folder, monkeypatch):
    before = (folder.path / "config.toml").read_text()

    def no_space(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", no_space)
        with pytest.raises(StorageError, match=r"cannot write .*log.txt: No space left on device"):
            folder.log("x")
        with pytest.raises(StorageError, match=r"cannot write .*metrics.csv: No space left on device"):
            folder.add_figures(FIGURES)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", no_space)
        with pytest.raises(StorageError, match=r"cannot write .*config.toml: No space left on device"):
            folder.start(TrainConfig())
    assert (folder.path / "config.toml").read_text() == before
    assert len(list(folder.path.iterdir())) == 3
