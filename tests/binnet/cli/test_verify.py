"""``binnet verify``, and ``binnet pack`` with data: packed models that predict differently are detected."""

import dataclasses
import json
import re

import numpy as np
import pytest

import binnet
import binnet_datasets
from binnet import models, nn, optim
from binnet.engine import PackedModel
from binnet.evaluation.agreement import compare
from binnet.evaluation.evaluate import Model, open_model
from binnet.modelfile.info import DataInfo
from binnet.train.config import TrainConfig
from binnet.train.diagnostics import signs
from binnet.train.output.checkpoint import save as save_checkpoint
from binnet.train.output.state import Progress, State


@pytest.fixture(scope="module")
def info():
    digits = binnet_datasets.load("digits")
    mean, std = digits.mean_std()
    return DataInfo("digits", digits.class_names, tuple(map(float, mean)), tuple(map(float, std)))


@pytest.fixture(scope="module")
def files(info, tmp_path_factory):
    """A checkpoint, its packed model, and other packed models."""
    folder = tmp_path_factory.mktemp("files")
    net = models.build("lenet5", num_classes=10, in_channels=1, image_size=8, seed=1)
    state = State(net, optim.Adam(net.parameters(), lr=0.1), Progress(), signs(net), net.spec)
    save_checkpoint(folder / "best.h5", state, TrainConfig(), info)
    binnet.pack(net, info).save(folder / "packed.h5")
    other = models.build("lenet5", num_classes=10, in_channels=1, image_size=8, seed=2)
    binnet.pack(other, info).save(folder / "other.h5")
    binnet.pack(net, dataclasses.replace(info, mean=(0.9,))).save(folder / "mean.h5")
    binary = models.build("lenet5", "bwn", num_classes=10, in_channels=1, image_size=8, seed=1)
    binnet.pack(binary, info).save(folder / "bwn.h5")
    return folder


def test_models_that_agree(files, say):
    code, out, err = say("verify", files / "best.h5", files / "packed.h5")
    assert (code, err) == (0, "")
    assert out == "the same class for all 360 test images of digits; no logit differs by a bit\n"
    code, out, _ = say("verify", files / "best.h5", files / "packed.h5", "--dataset", "digits", "--json")
    assert json.loads(out) == {"dataset": "digits", "n": 360, "differing": 0, "largest": 0.0, "relative": 0.0}


def test_a_run_folder(files, say):
    code, out, err = say("verify", files)
    assert (code, err) == (0, "")
    assert out == "the same class for all 360 test images of digits; no logit differs by a bit\n"
    code, out, err = say("verify", files / "best.h5")
    assert (code, out) == (1, "")
    assert "the following arguments are required: PACKED, or a run folder instead of CHECKPOINT" in err
    code, out, err = say("verify", files / "none")
    assert (code, out) == (1, "")
    assert err == f"binnet: error: there is no file {files / 'none'}\n"
    assert "there is no file none, and no model of this name" in say("verify", "none")[2]
    assert "are required: PACKED" in say("verify", "quick2-tiny20")[2]


def test_pack_compares_logarithms_of_probabilities(info, say, tmp_path):
    """As `binnet verify` does: against probabilities, rounding looked as large as the largest logit."""
    net = nn.Sequential(("flat", nn.Flatten()), ("dense", nn.Linear(64, 10, rng=0)), ("softmax", nn.Softmax()))
    binnet.pack(net, info, input_shape=(8, 8, 1)).save(tmp_path / "packed.h5")
    line = f"pack {tmp_path}/packed.h5 {tmp_path}/small.h5 --real float16 --dataset digits"
    code, out, err = say(*line.split())
    assert (code, err) == (0, "")
    assert float(re.search(r"([\d.]+(e-\d+)?) of the largest logit", out)[1]) < 0.01, out


def test_models_that_differ(files, info, say):
    code, out, err = say("verify", files / "best.h5", files / "other.h5", "--json")
    test = binnet_datasets.load("digits").test
    x = binnet_datasets.normalise(test.images, info.mean, info.std)
    a, b = open_model(files / "best.h5").logits(x), binnet.load(files / "other.h5")(x)
    found = json.loads(out)
    assert found["differing"] == (a.argmax(axis=1) != b.argmax(axis=1)).sum() > 0
    assert found["largest"] == pytest.approx(np.abs(a - b).max())
    assert found["relative"] == pytest.approx(np.abs(a - b).max() / np.abs(a).max())
    assert code == 1
    assert (
        f"other.h5 gives {found['differing']} of 360 images another class; the largest difference of logits is" in err
    )
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("packed.h5", "packed.h5", "packed.h5 is a binnet packed model, expected a binnet checkpoint"),
        ("best.h5", "best.h5", "best.h5 is a binnet checkpoint, expected a binnet packed model"),
        ("best.h5", "bwn.h5", "bwn.h5 is of another network than"),
        ("best.h5", "mean.h5", "mean.h5 normalises images otherwise than"),
        ("best.h5", "none.h5", "there is no file"),
    ],
)
def test_files_that_cannot_be_compared(first, second, message, files, say):
    code, out, err = say("verify", files / first, files / second)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert message in err


def test_differences_of_logits_alone_are_said(files, say, monkeypatch):
    init = Model.__init__

    def slightly_other(self, kind, info, logits, *rest):
        init(self, kind, info, logits if kind.endswith("checkpoint") else lambda x: logits(x) * 1.0001, *rest)

    monkeypatch.setattr(Model, "__init__", slightly_other)
    code, out, _ = say("verify", files / "best.h5", files / "packed.h5")
    assert code == 0
    assert "the same class for all 360 test images of digits; the largest difference of logits is " in out
    assert "0.0001 of the largest logit" in out


def test_images_are_needed(info):
    empty = binnet_datasets.load("digits").test
    empty = type(empty)(empty.images[:0], empty.labels[:0])
    with pytest.raises(ValueError, match="there are no images to compare the models on"):
        compare(lambda x: x, lambda x: x, empty, info, (8, 8))


def test_pack_compares_when_it_has_data(files, tmp_path, say, monkeypatch):
    code, out, _ = say("pack", files / "best.h5", tmp_path / "a.h5", "--dataset", "digits")
    assert code == 0
    assert out.splitlines()[0] == "the same class for all 360 test images of digits; no logit differs by a bit"
    assert (tmp_path / "a.h5").read_bytes() == (files / "packed.h5").read_bytes()
    call = PackedModel.__call__
    monkeypatch.setattr(PackedModel, "__call__", lambda self, x: -call(self, x))
    code, _, err = say(
        "pack", files / "best.h5", tmp_path / "b.h5", "--dataset", "digits", "--export-numpy", tmp_path / "x"
    )
    assert code == 1
    assert "the packed model gives " in err
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_pack_exports(files, tmp_path, say):
    code, out, _ = say("pack", files / "best.h5", tmp_path / "a.h5", "--export-numpy", tmp_path / "x")
    assert code == 0
    count = len(list((tmp_path / "x").glob("*.npy")))
    assert out.splitlines()[-1] == f"{tmp_path / 'x'}: graph.json and {count} arrays"
    _, out, err = say("pack", files / "best.h5", tmp_path / "b.h5", "--export-numpy", tmp_path / "y", "--json")
    assert len(json.loads(out)["exported"]) == count + 1
    code, _, err = say("pack", files / "best.h5", tmp_path / "c.h5", "--export-numpy", tmp_path / "x")
    assert (code, (tmp_path / "c.h5").exists()) == (1, False)
    assert "holds something already; export to a new or an empty folder" in err
