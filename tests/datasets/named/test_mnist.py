from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from binnet_datasets import DataError, load


def test_arrays_come_back(mnist_folder: Path, mnist_arrays) -> None:
    data = load("mnist", mnist_folder)
    assert np.array_equal(data.train.images[..., 0], mnist_arrays["train-images"])
    assert np.array_equal(data.train.labels, mnist_arrays["train-labels"])
    assert np.array_equal(data.test.images[..., 0], mnist_arrays["t10k-images"])
    assert np.array_equal(data.test.labels, mnist_arrays["t10k-labels"])
    assert (data.name, data.image_size, data.channels, data.num_classes) == ("mnist", (28, 28), 1, 10)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("joint", ["-", "."])
def test_usual_names(tmp_path: Path, mnist_arrays, to_idx, joint: str, packed: bool) -> None:
    for name, array in mnist_arrays.items():
        content, ending = (gzip.compress(to_idx(array)), ".gz") if packed else (to_idx(array), "")
        (tmp_path / f"{name}{joint}idx{array.ndim}-ubyte{ending}").write_bytes(content)
    data = load("fashion-mnist", str(tmp_path))
    assert np.array_equal(data.test.images[..., 0], mnist_arrays["t10k-images"])
    assert data.class_names[9] == "Ankle boot"


def test_missing_file_names_what_was_looked_for(mnist_folder: Path) -> None:
    (mnist_folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte, .*t10k-labels\.idx1-ubyte\.gz in .*mnist"):
        load("mnist", mnist_folder)


def test_folder_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is nothing"):
        load("mnist", tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="there is a file"):
        load("mnist", tmp_path / "file")


@pytest.mark.parametrize(
    ("file", "array", "message"),
    [
        ("train-labels-idx1-ubyte", np.zeros(11, np.uint8), "expected 12 uint8 labels .* but got 11"),
        ("train-labels-idx1-ubyte", np.full(12, 10, np.uint8), r"labels 0\.\.9 .* but got 10"),
        ("train-labels-idx1-ubyte", np.zeros((12, 1), np.uint8), "1 dimensions"),
        ("t10k-images-idx3-ubyte", np.zeros((5, 28, 27), np.uint8), r"\(N, 28, 28\) .* \(5, 28, 27\)"),
        ("t10k-images-idx3-ubyte", np.zeros((0, 28, 28), np.uint8), r"\(0, 28, 28\)"),
    ],
)
def test_files_that_do_not_fit(mnist_folder: Path, to_idx, file: str, array: np.ndarray, message: str) -> None:
    (mnist_folder / file).write_bytes(to_idx(array))  # without .gz: looked for first
    with pytest.raises(DataError, match=message):
        load("mnist", mnist_folder)


def test_real_fashion_mnist() -> None:
    folder = Path(__file__).parents[4] / "shared/data/fashion-mnist"
    if not folder.is_dir():
        pytest.skip("Fashion-MNIST is not beside the repository")
    data = load("fashion-mnist", folder)
    assert (len(data.train), len(data.test)) == (60000, 10000)
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    mean, std = data.mean_std()
    # the constants that every tutorial on Fashion-MNIST uses
    assert mean[0] == pytest.approx(0.2860, abs=5e-5)
    assert std[0] == pytest.approx(0.3530, abs=5e-5)
