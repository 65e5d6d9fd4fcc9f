from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from binnet_datasets import DataError, build_store, holds_images, load


@pytest.fixture
def source(tmp_path: Path, imagenet, write) -> Path:
    return write(tmp_path / "photos", imagenet)


def stores(cache: Path) -> list[Path]:
    return sorted((cache / "stores").iterdir())


def test_a_folder_is_built_once(source: Path, tmp_path: Path) -> None:
    cache, notes, done = tmp_path / "cache", [], []
    options = {"cache": cache, "notes": notes.append, "building": lambda *counts: done.append(counts)}
    first = load(None, source, **options)
    assert first.name == "photos"
    assert (len(first.train), len(first.test)) == (18, 6)
    assert done[-1] == (24, 24)
    assert notes[0] == f"building a store of {source}, once: {stores(cache)[0]}"
    about = notes[1:]
    assert about[0].startswith("3 classes (training + validation images): goldfish 6 + 2, ")
    before = stores(cache)[0].stat().st_mtime_ns
    again = load(None, str(source), **options)
    notes = notes[1 + len(about) :]
    assert notes[1:] == about
    assert notes[0] == f"using the store of {source} built earlier: {stores(cache)[0]}"
    assert done[-1] == done[len(done) - 1] == (24, 24)
    assert [path.stat().st_mtime_ns for path in stores(cache)] == [before]
    assert np.array_equal(first.train.images[3], again.train.images[3])


def test_a_folder_that_has_changed_is_built_anew(source: Path, tmp_path: Path, picture) -> None:
    cache = tmp_path / "cache"
    load(None, source, cache)
    old = stores(cache)
    (cache / "stores" / f".{old[0].name}.part").write_bytes(b"of a build that was stopped")
    (source / "train/n01/new.png").write_bytes(picture(99))
    assert len(load(None, source, cache).train) == 19
    assert len(stores(cache)) == 1
    assert stores(cache) != old


def test_folders_of_the_same_name_do_not_meet(tmp_path: Path, imagenet, write) -> None:
    one, two = (write(tmp_path / name / "photos", imagenet) for name in "ab")
    for folder in (one, two, one, two):
        load(None, folder, tmp_path / "cache")
    assert len(stores(tmp_path / "cache")) == 2


def test_a_tar_and_a_store(tmp_path: Path, imagenet, to_tar) -> None:
    (tmp_path / "photos.tar").write_bytes(to_tar(imagenet))
    assert len(load(None, tmp_path / "photos.tar", tmp_path / "cache").train) == 18
    build_store(tmp_path / "photos.tar", tmp_path / "own.h5")
    assert len(load(None, tmp_path / "own.h5", tmp_path / "unused").test) == 6
    assert not (tmp_path / "unused").exists()


def test_corrupt_images_are_named(source: Path, tmp_path: Path) -> None:
    (source / "train/n01/n01_0.png").write_bytes(b"")
    notes: list[str] = []
    load(None, source, tmp_path / "cache", notes=notes.append)
    assert notes[-1].startswith("left out train/n01/n01_0.png: ")


def test_the_default_cache(source: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "data"))
    load(None, source)
    assert len(stores(tmp_path / "data")) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "but there is nothing"), ("empty", "there are none among 0 files"), ("x.txt", "but it is neither")],
)
def test_what_holds_no_images(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("text " * 1000)
    with pytest.raises(DataError, match=message):
        load(None, tmp_path / name, tmp_path / "cache")


def test_what_needs_no_name(source: Path, tmp_path: Path, imagenet, to_tar, mnist_folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))
    (tmp_path / "photos.tar").write_bytes(to_tar(imagenet))
    (tmp_path / "photos.tgz").write_bytes(gzip.compress(to_tar(imagenet)))
    (tmp_path / "cifar.tar.gz").write_bytes(gzip.compress(to_tar({"batch.bin": bytes(9)})))
    (tmp_path / "no.tar").write_bytes(to_tar({"a.txt": b""}))
    build_store(source, tmp_path / "own.h5")
    assert all(holds_images(path) for path in (source, str(tmp_path / "photos.tar"), tmp_path / "own.h5"))
    assert holds_images(tmp_path / "photos.tgz")
    others = (mnist_folder, tmp_path / "cifar.tar.gz", tmp_path / "no.tar", tmp_path / "nothing", "~nobody at all")
    assert not any(holds_images(path) for path in others)
