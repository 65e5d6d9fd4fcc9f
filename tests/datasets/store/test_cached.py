from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from binnet_datasets import DataError, build_store, holds_images, load, load_evaluation
from binnet_datasets.store.journal import Journal


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


def test_parts_of_a_folder_have_stores_of_their_own(source: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        for split in ("train", "val"):
            load_evaluation(source, split, cache=tmp_path / "cache", notes=said.append)
    first_words = [sentence.split()[0] for sentence in said if "store of" in sentence]
    assert first_words == ["building", "building", "using", "using"]


def test_a_build_that_runs_is_left_alone(source: Path, tmp_path: Path, picture) -> None:
    cache = tmp_path / "cache"
    first = load(None, source, cache)
    old = stores(cache)[0]
    with Journal(old, "another state of the folder", 0, 3) as journal:
        (source / "train/n01/new.png").write_bytes(picture(99))
        load(None, source, cache)
        assert (journal.pixels.exists(), journal.path.exists(), old.exists()) == (True, True, False)
    assert len(first.train.images[0]) == 24  # who has the old store open goes on with it


@pytest.mark.parametrize("place", [0, 20, -3000])
def test_a_damaged_store_is_built_again(source: Path, tmp_path: Path, place: int) -> None:
    load(None, source, tmp_path / "cache")
    path = stores(tmp_path / "cache")[0]
    whole = path.read_bytes()
    path.write_bytes(b"" if place == 0 else whole[:place] + bytes(1000) + whole[place:][1000:])
    notes: list[str] = []
    assert len(load(None, source, tmp_path / "cache", notes=notes.append).train) == 18
    assert any(str(path) in note and note.endswith("; building it again") for note in notes)
    assert path.read_bytes() == whole
    assert stores(tmp_path / "cache") == [path]


def test_a_store_with_damaged_pixels_is_built_again(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    load(None, source, cache)
    path = stores(cache)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:])
    images = load(None, source, cache).train.images
    with pytest.raises(DataError, match=r"deleted from the cache, and the same command builds it again"):
        [images[i] for i in range(18)]
    assert stores(cache) == []
    load(None, source, cache)
    assert path.read_bytes() == whole
    with pytest.raises(DataError, match=r"is damaged"):
        [images[i] for i in range(18)]
    assert stores(cache) == [path]  # not that one, which is whole


def test_a_cache_that_cannot_be_written_to(source: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "file" / "data"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for opening in ("building a store of", "using the store of"):
        notes: list[str] = []
        assert len(load(None, source, notes=notes.append).train) == 18
        assert "cannot be written to (Not a directory)" in notes[0]
        assert "BINNET_DATA (and BINNET_CACHE_DIR" in notes[0]
        assert notes[1].startswith(opening)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(DataError, match="environment variable BINNET_DATA"):
        load(None, source)


def test_a_folder_of_somebody_else_is_not_used(source: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BINNET_DATA", "/dev/null/data")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    theirs = tmp_path / f"binnet-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o777)
    load(None, source)
    assert list(theirs.iterdir()) == []


@pytest.mark.parametrize("use", [load_evaluation, lambda path: load(None, path)])
def test_a_store_that_cannot_be_read_is_said(source: Path, tmp_path: Path, use) -> None:
    build_store(source, tmp_path / "own.h5")
    os.truncate(tmp_path / "own.h5", 5000)
    assert holds_images(tmp_path / "own.h5")
    with pytest.raises(DataError, match=r"own.h5 is cut off"):
        use(tmp_path / "own.h5")


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
