"""Metrics for TensorBoard, with a fake writer and, where it is installed, with tensorboardX."""

import sys
import types

import pytest

from binnet.cli import main
from binnet.train.config import ConfigError
from binnet.train.diagnostics import Health
from binnet.train.output import tensorboard
from binnet.train.output.figures import EpochFigures
from binnet.train.output.tensorboard import Board

FIGURES = EpochFigures(3, 0.01, 0.5, 0.75, 2.0, 0.25, 1.0, 1000.0, 3.0, 0.0, 0.125, 0.0, None, 0.5)
LAYERS = {"conv2": Health(0.25, 0.0, 0.5, None)}


@pytest.fixture
def written(monkeypatch):
    """Replace tensorboardX by a fake module and return the recorded calls."""
    calls = []

    class SummaryWriter:
        def __init__(self, folder, purge_step=None):
            calls.append(("open", folder, purge_step))

        def add_scalar(self, name, value, step):
            calls.append((name, value, step))

        def flush(self):
            calls.append("flush")

        def close(self):
            calls.append("close")

    module = types.ModuleType("tensorboardX")
    module.SummaryWriter = SummaryWriter
    module.__spec__ = types.SimpleNamespace(name="tensorboardX")
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return calls


def test_scalars(written, tmp_path):
    board = Board(tmp_path)
    board.epoch(FIGURES, LAYERS)
    board.close()
    assert written[0] == ("open", str(tmp_path), None)
    assert written[-2:] == ["flush", "close"]
    scalars = written[1:-2]
    assert {step for _, _, step in scalars} == {3}
    values = {name: value for name, value, _ in scalars}
    assert (values["train_top1"], values["flipped"], values["health/flipped/conv2"]) == (0.75, 0.125, 0.25)
    assert not {"epoch", "dead", "health/balance/conv2"} & set(values)


def test_a_resumed_training_hides_what_it_writes_again(written, tmp_path):
    Board(tmp_path, epochs=4)
    assert written == [("open", str(tmp_path), 5)]


def test_training_with_a_board(written, tmp_path):
    folder = tmp_path / "run"
    assert (
        main(["train", "--epochs", "2", "--batch-size", "300", "--tensorboard", "--quiet", "--out", str(folder)]) == 0
    )
    assert written[0] == ("open", str(folder / "tensorboard"), None)
    assert [call[2] for call in written if call[0] == "val_top1"] == [1, 2]
    assert written[-1] == "close"


def test_without_tensorboardx(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'--tensorboard needs tensorboardX.*"binnet\[tensorboard\]"'):
        tensorboard.check()
    assert main(["train", "--tensorboard", "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith("binnet: error: --tensorboard needs tensorboardX")
    assert not (tmp_path / "run").exists()


def test_the_real_writer(tmp_path):
    pytest.importorskip("tensorboardX")
    board = Board(tmp_path)
    board.epoch(FIGURES, LAYERS)
    board.close()
    (file,) = tmp_path.iterdir()
    assert b"health/flipped/conv2" in file.read_bytes()
