from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet_datasets import Augment, Split, batches, normalise, num_batches

RAW = {"mean": 0.0, "std": 1.0}


def split_of(n: int) -> Split:
    """Images that all differ; each label is the place of its image."""
    images = np.random.default_rng(7).integers(0, 256, (n, 4, 6, 3), np.uint8)
    return Split(images, np.arange(n, dtype=np.int64))


def joined(*args: object, **options: object) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*batches(*args, **options), strict=True)  # type: ignore[arg-type]
    return np.concatenate(images), np.concatenate(labels)


@given(st.integers(0, 40), st.integers(1, 12), st.booleans(), st.booleans())
def test_number_and_sizes(n: int, batch_size: int, shuffle: bool, drop_last: bool) -> None:
    result = list(batches(split_of(n), batch_size, **RAW, shuffle=shuffle, drop_last=drop_last))
    assert len(result) == num_batches(n, batch_size, drop_last)
    sizes = [len(labels) for _, labels in result]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert sum(sizes) == (n - n % batch_size if drop_last else n)
    for images, labels in result:
        assert images.dtype == np.float32
        assert images.shape == (len(labels), 4, 6, 3)
        assert labels.dtype == np.int64


def test_without_options_it_is_the_split_in_order() -> None:
    split = split_of(10)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7])
    images, labels = joined(split, 4, mean=mean, std=std)
    assert labels.tolist() == list(range(10))
    assert np.array_equal(images, normalise(split.images, mean, std))


def test_shuffled_images_keep_their_labels() -> None:
    split = split_of(50)
    images, labels = joined(split, 8, **RAW, shuffle=True)
    assert sorted(labels.tolist()) == list(range(50))
    assert labels.tolist() != list(range(50))
    assert np.array_equal(images, normalise(split.images[labels], 0, 1))


def test_order_follows_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return joined(split_of(50), 8, **RAW, shuffle=True, seed=seed, epoch=epoch)[1].tolist()

    assert order(3, 4) == order(3, 4)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


AUGMENT = Augment(pad=2, flip=True)


def test_augmentation_follows_from_seed_and_epoch() -> None:
    def images(seed: int, epoch: int) -> bytes:
        return joined(split_of(20), 8, **RAW, seed=seed, epoch=epoch, augment=AUGMENT)[0].tobytes()

    assert images(3, 4) == images(3, 4)
    assert len({images(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize("shuffle", [False, True])
def test_batch_size_changes_no_image(shuffle: bool) -> None:
    whole = joined(split_of(23), 23, **RAW, shuffle=shuffle, augment=AUGMENT)
    parts = joined(split_of(23), 5, **RAW, shuffle=shuffle, augment=AUGMENT)
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])


def test_flip_alone_mirrors_some_images() -> None:
    split = split_of(40)
    images, _ = joined(split, 8, **RAW, augment=Augment(flip=True))
    plain = normalise(split.images, 0, 1)
    same = (images == plain).all(axis=(1, 2, 3))
    mirrored = (images == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 5 < mirrored.sum() < 35


def test_zero_padding_comes_before_normalising() -> None:
    white = Split(np.full((30, 4, 4, 1), 255, np.uint8), np.zeros(30, np.int64))
    images, _ = joined(white, 30, mean=0.5, std=0.5, augment=Augment(pad=1, mode="zero"))
    assert set(np.unique(images)) == {-1.0, 1.0}


def test_batches_do_not_touch_the_split() -> None:
    split = split_of(6)
    before = split.images.copy()
    for images, labels in batches(split, 2, **RAW, augment=AUGMENT):
        images += 1
        labels += 1
    assert np.array_equal(split.images, before)
    assert split.labels.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("batch_size", "options", "message"),
    [
        (0, {}, "batch_size must be a whole number of at least 1, got 0"),
        (2.0, {}, r"batch_size .* got 2\.0"),
        (True, {}, "batch_size .* got True"),
        (2, {"seed": -1}, "seed .* at least 0, got -1"),
        (2, {"epoch": 0.5}, r"epoch .* got 0\.5"),
        (2, {"mean": [0, 0]}, "mean must be"),
        (2, {"std": 0}, "std must be positive"),
        (2, {"augment": Augment(pad=4)}, "pad must be less"),
        (2, {"augment": Augment(pad=-1)}, "pad must be 0 or more"),
        (2, {"augment": Augment(pad=1, mode="edge")}, "mode must be one of reflect, zero"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_are_refused_at_the_call(batch_size, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batches(split_of(8), batch_size, **{**RAW, **options})


def test_num_batches_refuses() -> None:
    with pytest.raises(ValueError, match="n must be"):
        num_batches(-1, 2)
    with pytest.raises(ValueError, match="batch_size must be"):
        num_batches(4, 0)
