"""What cannot be trained by several workers is refused before the first step: one sentence, and nothing is left."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from mpi_trainings import OPTIONS


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--epochs", "none"], 2, "binnet train: error: argument --epochs: "),
        (["a", "--data", "b"], 1, "binnet: error: the data is named twice: a and --data b"),
        (["--data", "nowhere", "--micro-batches", "2"], 1, "binnet: error: "),
        (["--micro-batches", "64"], 1, "binnet: error: --micro-batches must be at most --batch-size (32), got 64"),
        ([], 1, "binnet: error: 2 workers need as many micro-batches at least: give --micro-batches 2 or more, got 1"),
    ],
)
def test_one_sentence(train, tmp_path, monkeypatch, words, code, sentence):
    monkeypatch.chdir(tmp_path)
    result = train(2, *words)
    (line,) = result.stderr.splitlines()
    assert line.startswith(sentence)
    assert "nowhere" in line or "nowhere" not in words
    assert (result.code, result.stdout) == (code, "")
    assert [path for path in tmp_path.rglob("*") if path.name != "runs"] == []


def test_without_mpi4py(train, tmp_path, monkeypatch):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/mpi4py.py").write_text("raise ModuleNotFoundError('no mpi4py')\n")
    monkeypatch.chdir(tmp_path)
    roots = os.pathsep.join([str(tmp_path / "hidden"), *sys.path])
    result = train(2, *OPTIONS, PYTHONPATH=roots)
    assert result.code == 1
    assert result.sentences == [
        'binnet: error: mpiexec started 2 processes, but mpi4py is not installed: python -m pip install "binnet[mpi]"'
    ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("what", "fact"),
    [("version", "version of binnet, but worker 0 has "), ("cpu", "processor and kernels, but worker 0 has ")],
)
def test_workers_that_differ(train, tmp_path, what, fact):
    result = train(2, *OPTIONS, "--out", tmp_path / "run", fault=f"{what} 1 0")
    assert result.code == 1
    (line,) = result.sentences
    assert line.startswith(f"binnet: error: all workers need the same {fact}")
    assert " and worker 1 (on " in line
    assert not (tmp_path / "run/last.h5").exists()


@pytest.fixture
def pictures(tmp_path, rng):
    """Two folders, each with a folder ``images`` of another content."""
    for place in ("here", "there"):
        for name in ("cat", "dog"):
            folder = tmp_path / place / "images" / name
            folder.mkdir(parents=True)
            for number in range(10):
                Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "here", tmp_path / "there"


def test_other_images(train, pictures, monkeypatch, tmp_path):
    here, there = pictures
    monkeypatch.chdir(here)
    words = ["images", "--batch-size", 4, "--micro-batches", 2, "--out", tmp_path / "run"]
    result = train(2, *words, fault="images 1 0", FAULT_FILE=there)
    assert result.code == 1
    (line,) = result.sentences
    assert line.startswith("binnet: error: all workers need the same images, but worker 0 has ")
    assert " and worker 1 (on " in line
