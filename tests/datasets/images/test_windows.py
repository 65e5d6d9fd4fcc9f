from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from binnet_datasets.images.windows import corners, cut, resized_to

sides = st.integers(1, 700)
pairs = st.tuples(sides, sides)


def resized(size: tuple[int, int], window: tuple[int, int], short: int | None = None) -> tuple[int, int]:
    result = resized_to(np.array([size]), window, None if short is None else np.array([short]))
    assert result.dtype == np.int64
    return tuple(result[0].tolist())


@pytest.mark.parametrize(
    ("size", "window", "expected"),
    [
        ((256, 341), (224, 224), (256, 341)),  # as stored
        ((500, 375), (224, 224), (341, 256)),  # shrinks to 256
        ((240, 300), (224, 224), (240, 300)),  # in between
        ((224, 224), (224, 224), (224, 224)),  # the whole image
        ((112, 100), (224, 224), (251, 224)),  # grows to cover
        ((8, 8), (8, 8), (8, 8)),
        ((64, 85), (64, 64), (64, 85)),
        ((128, 128), (64, 64), (73, 73)),
        ((28, 20), (28, 20), (28, 20)),  # a window that is no square
        ((28, 40), (28, 20), (28, 40)),
        ((56, 40), (28, 20), (32, 23)),
        ((14, 20), (28, 20), (28, 40)),
    ],
)
def test_sizes_of_images_before_cutting(size, window, expected) -> None:
    assert resized(size, window) == expected


@given(pairs, st.integers(1, 400))
def test_short_side_lies_between_the_window_and_256_in_224(size: tuple[int, int], window: int) -> None:
    view = round(window * 256 / 224)
    assert min(resized(size, (window, window))) == min(max(min(size), window), view)


@given(pairs, pairs)
def test_windows_are_covered_and_proportions_kept(size: tuple[int, int], window: tuple[int, int]) -> None:
    rows, columns = resized(size, window)
    assert rows >= window[0]
    assert columns >= window[1]
    # Each side is within half a pixel of factor * side, or the window's: the factors they allow have one in common.
    low = max((rows - 0.5) / size[0], (columns - 0.5) / size[1])
    high = min((rows + 0.5) / size[0], (columns + 0.5) / size[1])
    assert low <= high + 1e-9


@given(pairs, st.integers(1, 50), st.integers(0, 300))
def test_a_short_side_that_was_drawn_is_met(size: tuple[int, int], window: int, more: int) -> None:
    result = resized(size, (window, window), window + more)
    assert min(result) == window + more


def test_a_short_side_that_does_not_cover_the_window_grows_in_proportion() -> None:
    assert resized((16, 40), (16, 40), 16) == (16, 40)
    assert resized((40, 16), (16, 40), 16) == (100, 40)


@given(pairs, st.tuples(st.integers(0, 20), st.integers(0, 20)), st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2))
def test_corners_leave_the_window_inside(window: tuple[int, int], room: tuple[int, int], place) -> None:
    outer = np.add([window], room)
    corner = corners(outer, window, np.array([place]))[0]
    assert (corner >= 0).all()
    assert (corner <= room).all()
    assert corners(outer, window)[0].tolist() == [room[0] // 2, room[1] // 2]


def test_every_corner_is_as_likely() -> None:
    places = np.stack(np.meshgrid(np.arange(400) / 400, np.arange(400) / 400), axis=-1).reshape(-1, 2)
    corner = corners(np.broadcast_to([10, 8], (len(places), 2)), (7, 7), places)
    counts = np.unique(corner, axis=0, return_counts=True)[1]
    assert counts.tolist() == [160_000 // 8] * 8
    last = np.nextafter(1.0, 0.0)
    assert corners(np.array([[10**6, 777]]), (1, 1), np.array([[last, last]])).tolist() == [[10**6 - 1, 776]]


def image_of(h: int, w: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (h, w, channels), np.uint8)


def test_an_image_of_the_right_size_is_cut_as_it_is() -> None:
    image = image_of(9, 12, 3)
    out = cut(image, np.array([9, 12]), np.array([2, 5]), (4, 6))
    assert np.array_equal(out, image[2:6, 5:11])


@given(
    st.integers(2, 40),
    st.integers(2, 40),
    st.sampled_from([1, 3]),
    st.tuples(st.integers(3, 60), st.integers(3, 60)),
    st.data(),
)
def test_a_resized_window_is_that_of_the_resized_image(h: int, w: int, channels: int, to, data) -> None:
    image = image_of(h, w, channels)
    window = data.draw(st.tuples(st.integers(1, to[0]), st.integers(1, to[1])))
    y, x = data.draw(st.tuples(st.integers(0, to[0] - window[0]), st.integers(0, to[1] - window[1])))
    out = cut(image, np.array(to), np.array([y, x]), window)
    whole = np.asarray(Image.fromarray(image.squeeze(2) if channels == 1 else image).resize(to[::-1], 2))
    expected = whole.reshape(*to, channels)[y : y + window[0], x : x + window[1]]
    assert out.shape == expected.shape
    assert np.abs(out.astype(int) - expected).max() <= 2  # Pillow rounds the box to float32
