from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

import binnet_datasets
from binnet_datasets import DataError, Images, build_store, is_store, open_store, read_store


@pytest.fixture
def store(tmp_path: Path, imagenet, write) -> Path:
    out = tmp_path / "out.h5"
    build_store(write(tmp_path / "source", imagenet), out)
    return out


def test_images_are_what_the_protocol_says(store: Path) -> None:
    images = open_store(store).train.images
    assert isinstance(images, Images)
    assert (len(images), images.channels) == (18, 3)
    assert images.sizes.dtype == np.int64
    assert images.sizes.tolist() == [[24, 32]] * 18
    assert images[np.int64(3)].shape == (24, 32, 3)
    assert np.array_equal(images[-1], images[17])
    for i in (18, -19):
        with pytest.raises(IndexError):
            images[i]
    with pytest.raises(TypeError):
        images["a"]  # type: ignore[index]


def test_pixels_are_where_the_page_about_the_format_says(store: Path) -> None:
    dataset = open_store(store)
    with h5py.File(store) as file:
        for part, split in (("train", dataset.train), ("val", dataset.test)):
            for i, (offset, (rows, columns)) in enumerate(
                zip(file[part]["offsets"][:], file[part]["sizes"][:], strict=True)
            ):
                pixels = file["pixels"][offset : offset + rows * columns * 3].reshape(rows, columns, 3)
                assert np.array_equal(pixels, split.images[i])


def test_many_threads_read_the_same(store: Path) -> None:
    images = open_store(store).train.images
    expected = [images[i] for i in range(18)]
    with ThreadPoolExecutor(8) as pool:
        for i, image in zip(list(range(18)) * 50, pool.map(images.__getitem__, list(range(18)) * 50), strict=True):
            assert np.array_equal(image, expected[i])


def test_an_open_store_outlives_its_name(store: Path) -> None:
    dataset = open_store(store)
    store.unlink()
    assert dataset.test.images[5].shape == (24, 32, 3)


def test_files_are_closed_when_nobody_needs_them(store: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("the system does not list open files")
    before = len(list(folder.iterdir()))
    for _ in range(20):
        open_store(store)
    assert len(list(folder.iterdir())) == before


def test_is_store(store: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["pixels"] = np.zeros(3)
    (tmp_path / "text").write_text("text")
    (tmp_path / "cut.h5").write_bytes(store.read_bytes()[:100])
    assert is_store(store)
    assert is_store(str(store))
    assert not any(is_store(tmp_path / name) for name in ("other.h5", "text", "cut.h5", "none", "source"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.h5", "expected an image store at .*none.h5, but there is no file"),
        ("source", "but there is a folder"),
        ("text.h5", "text.h5 is no image store .binnet data build makes one"),
        ("void.h5", "void.h5 is empty"),
        ("other.h5", "other.h5 is an HDF5 file, but no image store .it says 'binnet packed'."),
        ("cut.h5", "cut.h5 is cut off"),
        ("damaged.h5", "damaged.h5 is damaged: it cannot be opened"),
        ("marked.h5", "marked.h5 is marked as being written to"),
    ],
)
def test_what_is_no_store(store: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "text.h5").write_text("text")
    (tmp_path / "void.h5").touch()
    (tmp_path / "cut.h5").write_bytes(store.read_bytes()[:5000])
    content = store.read_bytes()
    (tmp_path / "damaged.h5").write_bytes(content[:20] + bytes(40) + content[60:])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = np.bytes_("binnet packed")
    shutil.copy(store, tmp_path / "marked.h5")
    with h5py.File(tmp_path / "marked.h5", "r+"):
        shutil.copy(tmp_path / "marked.h5", tmp_path / "copy.h5")
    shutil.move(tmp_path / "copy.h5", tmp_path / "marked.h5")
    with pytest.raises(DataError, match=message):
        open_store(tmp_path / name)


def test_a_later_version(store: Path) -> None:
    with h5py.File(store, "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(DataError, match=r"has store version 2, this binnet reads version 1"):
        open_store(store)


def change(file: h5py.File, name: str, values: object) -> None:
    del file[name]
    file.create_dataset(name, data=values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("train/labels", np.arange(18)),
        ("train/labels", np.zeros(3, np.int64)),
        ("train/labels", np.zeros(18, np.float32)),
        ("train/offsets", np.full(18, 1 << 60)),
        ("val/sizes", np.full((6, 2), 1 << 31)),
        ("val/sizes", np.zeros((6, 3), np.int64)),
        ("val/crc32", np.zeros(6, np.uint32)),
        ("description", np.frombuffer(b"{}", np.uint8)),
        ("description", np.frombuffer(b"[", np.uint8)),
        ("pixels", np.zeros((3, 3), np.float32)),
    ],
)
def test_arrays_that_were_changed(store: Path, name: str, values) -> None:
    with h5py.File(store, "r+") as file:
        change(file, name, values)
    with pytest.raises(DataError, match=r"out.h5 is damaged: "):
        open_store(store)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("train/labels", np.arange(18), "labels must lie in 0..2, got 0..17"),
        ("train/labels", np.zeros(3, np.int64), "arrays of train differ in length"),
        ("train/offsets", np.full(18, 1 << 60), "images of train do not lie within its pixels"),
        ("train/offsets", np.full(18, -5), "images of train do not lie within its pixels"),
        ("val/sizes", np.full((6, 2), 1 << 31), "images of val do not lie within its pixels"),
        ("val/sizes", np.full((6, 2), 0), "images of val do not lie within its pixels"),
        ("val/sizes", np.zeros((6, 3), np.int64), "arrays of val differ in length"),
        ("description", np.frombuffer(b"{}", np.uint8), "part of it cannot be read"),
        ("description", np.frombuffer(b"[1]", np.uint8), "part of it cannot be read"),
    ],
)
def test_hostile_arrays_with_a_right_checksum(store: Path, name: str, values, message: str, monkeypatch) -> None:
    with h5py.File(store, "r+") as file:
        change(file, name, values)
        stored = file.attrs["checksum"].decode()
    monkeypatch.setattr("binnet_datasets.store.reading.checksum", lambda *_: stored)
    with pytest.raises(DataError, match=message):
        open_store(store)


def test_arrays_in_other_files_are_refused(store: Path, tmp_path: Path) -> None:
    shutil.copy(store, tmp_path / "other.h5")
    with h5py.File(store, "r+") as file:
        del file["train/labels"]
        file["train/labels"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "train/labels")
    with pytest.raises(DataError, match=r"train/labels is not an array of int64"):
        open_store(store)


def test_a_store_that_is_cut_off(store: Path) -> None:
    whole = store.read_bytes()
    for share in (0.02, 0.3, 0.7, 0.999):
        store.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match=r"out.h5"):
            open_store(store)


def test_flipped_bytes_never_give_other_labels(store: Path) -> None:
    whole, expected = store.read_bytes(), open_store(store)
    with h5py.File(store) as file:
        start, size = file["pixels"].id.get_offset(), file["pixels"].size
    around = [*range(start), *range(start + size, len(whole))]
    for place in around[:: max(1, len(around) // 150)]:
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        store.write_bytes(broken)
        try:
            found = open_store(store)
        except DataError:
            continue
        assert np.array_equal(found.train.labels, expected.train.labels)
        assert found.class_names == expected.class_names


def test_damaged_pixels_are_found(store: Path) -> None:
    with h5py.File(store) as file:
        start, offset = file["pixels"].id.get_offset(), int(file["val/offsets"][2])
    content = bytearray(store.read_bytes())
    content[start + offset + 7] ^= 1
    store.write_bytes(content)
    found = read_store(store)
    assert list(found.train.damaged()) == []
    assert list(found.val.damaged()) == [2]
    assert found.val[1].shape == (24, 32, 3)
    for number in (2, -4):
        with pytest.raises(DataError, match=r"out.h5 is damaged: the pixels of val/n02/n02_6.png do not have"):
            found.val[number]


def test_a_lock_of_another_program_does_not_matter(store: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with store.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert len(open_store(store).train) == 18


def test_a_file_that_becomes_shorter_while_it_is_read(store: Path) -> None:
    images = open_store(store).test.images
    os.truncate(store, 5000)
    with pytest.raises(DataError, match=r"but the file was truncated while it was read"):
        images[5]


def test_reading_takes_little_memory(store: Path, tmp_path: Path) -> None:
    """A store of 300 MB, as a sparse file, is read once through with less than 100 MB."""
    pytest.importorskip("resource")
    code = """
import resource, sys, zlib
import numpy as np, h5py
from binnet_datasets import open_store
from binnet_datasets.store import file as store_file
from pathlib import Path
from binnet_datasets.store.file import data_start, write_around
folder = Path(sys.argv[1])
n, size = 25_000, 64 * 64 * 3
part = lambda count: {
    "labels": np.zeros(count, np.int64), "offsets": np.arange(count) * size, "sizes": np.full((count, 2), 64),
    "crc32": np.full(count, zlib.crc32(bytes(size)), np.uint32), "source_crc32": np.zeros(count, np.uint32),
    "source_bytes": np.zeros(count, np.int64), "source_names": np.zeros(0, np.uint8),
}
arrays = {f"{p}/{k}": v for p, c in (("train", n), ("val", 1)) for k, v in part(c).items()}
about = dict(name="x", channels=3, class_names=["a"], class_ids=["a"], mean=[0.5] * 3, std=[0.5] * 3)
(folder / "big.h5").touch()
write_around(folder / "big.h5", data_start(folder), n * size, about, arrays)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
images = open_store(folder / "big.h5").train.images
total = sum(int(images[i][0, 0, 0]) for i in range(n))
print(total, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    path = str(Path(binnet_datasets.__file__).parents[1])
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    total, megabytes = map(int, done.stdout.split())
    assert total == 0
    assert megabytes < 100
