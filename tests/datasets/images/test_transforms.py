from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from binnet_datasets import flip, normalise, pad_and_crop, resize_to
from binnet_datasets.images.transforms import resample

batches = arrays(np.uint8, st.tuples(st.integers(0, 4), st.integers(3, 7), st.integers(3, 7), st.sampled_from([1, 3])))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def offsets_of(n: int, pad: int, seed: int = 0) -> np.ndarray:
    return rng(seed).integers(0, 2 * pad + 1, size=(n, 2))


def naive_pad_and_crop(images: np.ndarray, pad: int, offsets: np.ndarray, mode: str) -> np.ndarray:
    """One pixel at a time, from the definition."""
    n, h, w, _ = images.shape
    out = np.zeros_like(images)
    for i in range(n):
        for y in range(h):
            for x in range(w):
                row, column = y + offsets[i, 0] - pad, x + offsets[i, 1] - pad
                if mode == "reflect":
                    row, column = abs(row), abs(column)
                    row = 2 * (h - 1) - row if row >= h else row
                    column = 2 * (w - 1) - column if column >= w else column
                if 0 <= row < h and 0 <= column < w:
                    out[i, y, x] = images[i, row, column]
    return out


@given(batches, st.floats(0, 1), st.floats(0.05, 2))
def test_normalise(images: np.ndarray, mean: float, std: float) -> None:
    before = images.copy()
    out = normalise(images, mean, std)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, (images / 255.0 - mean) / std, rtol=1e-5, atol=1e-5)
    assert np.array_equal(images, before)


def test_normalise_each_channel_with_its_own() -> None:
    images = np.full((1, 1, 1, 3), 255, np.uint8)
    out = normalise(images, [0.0, 0.5, 1.0], np.array([1.0, 0.25, 2.0]))
    assert out.ravel().tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize("shape", [(3,), (5, 3), (4, 5, 3), (2, 4, 5, 3), (0, 4, 5, 3), (2, 0, 3)])
def test_normalise_takes_any_number_of_axes_in_any_memory_order(shape: tuple[int, ...]) -> None:
    mean, std = np.array([0.1, 0.2, 0.3], np.float32), np.array([0.5, 0.6, 0.7], np.float32)
    images = rng().integers(0, 256, shape, np.uint8)
    expected = ((images / np.float32(255)).astype(np.float32) - mean) / std
    for one in (images, np.asfortranarray(images)):
        out = normalise(one, mean, std)
        assert out.tobytes() == expected.tobytes()
        assert out.shape == shape


def test_normalise_refuses_floats() -> None:
    with pytest.raises(TypeError, match="float32"):
        normalise(np.zeros((1, 1, 1, 1), np.float32), 0, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0, 0], 1, "mean must be"),
        (0, [[1, 1, 1]], "std must be finite"),
        (np.nan, 1, "mean must be"),
        (0, 0, "std must be positive"),
        (0, [1, 1, -1], "std must be positive"),
    ],
)
def test_normalise_refuses_statistics_that_do_not_fit(mean, std, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        normalise(np.zeros((1, 1, 1, 3), np.uint8), mean, std)


@given(batches, st.integers(0, 2), st.sampled_from(["reflect", "zero"]), st.integers(0, 99))
def test_pad_and_crop_is_the_naive_one(images: np.ndarray, pad: int, mode, seed: int) -> None:
    offsets = offsets_of(len(images), pad, seed)
    out = pad_and_crop(images, pad, offsets, mode)
    assert np.array_equal(out, naive_pad_and_crop(images, pad, offsets, mode))
    assert out.dtype == np.uint8
    assert out.flags.c_contiguous


def test_zero_padding_may_be_wider_than_the_image() -> None:
    images, offsets = np.full((50, 2, 2, 1), 7, np.uint8), offsets_of(50, 5)
    assert np.array_equal(pad_and_crop(images, 5, offsets, "zero"), naive_pad_and_crop(images, 5, offsets, "zero"))


def test_the_offset_of_the_padding_leaves_images_in_place() -> None:
    images = rng().random((4, 3, 5, 2), np.float32)
    out = pad_and_crop(images, 2, np.full((4, 2), 2))
    assert np.array_equal(out, images)
    assert out.dtype == np.float32


@pytest.mark.parametrize(
    ("pad", "mode", "message"),
    [(-1, "zero", "0 or more, got -1"), (3, "reflect", r"\(3 x 4\)"), (1, "edge", "reflect, zero, got 'edge'")],
)
def test_pad_and_crop_refuses(pad: int, mode, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pad_and_crop(np.zeros((1, 3, 4, 1), np.uint8), pad, np.zeros((1, 2), np.int64), mode)


@pytest.mark.parametrize("offsets", [[[0, 0]], [[0, 3], [0, 0]], [[0, 0], [-1, 0]], [0, 0]])
def test_pad_and_crop_refuses_offsets(offsets: list) -> None:
    with pytest.raises(ValueError, match=r"offsets must be \(2, 2\) in 0..2"):
        pad_and_crop(np.zeros((2, 3, 4, 1), np.uint8), 1, np.array(offsets))


@given(batches, st.integers(0, 99))
def test_flip_mirrors_the_chosen_images(images: np.ndarray, seed: int) -> None:
    before = images.copy()
    chosen = rng(seed).random(len(images)) < 0.5
    out = flip(images, chosen)
    for i, flipped in enumerate(chosen):
        assert np.array_equal(out[i], before[i][:, ::-1] if flipped else before[i])
    assert np.array_equal(images, before)
    assert not np.shares_memory(out, images)


@pytest.mark.parametrize("chosen", [np.zeros(2, bool), np.zeros(3, np.int64), np.zeros((3, 1), bool)])
def test_flip_refuses_what_is_not_one_bool_an_image(chosen: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"chosen must be bool \(3,\)"):
        flip(np.zeros((3, 2, 2, 1), np.uint8), chosen)


def test_one_image_without_batch_is_refused() -> None:
    image = np.zeros((3, 3, 1), np.uint8)
    with pytest.raises(ValueError, match="N, H, W, C"):
        flip(image, np.zeros(3, bool))
    with pytest.raises(ValueError, match="N, H, W, C"):
        pad_and_crop(image, 1, np.zeros((3, 2), np.int64))


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_keeps_an_image_of_the_right_size(channels: int) -> None:
    image = rng().integers(0, 256, (5, 7, channels), np.uint8)
    out = resize_to(image, (5, 7))
    assert np.array_equal(out, image)
    assert not np.shares_memory(out, image)


def test_resize_shrinks_by_averaging() -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 255  # without antialiasing, 8-fold shrinking would give all 0 or all 255
    out = resize_to(stripes, (4, 8))
    assert out.shape == (4, 8, 3)
    assert np.abs(out.astype(int) - 127).max() < 10


def test_resize_keeps_height_and_width_apart() -> None:
    image = np.zeros((2, 4, 1), np.uint8)
    image[1] = 255
    out = resize_to(image, (8, 3))
    assert out.shape == (8, 3, 1)
    assert out[0].max() == 0
    assert out[-1].min() == 255


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (np.zeros((2, 2, 2), np.uint8), (3, 3)),
        (np.zeros((2, 2), np.uint8), (3, 3)),
        (np.zeros((2, 2, 1), np.float32), (3, 3)),
        (np.zeros((2, 2, 1), np.uint8), (0, 3)),
    ],
)
def test_resize_refuses(image: np.ndarray, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        resize_to(image, size)


@pytest.mark.parametrize("channels", [1, 3])
def test_resample_is_a_part_of_the_resized_image(channels: int) -> None:
    image = rng().integers(0, 256, (30, 40, channels), np.uint8)
    whole = resize_to(image, (45, 60))
    part = resample(image, (5 / 1.5, 8 / 1.5, 35 / 1.5, 48 / 1.5), (30, 40))
    assert np.abs(part.astype(int) - whole[5:35, 8:48]).max() <= 2  # Pillow rounds the box to float32
