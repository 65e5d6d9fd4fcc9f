from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from binnet_datasets import Dataset, Split
from binnet_datasets import dataset as module


def split_of(images: np.ndarray) -> Split:
    return Split(images, np.zeros(len(images), np.int64))


def dataset_of(images: np.ndarray) -> Dataset:
    return Dataset("toy", split_of(images), split_of(images), ("a", "b"))


def test_shapes_and_names() -> None:
    data = dataset_of(np.zeros((3, 4, 5, 3), np.uint8))
    assert (data.image_size, data.channels, data.num_classes, len(data.train)) == ((4, 5), 3, 2, 3)


@given(arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3, st.sampled_from([1, 3]))))
def test_mean_std_are_those_of_numpy(images: np.ndarray) -> None:
    mean, std = dataset_of(images).mean_std()
    scaled = images.astype(np.float64) / 255
    expected = scaled.std(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(std, np.where(expected < 1e-9, 1, expected), rtol=1e-6)
    assert mean.dtype == std.dtype == np.float32


def test_mean_std_are_of_the_training_images() -> None:
    dark, light = np.zeros((2, 1, 2, 1), np.uint8), np.full((1, 1, 2, 1), 255, np.uint8)
    mean, std = Dataset("toy", split_of(dark), split_of(light), ("a",)).mean_std()
    assert mean.tolist() == [0]
    assert std.tolist() == [1]  # no variation: dividing must stay possible


def test_mean_std_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset_of(np.random.default_rng(0).integers(0, 256, (11, 3, 3, 3), np.uint8))
    whole = np.stack(data.mean_std())
    monkeypatch.setattr(module, "_CHUNK", 4)
    assert np.stack(data.mean_std()).tobytes() == whole.tobytes()


def test_mean_std_need_an_image() -> None:
    with pytest.raises(ValueError, match="at least one training pixel"):
        dataset_of(np.zeros((0, 2, 2, 1), np.uint8)).mean_std()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3, 3, 1), np.float32), np.zeros(2, np.int64), "uint8"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, np.int64), "N, H, W, C"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(3, np.int64), r"\(2,\)"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int32), "int64"),
    ],
)
def test_split_refuses_other_arrays(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


def test_dataset_refuses_splits_of_two_sizes() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Dataset("toy", split_of(np.zeros((1, 2, 2, 1), np.uint8)), split_of(np.zeros((1, 3, 2, 1), np.uint8)), ("a",))


@pytest.mark.parametrize("label", [-1, 2])
def test_dataset_refuses_labels_without_a_name(label: int) -> None:
    good = split_of(np.zeros((1, 2, 2, 1), np.uint8))
    bad = Split(good.images, np.array([label]))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Dataset("toy", good, bad, ("a", "b"))
