"""Training on a user's images: from a folder, with results that do not depend on the machine."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import binnet_kernels as bk
from binnet.cli import main
from binnet.modelfile import container
from binnet.train import fit, loop, trainer
from binnet.train.config import TrainConfig

SIZES = [(40, 50), (52, 40), (44, 44), (64, 47)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Reddish and bluish images of many sizes in two folders."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (folder / name).mkdir()
        for i in range(24):
            pixels = rng.integers(0, 120, (*SIZES[i % 4], 3), np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path_factory):
    """Use a temporary cache, draw no curves, and restore the number of threads afterwards."""
    monkeypatch.setenv("BINNET_DATA", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)
    before = bk.get_num_threads()
    yield
    bk.set_num_threads(before)


def test_a_folder_is_enough(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--epochs", "2", "--batch-size", "8", "--flip", "--threads", "1"]
    assert main(["train", "--data", str(pictures), *flags]) == 0
    out = capsys.readouterr().out
    assert "quick2 (xnor, " in out
    assert " on pictures" in out
    assert "42x42 pixels" in out  # the median of the short sides
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("pictures")
    assert 'model = "quick2"' in (folder / "config.toml").read_text()
    assert main(["evaluate", str(folder / "packed.h5"), "--data", str(pictures), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["top1"] > 0.7
    assert main(["train", "--resume", str(folder), "--quiet"]) == 0


OPTIONS = {"model": "quick", "epochs": 2, "batch_size": 8, "flip": True, "image_size": 32, "mixup": 0.2}
RANGE = {"scale_min": 34, "scale_max": 48}


def assert_same_arrays(folder, other):
    for name in ("last.h5", "best.h5", "packed.h5"):
        arrays, expected = (container.load(f / name)[1] for f in (folder, other))
        for key, array in expected.items():
            np.testing.assert_array_equal(arrays[key], array, err_msg=f"{name} {key}")


@pytest.mark.slow
def test_threads_workers_and_interruptions_do_not_change_a_bit(pictures, tmp_path, monkeypatch):
    """Train with random scale, crop, flip and mixup; the first run has one thread, no worker and no interruption."""
    config, two = TrainConfig(data=str(pictures), workers=0, **OPTIONS, **RANGE), min(2, os.cpu_count())
    bk.set_num_threads(1)
    fit(config, tmp_path / "whole")
    bk.set_num_threads(two)
    fit(replace(config, workers=1), tmp_path / "two")
    assert_same_arrays(tmp_path / "two", tmp_path / "whole")

    class StoppedError(Exception):
        pass

    original, count = loop.training_step, iter(range(10**9))

    def step(*args):
        if next(count) == 7:
            raise StoppedError
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "training_step", step)
        with pytest.raises(StoppedError):
            fit(replace(config, workers=3, checkpoint_every=1e-9), tmp_path / "run")
    progress = container.load(tmp_path / "run" / "last.h5")[2]["progress"]
    assert progress["epoch"] * progress["total_steps"] // 2 + progress["batch"] == 7
    fit(replace(config, workers=3), tmp_path / "run", resume=True)
    assert_same_arrays(tmp_path / "run", tmp_path / "whole")


def test_a_range_below_the_image_size(pictures, tmp_path, capsys):
    flags = ["--data", str(pictures), "--scale-min", "20", "--scale-max", "30", "--out", str(tmp_path / "run")]
    assert main(["train", *flags]) == 1
    assert "scale must be two whole numbers" in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.toml").exists()
