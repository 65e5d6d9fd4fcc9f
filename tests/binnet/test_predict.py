"""``PackedModel.predict``: names and probabilities from files and arrays."""

import numpy as np
import pytest
from PIL import Image

import binnet
from binnet import models
from binnet.modelfile.info import DataInfo, Preprocessing
from binnet_datasets import DataError


@pytest.fixture(scope="module")
def model():
    info = DataInfo("", ("cat", "dog", "owl"), (0.5,), (0.25,), preprocessing=Preprocessing(10, 9))
    return binnet.pack(models.build("lenet5", num_classes=3, in_channels=1, image_size=8), info)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (20, 24), np.uint8)).save(tmp_path / f"{i}.png")
    return [str(tmp_path / f"{i}.png") for i in range(3)]


def test_files_and_arrays(model, files):
    one, several = model.predict(files[0]), model.predict(files)
    assert several[0] == one
    assert len(several) == 3
    assert {name for name, _ in one} == {"cat", "dog", "owl"}
    assert [p for _, p in one] == sorted((p for _, p in one), reverse=True)
    assert sum(p for _, p in one) == pytest.approx(1, abs=1e-6)
    assert model.predict(files[0], top=1) == one[:1]
    pixels = binnet.engine.preprocessing.read_for(model, files[0])
    assert model.predict(pixels) == one
    assert model.predict(pixels[None]) == [one]
    assert model.predict([]) == []


def test_probabilities_by_hand(model, files):
    logits = model(binnet.engine.preprocessing.read_for(model, files[0])[None])[0].astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum()
    for name, probability in model.predict(files[0]):
        assert probability == pytest.approx(p[("cat", "dog", "owl").index(name)], rel=1e-5)


def test_what_cannot_be(model, files, tmp_path):
    with pytest.raises(ValueError, match="top must be a whole number of at least 1, got 0"):
        model.predict(files[0], top=0)
    with pytest.raises(DataError, match="there is no such file"):
        model.predict(tmp_path / "none.png")
    for wrong in (None, 3, np.zeros((8, 8), np.uint8)):
        with pytest.raises(ValueError, match="expected image files, or an array"):
            model.predict(wrong)
    raw = binnet.pack(models.build("lenet5", num_classes=3, in_channels=1, image_size=8))
    with pytest.raises(ValueError, match="does not say how images are normalised"):
        raw.predict(files[0])
    assert raw.predict(np.zeros((8, 8, 1), np.float32), top=1)[0][0] in ("0", "1", "2")
