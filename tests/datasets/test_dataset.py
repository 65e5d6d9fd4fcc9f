from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from binnet_datasets import Dataset, Images, Split
from binnet_datasets import dataset as module

from .fakes import FakeImages


def split_of(images: np.ndarray) -> Split:
    return Split(images, np.zeros(len(images), np.int64))


def images_of(*sizes: tuple[int, int], channels: int = 1) -> FakeImages:
    rng = np.random.default_rng(len(sizes))
    return FakeImages([rng.integers(0, 256, (*size, channels), np.uint8) for size in sizes])


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


def test_images_need_not_be_an_array() -> None:
    images = images_of((3, 4), (3, 4), (5, 2))
    split = split_of(images)
    assert isinstance(images, Images)
    assert (len(split), split.channels, split.uniform_size) == (3, 1, None)
    assert split.sizes.tolist() == [[3, 4], [3, 4], [5, 2]]
    assert split_of(images_of((3, 4), (3, 4))).uniform_size == (3, 4)
    assert split_of(images_of()).uniform_size is None


def test_sizes_of_an_array() -> None:
    split = split_of(np.zeros((2, 4, 5, 3), np.uint8))
    assert (split.channels, split.uniform_size) == (3, (4, 5))
    assert split.sizes.tolist() == [[4, 5], [4, 5]]
    assert split_of(np.zeros((0, 4, 5, 3), np.uint8)).uniform_size == (4, 5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([1, 2], "images must be an array or have sizes and channels, got list"),
        (
            FakeImages([np.zeros((2, 2, 1), np.uint8)], sizes=np.zeros((1, 2), np.int32)),
            r"sizes must be int64 \(1, 2\)",
        ),
        (FakeImages([np.zeros((2, 2, 1), np.uint8)], sizes=np.zeros((2, 2), np.int64)), r"got int64 \(2, 2\)"),
        (FakeImages([np.zeros((2, 0, 1), np.uint8)]), "sizes must be 1 or more, got 0"),
    ],
)
def test_split_refuses_other_images(images, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(images, np.zeros(len(images), np.int64))


@pytest.mark.parametrize(
    ("train", "test", "size"),
    [
        (images_of((6, 5)), images_of((6, 5), (6, 5)), (6, 5)),
        (images_of((6, 5)), np.zeros((2, 6, 5, 1), np.uint8), (6, 5)),
        (images_of((6, 5)), images_of((4, 8)), (4, 4)),
        (images_of((6, 5), (9, 7)), images_of((7, 8)), (5, 5)),
        (images_of((6, 5)), images_of(), (6, 5)),
        (images_of(), images_of((6, 5)), (6, 5)),
        (images_of(), images_of(), (0, 0)),
    ],
)
def test_natural_size(train, test, size: tuple[int, int]) -> None:
    assert Dataset("toy", split_of(train), split_of(test), ("a",)).image_size == size


def test_splits_of_several_sizes_must_agree_in_channels() -> None:
    grey, colour = split_of(images_of((2, 3))), split_of(images_of((2, 2), channels=3))
    with pytest.raises(ValueError, match="the same channels, got 1 and 3"):
        Dataset("toy", grey, colour, ("a",))


def test_mean_std_of_images_that_are_no_array() -> None:
    images = images_of((3, 4), (5, 2), channels=3)
    mean, std = Dataset("toy", split_of(images), split_of(images), ("a",)).mean_std()
    pixels = np.concatenate([images[i].reshape(-1, 3) for i in range(2)]) / 255
    np.testing.assert_allclose(mean, pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, pixels.std(axis=0), rtol=1e-6)


def test_known_mean_std_are_returned_without_a_look_at_the_images() -> None:
    images = images_of((3, 4))
    stats = np.array([0.25], np.float32), np.array([0.5], np.float32)
    data = Dataset("toy", split_of(images), split_of(images), ("a",), stats)
    assert [values.tolist() for values in data.mean_std()] == [[0.25], [0.5]]
    assert images.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stats": (np.zeros(2), np.ones(2))}, "mean must be finite and one number or one for each of 1 channels"),
        ({"stats": (np.zeros(1), np.zeros(1))}, "std must be positive"),
        ({"class_ids": ("n1", "n2", "n3")}, "class_ids must be none or 2, got 3"),
    ],
)
def test_dataset_refuses_what_does_not_fit(options: dict, message: str) -> None:
    images = split_of(images_of((3, 4)))
    with pytest.raises(ValueError, match=message):
        Dataset("toy", images, images, ("a", "b"), **options)
