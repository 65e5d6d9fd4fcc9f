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


def test_lists_of_files_and_arrays_and_pictures(model, files):
    pixels = binnet.engine.preprocessing.read_for(model, files[1])
    one = model.predict(files[1], top=2)
    assert model.predict([files[1], pixels, model.preprocess(pixels)[0]], top=2) == [one] * 3
    picture = np.repeat(pixels, 3, axis=2)
    with pytest.raises(ValueError, match=r"images must be \(N, 8, 8, 1\), got \(1, 8, 8, 3\)"):
        model.predict(Image.fromarray(picture))
    assert model.predict(memoryview(pixels), top=2) == one  # anything that NumPy takes for an image
    with pytest.raises(ValueError, match=r"a list of images holds files and arrays \(H, W, C\), got an array"):
        model.predict([pixels[None].repeat(2, axis=0)])


def test_preprocess_gives_what_the_network_takes(model, files):
    mean, std = model.info.normalisation()
    x = model.preprocess(files)
    assert (x.shape, x.dtype) == ((3, 8, 8, 1), np.float32)
    pixels = np.stack([binnet.engine.preprocessing.read_for(model, file) for file in files])
    np.testing.assert_array_equal(x, (pixels / np.float32(255) - np.float32(mean)) / np.float32(std))
    np.testing.assert_array_equal(model.preprocess(pixels), x)
    np.testing.assert_array_equal(model.preprocess(files[2]), x[2:])
    np.testing.assert_array_equal(model(x), model(pixels))
    assert model.preprocess([]).shape == (0, 8, 8, 1)
    with pytest.raises(TypeError, match="pixels as uint8, got int64"):
        model.preprocess(pixels.astype(np.int64))


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


def test_preprocess_refuses_what_the_network_does(model):
    with pytest.raises(ValueError, match=r"images must be \(N, 8, 8, 1\), got \(1, 8, 8, 3\)"):
        model.preprocess(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="images must be finite"):
        model.preprocess(np.full((8, 8, 1), np.nan, np.float32))
