from __future__ import annotations

import gc
import threading
import weakref
from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet_datasets import Augment, DataError, Loader, Sampling, Split, View, batches, normalise, num_batches
from binnet_datasets.batching import loader

from ..fakes import FakeImages, coordinates

RAW = {"mean": 0.0, "std": 1.0}
OF_VIEW = ("image_size", "short_side", "whole")
OF_SAMPLING = ("shuffle", "seed", "augment")


def loader_of(split: Split, batch_size: int, mean: float = 0, std: float = 1, workers: int = 1, **options) -> Loader:
    """A Loader from flat options."""
    view = View(**{name: options.pop(name) for name in OF_VIEW if name in options})
    sampling = Sampling(**{name: options.pop(name) for name in OF_SAMPLING if name in options})
    return Loader(split, batch_size, mean=mean, std=std, view=view, sampling=sampling, workers=workers, **options)


def split_of(n: int) -> Split:
    """Images that all differ; each label is the place of its image."""
    images = np.random.default_rng(7).integers(0, 256, (n, 4, 6, 3), np.uint8)
    return Split(images, np.arange(n, dtype=np.int64))


def joined(*args: object, **options: object) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*batches(*args, **options), strict=True)  # type: ignore[arg-type]
    return np.concatenate(images), np.concatenate(labels)


@given(st.integers(0, 40), st.integers(1, 12), st.booleans())
def test_number_and_sizes(n: int, batch_size: int, shuffle: bool) -> None:
    result = list(batches(split_of(n), batch_size, **RAW, shuffle=shuffle))
    assert len(result) == num_batches(n, batch_size)
    sizes = [len(labels) for _, labels in result]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert sum(sizes) == n
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


SIZES = [(12, 12), (12, 16), (16, 12), (9, 20), (30, 24), (6, 6), (10, 11)] * 3


def mixed(sizes=SIZES) -> Split:
    """A split that is no array, of images of several sizes; each label is the place of its image."""
    return Split(coordinates(sizes), np.arange(len(sizes), dtype=np.int64))


def collected(split: Split, batch_size: int = 4, epoch: int = 0, skip: int = 0, **options) -> tuple[np.ndarray, list]:
    images, labels = zip(*loader_of(split, batch_size, **{**RAW, **options}).epoch(epoch, skip), strict=True)
    return np.concatenate(images), np.concatenate(labels).tolist()


def pixels(images: np.ndarray) -> np.ndarray:
    """What `normalise` has made of them with mean 0 and deviation 1, undone."""
    return np.rint(images * 255).astype(int)


EVERYTHING = {
    "in memory": (split_of(21), {"augment": AUGMENT}),
    "several sizes": (mixed(), {"image_size": 10, "augment": Augment(pad=2, flip=True, crop=True)}),
    "scaled": (mixed(), {"image_size": (9, 8), "augment": Augment(flip=True, scale=(10, 13))}),
    "at the centre": (mixed(), {"image_size": 10}),
}


@pytest.mark.parametrize("case", EVERYTHING)
@given(workers=st.integers(0, 3), batch_size=st.integers(1, 25), skip=st.integers(0, 3), epoch=st.integers(0, 2))
def test_same_images_whatever_the_workers_the_batches_and_where_it_begins(
    case: str, workers: int, batch_size: int, skip: int, epoch: int
) -> None:
    split, options = EVERYTHING[case]
    images, labels = collected(split, 21, epoch, shuffle=True, seed=5, workers=0, **options)
    some = loader_of(split, batch_size, **RAW, shuffle=True, seed=5, workers=workers, **options)
    parts = list(some.epoch(epoch, skip))
    assert len(parts) == max(0, len(some) - skip)
    left_out = skip * batch_size if parts else len(labels)  # a single image at the end belongs to the batch before
    assert [label for part in parts for label in part[1].tolist()] == labels[left_out:]
    assert b"".join(part[0].tobytes() for part in parts) == images[left_out:].tobytes()


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(20, [21]), (10, [10, 11]), (19, [19, 2]), (1, [1] * 21), (30, [21])]
)
def test_a_single_image_at_the_end_joins_the_batch_before(batch_size: int, sizes: list[int]) -> None:
    split, options = EVERYTHING["in memory"]
    assert len(split) == 21
    loader = loader_of(split, batch_size, **RAW, **options)
    assert [len(labels) for _, labels in loader.epoch()] == sizes
    assert len(loader) == len(sizes)
    assert num_batches(1, 4) == 1


def test_epochs_differ_and_have_every_image_once() -> None:
    epochs = [collected(mixed(), epoch=epoch, image_size=10, shuffle=True)[1] for epoch in range(3)]
    assert len({tuple(labels) for labels in epochs}) == 3
    assert all(sorted(labels) == list(range(21)) for labels in epochs)


def test_the_centre_is_cut_out_of_larger_images() -> None:
    images, labels = collected(mixed([(11, 12), (10, 15), (13, 10)]), image_size=10)
    first = pixels(images)[:, 0, 0]
    assert first.tolist() == [[0, 1, 0], [0, 2, 1], [1, 0, 2]]
    assert pixels(images)[:, -1, -1].tolist() == [[9, 10, 0], [9, 11, 1], [10, 9, 2]]
    assert labels == [0, 1, 2]


def test_images_of_the_size_itself_keep_their_pixels() -> None:
    split = mixed([(6, 8)] * 5)
    images, _ = collected(split)
    assert np.array_equal(pixels(images), [split.images[i] for i in range(5)])
    images, _ = collected(split, augment=Augment(crop=True))
    assert np.array_equal(pixels(images), [split.images[i] for i in range(5)])


def test_random_windows_lie_inside_and_everywhere() -> None:
    images, labels = collected(mixed([(12, 11)] * 120), image_size=10, augment=Augment(crop=True, flip=True))
    corners = set()
    for image, number in zip(pixels(images), labels, strict=True):
        upright = image if image[0, 0, 1] < image[0, 1, 1] else image[:, ::-1]
        y, x = upright[0, 0, :2].tolist()
        expected = np.stack(np.broadcast_arrays(np.arange(y, y + 10)[:, None], np.arange(x, x + 10), number), axis=-1)
        assert np.array_equal(upright, expected)
        corners.add((y, x, upright is image))
    assert corners == {(y, x, kept) for y in range(3) for x in range(2) for kept in (False, True)}


def test_scaling_shows_more_or_less_of_the_image() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 6, dtype=np.uint8)[:, None, None], (40, 40, 1))
    split = Split(np.repeat(ramp[None], 60, axis=0), np.arange(60))
    images, _ = collected(split, image_size=20, augment=Augment(scale=(20, 60)))
    spans = np.ptp(pixels(images), axis=(1, 2, 3))
    # 20 pixels of 20 show all 40 rows, of 60 a third of them.
    assert spans.max() > 200
    assert spans.min() < 90
    assert images.shape == (60, 20, 20, 1)


def test_small_images_grow_until_they_cover_the_window() -> None:
    flat = Split(FakeImages([np.full((3, 5, 1), 51, np.uint8)]), np.zeros(1, np.int64))
    images, _ = collected(flat, image_size=(8, 8))
    assert images.shape == (1, 8, 8, 1)
    assert np.unique(pixels(images)).tolist() == [51]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_what_goes_wrong_in_a_worker_comes_to_the_consumer(workers: int) -> None:
    class Damaged(FakeImages):
        def __getitem__(self, i: int) -> np.ndarray:
            if i == 6:
                raise DataError("expected image 6, but it is damaged")
            return super().__getitem__(i)

    split = Split(Damaged([np.zeros((2, 2, 1), np.uint8)] * 9), np.zeros(9, np.int64))
    made = loader_of(split, 2, **RAW, workers=workers).epoch()
    assert len(list(islice(made, 3))) == 3
    with pytest.raises(DataError, match="expected image 6, but it is damaged"):
        next(made)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_few_batches_are_made_ahead(workers: int) -> None:
    split = mixed([(4, 4)] * 200)
    alive: list[weakref.ref] = []
    most = 0
    for number, (images, _) in enumerate(loader_of(split, 4, **RAW, workers=workers).epoch()):
        assert len(split.images.asked) <= 4 * (number + 1 + (workers + 2 if workers else 0))
        alive = [other for other in [*alive, weakref.ref(images)] if other() is not None]
        most = max(most, len(alive))
    assert most <= 2


def test_batches_are_made_in_the_background_until_the_loop_is_left() -> None:
    split = mixed([(4, 4)] * 200)
    for _ in loader_of(split, 4, **RAW, workers=2).epoch():
        break
    gc.collect()
    assert threading.current_thread() not in split.images.threads
    assert not any(thread.is_alive() for thread in split.images.threads)
    assert len(split.images.asked) < 200


def test_skipped_batches_are_not_made() -> None:
    split = mixed([(4, 4)] * 20)
    assert collected(split, skip=4)[1] == [16, 17, 18, 19]
    assert sorted(split.images.asked) == [16, 17, 18, 19]


def test_time_spent_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count()
    monkeypatch.setattr(loader, "perf_counter", lambda: next(clock))  # each wait looks twice: one second each
    some = loader_of(split_of(10), 4, **RAW)
    assert some.waited == 0
    for number, _ in enumerate(some.epoch(), start=1):
        assert some.waited == number
    next(some.epoch(1))
    assert some.waited == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "image_size must be given for images of several sizes"),
        ({"image_size": 0}, "image_size must be a whole number of at least 1, got 0"),
        ({"image_size": (4, 2.5)}, "image_size must be a whole number of at least 1, got 2.5"),
        ({"image_size": 8, "workers": -1}, "workers must be a whole number of at least 0, got -1"),
        ({"image_size": 8, "augment": Augment(scale=(7, 9))}, r"scale must be .* at least 8, got \(7, 9\)"),
        ({"image_size": 8, "augment": Augment(pad=8)}, "pad must be less"),
    ],
)
def test_a_loader_refuses(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loader_of(mixed(), 4, **RAW, **options)


def test_only_grey_and_colour_images_are_resized() -> None:
    split = Split(np.zeros((2, 6, 6, 2), np.uint8), np.zeros(2, np.int64))
    assert len(loader_of(split, 1, **RAW)) == 2
    with pytest.raises(ValueError, match="images must have 1 or 3 channels to be resized, got 2"):
        loader_of(split, 1, **RAW, image_size=5)


@pytest.mark.parametrize("options", [{"epoch": -1}, {"skip": -1}, {"skip": 1.0}])
def test_an_epoch_refuses_at_the_call(options: dict) -> None:
    some = loader_of(split_of(4), 2, **RAW)
    with pytest.raises(ValueError, match=next(iter(options))):
        some.epoch(**options)


def test_whole_images_and_a_short_side_of_ones_own() -> None:
    ramp = np.broadcast_to(np.arange(40, dtype=np.uint8)[None, :, None], (20, 40, 1))
    split = Split(np.ascontiguousarray(ramp)[None], np.zeros(1, np.int64))
    common = {"mean": 0, "std": 1, "image_size": 10, "workers": 0}
    ((whole, _),) = loader_of(split, 1, whole=True, **common).epoch()
    assert np.rint(whole[0, 0, [0, -1], 0] * 255).tolist() == [2, 37]
    ((middle, _),) = loader_of(split, 1, short_side=20, **common).epoch()
    assert np.rint(middle[0, 0, :, 0] * 255).tolist() == [*range(15, 25)]
    ((small, _),) = loader_of(split, 1, short_side=5, **common).epoch()  # grows until the window is covered
    assert np.rint(small[0, 0, [0, -1], 0] * 255).tolist() == [11, 29]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"short_side": 0}, "short_side must be a whole number of at least 1"),
        ({"short_side": 9, "augment": Augment(scale=(8, 9))}, "short_side and random scales"),
        ({"short_side": 9, "whole": True}, "whole images leave nothing"),
        ({"whole": True, "augment": Augment(crop=True)}, "whole images leave nothing"),
    ],
)
def test_contradictions_about_what_is_shown(wrong: dict[str, object], message: str) -> None:
    split = Split(np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match=message):
        loader_of(split, 1, mean=0, std=1, **wrong)  # type: ignore[arg-type]


def test_a_share_of_each_batch_is_made_and_the_labels_of_all():
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (22, 6, 5, 3), dtype=np.uint8), np.arange(22))
    how = {"mean": 0.5, "std": 0.25, "sampling": Sampling(True, 3, Augment(pad=1, flip=True))}
    whole = list(Loader(split, 5, **how).epoch(2))

    def share(epoch, number, n):
        assert epoch == 2
        return np.arange(number % 2, n, 2)

    parts = list(Loader(split, 5, **how, share=share).epoch(2))
    assert len(parts) == len(whole)
    for number, ((images, labels), (part, all_labels)) in enumerate(zip(whole, parts, strict=True)):
        np.testing.assert_array_equal(part, images[number % 2 :: 2])
        np.testing.assert_array_equal(all_labels, labels)


def test_each_second_batch_alone():
    split = Split(np.zeros((23, 2, 2, 1), np.uint8), np.arange(23))
    loader = Loader(split, 5, mean=0.5, std=0.25)
    assert [labels[0] for _, labels in loader.epoch(skip=1, every=2)] == [5, 15]
    with pytest.raises(ValueError, match="every must be a whole number of at least 1, got 0"):
        loader.epoch(every=0)
