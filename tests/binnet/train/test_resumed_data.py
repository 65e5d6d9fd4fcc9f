"""Options that may change on resume, and folders and locks of other trainings."""

import errno
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from binnet.cli import main
from binnet.modelfile import container
from binnet.modelfile.container import StorageError
from binnet.train import fit, trainer
from binnet.train.config import TrainConfig
from binnet.train.output.run_folder import RunFolder


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("BINNET_DATA", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


def photos(folder, seed=0, count=8):
    rng = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (24, 28, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_a_store_of_the_same_images_in_another_size_is_refused_on_resume(tmp_path):
    folder = str(photos(tmp_path / "pets"))
    for size in (20, 16):
        assert main(["data", "build", folder, str(tmp_path / f"{size}.h5"), "--size", str(size)]) == 0
    config = TrainConfig(data=str(tmp_path / "20.h5"), model="quick", epochs=1, batch_size=8)
    fit(config, tmp_path / "run")
    before = (tmp_path / "run" / "last.h5").read_bytes()
    with pytest.raises(StorageError, match=r"was trained on other images: some have another class, size or number of"):
        fit(replace(config, epochs=2, data=str(tmp_path / "16.h5")), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "last.h5").read_bytes() == before


def test_a_training_goes_on_from_another_folder(tmp_path, monkeypatch):
    photos(tmp_path / "pets"), photos(tmp_path / "others", seed=1)
    monkeypatch.chdir(tmp_path)
    flags = ["--model", "lenet5", "--epochs", "1", "--batch-size", "8", "--out", "run"]
    assert main(["train", "pets", "--val", "others", *flags]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["train", "../pets", "--val", "../others", "--resume", "../run", "--epochs", "2"]) == 0
    assert container.load(tmp_path / "run" / "last.h5")[2]["progress"]["epoch"] == 2


def test_other_validation_images_are_refused_on_resume(tmp_path, capsys):
    pets, others, third = (str(photos(tmp_path / n, seed=i)) for i, n in enumerate(("pets", "others", "third")))
    run = str(tmp_path / "run")
    assert main(["train", pets, "--val", others, "--model", "lenet5", "--epochs", "1", "--out", run]) == 0
    assert main(["train", "--val", third, "--resume", run, "--epochs", "2"]) == 1
    assert "was trained on other images: 16 added (cat/0.png), 16 removed" in capsys.readouterr().err


def test_an_empty_folder_of_ones_own_stays_when_the_data_cannot_be_read(tmp_path):
    (tmp_path / "mine").mkdir()
    assert main(["train", str(tmp_path / "nowhere"), "--out", str(tmp_path / "mine")]) == 1
    assert (tmp_path / "mine").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks by another function")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_does_not_stop_a_training(tmp_path, monkeypatch, number):
    import fcntl

    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with RunFolder(tmp_path / "run").held() as folder:
        assert folder.path.is_dir()


def test_closed_standard_input_is_told_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["predict", "--model", "quick-tiny20", "-"]) == 1
    assert capsys.readouterr().err == "binnet: error: expected an image at standard input, but it is closed\n"
