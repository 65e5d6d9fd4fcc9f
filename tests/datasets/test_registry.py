from __future__ import annotations

from pathlib import Path

import pytest

from binnet_datasets import DataError, load, names


def test_names() -> None:
    assert names() == ("digits", "mnist", "fashion-mnist", "cifar10")


@pytest.mark.parametrize("name", ["imagenet", "MNIST", "", None])
def test_wrong_name_lists_the_names_there_are(name) -> None:
    with pytest.raises(DataError, match=f"digits, mnist, fashion-mnist, cifar10, but got {name!r}"):
        load(name)


def test_home_is_expanded(mnist_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(mnist_folder.parent))
    assert len(load("mnist", "~/mnist").train) == 12


def test_home_of_nobody_is_a_data_error() -> None:
    with pytest.raises(DataError, match="~no such user"):
        load("mnist", "~no such user/mnist")
