"""The run folder: its files line by line, and its state when a training is resumed."""

import csv
import errno
import os
from dataclasses import astuple, fields, replace
from pathlib import Path

import pytest

from binnet.modelfile.container import StorageError
from binnet.models.own_network import OwnNetwork
from binnet.train.config import TrainConfig
from binnet.train.diagnostics import Health
from binnet.train.options.config_file import read_toml
from binnet.train.output.figures import EpochFigures
from binnet.train.output.run_folder import RunFolder

FIGURES = EpochFigures(1, 0.01, 0.123456789, 0.5, 2.0, 0.25, 1.0, 1234.5678, 3.0, 0.0125, 0.5, 0.0, 0.25, 0.75)
LAYERS = {"conv2": Health(0.25, 0.125, 0.5, 0.75), "dense3": Health(0.5, 0.0, None, None)}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "runs" / "first")
    made.start(TrainConfig(epochs=3))
    return made


def rows(folder, name="metrics.csv"):
    with (folder.path / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_names(folder):
    assert [p.name for p in (folder.last, folder.best, folder.packed)] == ["last.h5", "best.h5", "packed.h5"]
    assert sorted(p.name for p in folder.path.iterdir()) == ["config.toml", "health.csv", "log.txt", "metrics.csv"]
    assert TrainConfig.from_dict(read_toml(folder.path / "config.toml")) == TrainConfig(epochs=3)


def test_metrics(folder):
    assert rows(folder) == rows(folder, "health.csv") == []
    folder.add_figures(FIGURES, LAYERS)
    folder.add_figures(replace(FIGURES, epoch=2, dead=None), {})
    read = rows(folder)
    assert read == folder.figures()
    assert list(read[0]) == [f.name for f in fields(EpochFigures)]
    assert [r["epoch"] for r in read] == ["1", "2"]
    assert [r["dead"] for r in read] == ["0.25", ""]
    assert [float(v) for v in read[0].values()] == pytest.approx(astuple(FIGURES), rel=1e-5)


def test_health(folder):
    folder.add_figures(FIGURES, LAYERS)
    conv2, dense3 = rows(folder, "health.csv")
    assert conv2 == {
        "epoch": "1", "layer": "conv2", "flipped": "0.25", "clipped": "0.125", "dead": "0.5", "balance": "0.75"
    }  # fmt: skip
    assert (dense3["layer"], dense3["flipped"], dense3["dead"], dense3["balance"]) == ("dense3", "0.5", "", "")


def test_a_resumed_training_drops_later_and_broken_rows(folder):
    for epoch in (1, 2, 3):
        folder.add_figures(replace(FIGURES, epoch=epoch), LAYERS)
    with (folder.path / "metrics.csv").open("a") as file:
        file.write("4,0.01,0.1")  # the power failed here
    (folder.path / ".last.h5.abc.part").write_text("half")
    again = RunFolder(folder.path)
    again.resume(TrainConfig(), 2)
    assert not (folder.path / ".last.h5.abc.part").exists()
    again.add_figures(replace(FIGURES, epoch=3, lr=0.5), {})
    assert [(r["epoch"], r["lr"]) for r in rows(folder)] == [("1", "0.01"), ("2", "0.01"), ("3", "0.5")]
    assert [r["epoch"] for r in rows(folder, "health.csv")] == ["1", "1", "2", "2"]
    (folder.path / "metrics.csv").unlink()
    again.resume(TrainConfig(), 2)
    assert rows(folder) == again.figures() == []
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
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", no_space)
        with pytest.raises(StorageError, match=r"cannot write .*health.csv: No space left on device"):
            folder.add_figures(FIGURES, {})
        with pytest.raises(StorageError, match=r"cannot write .*config.toml: No space left on device"):
            folder.start(TrainConfig(), again=True)
    assert (folder.path / "config.toml").read_text() == before
    assert rows(folder) == []
    assert len(list(folder.path.iterdir())) == 4


def fails(folder, begins=None):
    """A training in stages that begins in a folder, or does not begin, and ends with an error."""
    with RunFolder(folder).held() as run:
        run.note_stages(TrainConfig())
        if begins is not None:
            RunFolder(begins).start(TrainConfig())
        raise RuntimeError


def test_what_did_not_begin_leaves_nothing(tmp_path):
    (tmp_path / "stage1").mkdir()  # made by the first stage before it failed
    with pytest.raises(RuntimeError):
        fails(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "log.txt").write_text("mine\n")
    with pytest.raises(RuntimeError):
        fails(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine\n"]


def test_a_resume_that_fails_keeps_the_configuration(tmp_path):
    (tmp_path / "stages.toml").write_text("stages = 3\n")  # stopped before the first stage began
    with pytest.raises(RuntimeError):
        fails(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["stages.toml"]


@pytest.mark.parametrize("stage", [".", "stage1"])
def test_what_began_is_kept(tmp_path, stage):
    with pytest.raises(RuntimeError):
        fails(tmp_path, begins=tmp_path / stage)
    assert {"log.txt", "stages.toml"} <= {path.name for path in tmp_path.iterdir()}


def test_a_copy_has_the_bytes_of_its_original(tmp_path):
    for name, text in (("lf.py", "a = 1 + \\\n    2\n"), ("crlf.py", "a = 1 + \\\r\n    2\r\n")):
        RunFolder(tmp_path / name).start(TrainConfig(), own=OwnNetwork(Path(name), "build", text, dict))
        assert (tmp_path / name / name).read_bytes() == text.encode()


def test_the_sentence_about_a_folder_that_is_in_the_way(folder):
    (folder.path / "config.toml").unlink()
    (folder.path / "config.toml").mkdir()
    (folder.path / "config.toml" / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*config.toml: it is not a file, and cannot be replaced"):
        folder.resume(TrainConfig(), 0)


def test_a_folder_with_spaces_is_quoted(tmp_path):
    RunFolder(tmp_path / "my run").start(TrainConfig())
    with pytest.raises(StorageError, match=r"continue with --resume '.*my run', or choose"):
        RunFolder(tmp_path / "my run").start(TrainConfig())
