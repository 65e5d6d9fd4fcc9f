"""The models that come with binnet: small, sound, described, and found by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import binnet
from binnet import shipped
from binnet.evaluation.evaluate import model_file
from binnet.modelfile.container import StorageError

KNOWN = "there are: quick-tiny20, quick2-tiny20, reactnet18-cifar10"


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


@pytest.mark.parametrize("name", shipped.names())
def test_each_is_small_and_says_where_it_is_from(name, root):
    assert shipped.path_of(name).stat().st_size <= 2_000_000
    model = binnet.load(name)
    assert len(model.info.class_names) == model.num_classes
    assert {"config", "top1", "epoch", "binnet"} <= set(model.info.provenance)
    card = (root / "docs" / "models.md").read_text("utf-8")
    assert f"## {name}\n" in card
    assert f"{model.info.provenance['top1']:.1%}" in card
    assert ", ".join(model.info.class_names) in " ".join(card.split())


def test_together_they_are_small():
    assert sum(shipped.path_of(name).stat().st_size for name in shipped.names()) <= 1_500_000


def test_predict_by_name(photo, say):
    code, out, err = say("predict", "--model", "quick-tiny20", photo, "--top", 2, "--json")
    assert (code, err) == (0, "")
    (found,) = json.loads(out)
    assert found["image"] == str(photo)
    assert {c["class"] for c in found["classes"]} <= set(binnet.load("quick-tiny20").info.class_names)
    code, out, _ = say("predict", "quick-tiny20", photo, photo)
    assert (code, len(out.splitlines())) == (0, 2)


@pytest.mark.parametrize(
    "command", ["summary quick-tiny20", "inspect quick-tiny20", "inspect quick-tiny20 --layer conv1"]
)
def test_other_commands_too(command, say):
    code, out, err = say(*command.split())
    assert (code, err) == (0, "")
    assert "quick" in out or "conv1" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--model quick-tiny21 a.jpg",
            "no model 'quick-tiny21' comes with binnet; " + KNOWN,
        ),
        (
            "--model ../secret a.jpg",
            "no model '../secret' comes with binnet; " + KNOWN,
        ),
        (
            "quick a.jpg",
            "there is no file quick, and no model of this name comes with binnet; " + KNOWN,
        ),
        ("--model quick-tiny20", "the following arguments are required: IMAGE, or --data PATH"),
        ("", "the following arguments are required: FILE, or --model NAME"),
    ],
)
def test_names_that_there_are_not(words, message, say):
    assert say("predict", *words.split()) == (1, "", f"binnet: error: {message}\n")


def test_from_python(tmp_path, monkeypatch):
    model = binnet.load("quick-tiny20")
    assert model.info == binnet.load(shipped.path_of("quick-tiny20")).info
    assert model(np.zeros((1, 64, 64, 3), np.float32)).shape == (1, 20)
    with pytest.raises(
        StorageError,
        match="no model of this name comes with binnet; " + KNOWN,
    ):
        binnet.load("quick-tiny")
    with pytest.raises(StorageError, match=r"there is no file .*quick-tiny20\.h5"):
        binnet.load(tmp_path / "quick-tiny20.h5")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick-tiny20").mkdir()  # a folder cannot be a model, so it hides none
    assert binnet.load("quick-tiny20").info == model.info
    assert model_file("quick-tiny20") == shipped.path_of("quick-tiny20")
    (tmp_path / "quick-tiny20" / "best.h5").write_bytes(b"")  # now it is the folder of a training, in all commands
    assert model_file("quick-tiny20", "best.h5") == Path("quick-tiny20", "best.h5")
    with pytest.raises(StorageError, match=r"the run folder quick-tiny20 holds no packed.h5; it holds best.h5$"):
        model_file("quick-tiny20")
    with pytest.raises(StorageError, match="quick-tiny20"):
        binnet.load("quick-tiny20")
    shutil.rmtree(tmp_path / "quick-tiny20")
    (tmp_path / "quick-tiny20").write_bytes(b"")
    with pytest.raises(StorageError, match="quick-tiny20 is empty"):  # a file comes first
        binnet.load("quick-tiny20")
