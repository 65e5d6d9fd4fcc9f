from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet_datasets import Augment
from binnet_datasets.batching.augment import Draws, Sampling, draw

ALL = Augment(pad=2, flip=True, scale=(10, 14))


def test_only_what_is_asked_for_is_drawn() -> None:
    def drawn(augment: Augment) -> set[str]:
        draws = draw(5, Sampling(True, 0, augment), 0)
        return {field.name for field in fields(Draws) if getattr(draws, field.name) is not None}

    assert drawn(Augment()) == {"order"}
    assert drawn(Augment(pad=1)) == {"order", "padding"}
    assert drawn(Augment(flip=True)) == {"order", "flipped"}
    assert drawn(Augment(crop=True)) == {"order", "place"}
    assert drawn(Augment(scale=(3, 4))) == {"order", "place", "short"}


@given(st.integers(0, 40), st.booleans())
def test_an_epoch_has_every_image_once(n: int, shuffle: bool) -> None:
    order = draw(n, Sampling(shuffle, 1), 2).order
    assert sorted(order.tolist()) == list(range(n))
    assert shuffle or order.tolist() == list(range(n))


def test_spans() -> None:
    draws = draw(4000, Sampling(True, 0, ALL), 0)
    assert np.unique(draws.padding).tolist() == [0, 1, 2, 3, 4]
    assert np.unique(draws.short).tolist() == [10, 11, 12, 13, 14]
    assert 0 <= draws.place.min() < 0.01 < 0.99 < draws.place.max() < 1
    assert 1850 < draws.flipped.sum() < 2150


def test_each_kind_has_a_stream_of_its_own() -> None:
    every = draw(50, Sampling(True, 3, ALL), 4)
    for augment in (Augment(pad=2), Augment(flip=True), Augment(crop=True), Augment(scale=(10, 14))):
        some = draw(50, Sampling(True, 3, augment), 4)
        for field in fields(Draws):
            if getattr(some, field.name) is not None:
                assert np.array_equal(getattr(some, field.name), getattr(every, field.name)), field.name


def test_parts_of_an_epoch() -> None:
    draws = draw(9, Sampling(True, 0, Augment(flip=True)), 0)
    part = draws.part(slice(3, 5))
    assert part.order.tolist() == draws.order.tolist()[3:5]
    assert part.flipped.tolist() == draws.flipped.tolist()[3:5]
    assert part.padding is None


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (Augment(scale=(7, 9)), r"scale must be two whole numbers, .* at least 8, got \(7, 9\)"),
        (Augment(scale=(9, 8)), r"scale .* got \(9, 8\)"),
        (Augment(scale=(8.5, 9)), r"scale .* got \(8.5, 9\)"),
        (Augment(scale=(8, 9, 10)), r"scale .* got \(8, 9, 10\)"),
        (Augment(pad=6), "pad must be less"),
    ],
)
def test_what_does_not_suit_the_images(augment: Augment, message: str) -> None:
    Augment(scale=(8, 8)).check((6, 8))
    with pytest.raises(ValueError, match=message):
        augment.check((6, 8))
