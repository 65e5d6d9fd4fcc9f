"""curves.png: it is written atomically, and drawing takes a small share of the time."""

import builtins
import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from binnet.console import Console
from binnet.modelfile.container import StorageError
from binnet.train import fit
from binnet.train.config import TrainConfig
from binnet.train.output import curves
from binnet.train.output.curves import Curves
from binnet.train.output.figures import EpochFigures
from binnet.train.output.run_folder import RunFolder

FIGURES = EpochFigures(1, 0.01, 0.5, 0.5, 2.0, 0.25, 1.0, 1000.0, 3.0, 0.0, 0.1, 0.0, 0.0, 0.5)


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run_$1")  # no formula in the title
    made.start(TrainConfig())
    return made


@pytest.fixture
def clock(monkeypatch):
    """A fake clock on which only drawing takes time, a second each; it returns the times of drawing."""

    class Clock:
        now, drawn = 1000.0, []

        def perf_counter(self):
            return self.now

    made = Clock()
    made.drawn = []

    def draw(rows, title, path):
        made.now += 1
        made.drawn.append(len(rows))

    monkeypatch.setattr(curves, "time", made)
    monkeypatch.setattr(curves, "draw", draw)
    return made


def add(folder, report, epoch):
    figures = replace(FIGURES, epoch=epoch)
    folder.add_figures(figures, {})
    report.epoch(figures, {})


def test_drawing_takes_a_fiftieth_of_the_time(folder, clock):
    report = Curves(folder)
    for epoch in range(1, 201):
        clock.now += 1
        add(folder, report, epoch)
    assert clock.drawn == [1, 51, 101, 151]
    report.close()
    report.close()
    assert clock.drawn == [1, 51, 101, 151, 200]


def test_long_epochs_are_all_drawn(folder, clock):
    report = Curves(folder)
    for epoch in range(1, 5):
        clock.now += 60
        add(folder, report, epoch)
    report.close()
    assert clock.drawn == [1, 2, 3, 4]


def test_nothing_is_drawn_of_nothing(folder, clock):
    Curves(folder).close()
    assert clock.drawn == []


@pytest.mark.parametrize("health", [0.25, None])
def test_the_picture(folder, health):
    pytest.importorskip("matplotlib")
    from PIL import Image

    report = Curves(folder)
    for epoch in (1, 2):
        share = dict.fromkeys(("flipped", "clipped", "dead", "balance"), health)
        folder.add_figures(replace(FIGURES, epoch=epoch, train_loss=0.0 if epoch == 2 else 1.0, **share), {})
    report.close()
    with Image.open(folder.curves) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (700, 1100, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    assert not list(folder.path.glob(".*"))


def test_a_full_disk(folder, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")

    def no_space(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder.add_figures(FIGURES, {})
    monkeypatch.setattr(figure.Figure, "savefig", no_space)
    with pytest.raises(StorageError, match=r"cannot write .*curves.png: No space left on device"):
        Curves(folder).close()
    assert not list(folder.path.glob("*curves*"))


def test_without_matplotlib(tmp_path, monkeypatch):
    """Without matplotlib there is a message at the start, and the training is the same."""
    original, said = builtins.__import__, []

    def without(name, *args, **kwargs):
        assert not name.startswith("matplotlib")
        return original(name, *args, **kwargs)

    class Listener(Console):
        def say(self, text):
            said.append(text)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(Curves, "available", lambda: False)
    fit(TrainConfig(epochs=1, batch_size=300), tmp_path / "run", console=Listener(quiet=True))
    assert [text for text in said if "curves" in text] == [
        'no curves.png without matplotlib: python -m pip install "binnet[plot]"'
    ]
    assert not Path(tmp_path / "run" / "curves.png").exists()


def test_a_training_that_stops_is_drawn_as_well(tmp_path, clock, monkeypatch):
    """The curves are drawn for a diverged training too, where they matter most."""

    class Stopper(Console):
        def say(self, text):
            if text.startswith("epoch   2"):
                raise RuntimeError

    monkeypatch.setattr(Curves, "available", lambda: True)
    with pytest.raises(RuntimeError):
        fit(TrainConfig(epochs=3, batch_size=300), tmp_path / "run", console=Stopper(quiet=True))
    assert clock.drawn[-1] == 2
