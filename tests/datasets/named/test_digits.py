from __future__ import annotations

import io
import subprocess
import sys
from importlib.resources import files

import h5py
import numpy as np
import pytest

from binnet_datasets import DataError, load
from binnet_datasets.named import digits as module


@pytest.fixture(scope="module")
def stored() -> h5py.File:
    return h5py.File(io.BytesIO((files("binnet_datasets.named") / "digits.h5").read_bytes()), "r")


def test_shapes() -> None:
    data = load("digits")
    assert data.train.images.shape == (1437, 8, 8, 1)
    assert data.test.images.shape == (360, 8, 8, 1)
    assert data.class_names == tuple("0123456789")


def test_every_original_image_is_in_exactly_one_split(stored: h5py.File) -> None:
    index = np.concatenate([stored["train/index"][:], stored["test/index"][:]])
    assert sorted(index.tolist()) == list(range(1797))


def test_values_are_the_17_grey_levels_of_the_original_scaled() -> None:
    images = np.concatenate([load("digits").train.images, load("digits").test.images])
    levels = np.round(np.arange(17) * 255 / 16)
    assert np.array_equal(np.unique(images), levels)


def test_first_image_is_the_zero_everybody_knows(stored: h5py.File) -> None:
    part = "train" if 0 in stored["train/index"][:] else "test"
    place = int(np.flatnonzero(stored[part]["index"][:] == 0)[0])
    image = np.round(getattr(load("digits"), part).images[place, :, :, 0] / 255.0 * 16).astype(int)
    assert image[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert image[7].tolist() == [0, 0, 6, 13, 10, 0, 0, 0]
    assert getattr(load("digits"), part).labels[place] == 0


def test_split_is_stratified() -> None:
    data = load("digits")
    train, test = np.bincount(data.train.labels), np.bincount(data.test.labels)
    assert (train + test).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.abs(test - 0.2 * (train + test)).max() < 1


def test_attribution_is_in_the_file(stored: h5py.File) -> None:
    attributes = stored.attrs
    assert attributes["doi"] == "10.24432/C50P49"
    assert attributes["licence"] == "CC BY 4.0"
    assert "Alpaydin" in attributes["authors"]
    assert "scaled" in attributes["changes"]


def test_takes_no_path() -> None:
    with pytest.raises(DataError, match="comes with the package"):
        load("digits", "somewhere")


def test_damaged_file_is_a_data_error(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits.h5").write_bytes(b"no HDF5")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    with pytest.raises(DataError, match="embedded digits"):
        module.load_digits()


def test_import_loads_no_reader() -> None:
    code = (
        "import sys, binnet_datasets; "
        "print([m for m in ('h5py', 'PIL', 'urllib.request', 'tarfile', 'binnet', 'numba') if m in sys.modules])"
    )
    path = [str(files("binnet_datasets.named").joinpath(".."))]
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path}; {code}"], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
