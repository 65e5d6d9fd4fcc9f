from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from binnet_datasets import DataError, Dataset, load
from binnet_datasets.named import cifar_source as source_module

KINDS = ("", "gz", "bz2", "xz")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def check(data: Dataset, batches) -> None:
    stems = sorted(batches)[:5]
    assert np.array_equal(data.train.images, np.concatenate([batches[stem][0] for stem in stems]))
    assert np.array_equal(data.train.labels, np.concatenate([batches[stem][1] for stem in stems]))
    assert np.array_equal(data.test.images, batches["test_batch"][0])
    assert np.array_equal(data.test.labels, batches["test_batch"][1])
    assert data.class_names[:3] == ("airplane", "automobile", "bird")
    assert (data.name, data.image_size, data.channels, data.num_classes) == ("cifar10", (32, 32), 3, 10)
    assert data.train.images.flags.c_contiguous


@pytest.fixture
def cifar_python(tmp_path: Path, cifar_batches) -> Path:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for stem, (images, labels) in cifar_batches.items():
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        batch = {b"batch_label": b"x", b"labels": labels.tolist(), b"data": planes, b"filenames": [b"a.png"] * 4}
        (folder / stem).write_bytes(pickle.dumps(batch, protocol=2))
    names = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, protocol=2))
    return folder


@pytest.mark.parametrize("layout", ["cifar_binary", "cifar_python"])
class TestBothLayouts:
    @pytest.fixture
    def folder(self, request: pytest.FixtureRequest, layout: str) -> Path:
        return request.getfixturevalue(layout)

    def test_from_the_folder(self, folder: Path, cifar_batches) -> None:
        check(load("cifar10", folder), cifar_batches)

    def test_from_the_folder_above(self, folder: Path, cifar_batches) -> None:
        check(load("cifar10", folder.parent), cifar_batches)

    @pytest.mark.parametrize("kind", KINDS)
    def test_from_the_archive(
        self, folder: Path, cifar_batches, pack_tar, tmp_path: Path, layout: str, kind: str
    ) -> None:
        home = tmp_path / "home"
        home.mkdir()
        archive = pack_tar(folder, home / f"{layout.replace('cifar_', 'cifar-10-')}.tar.{kind}".rstrip("."), kind)
        check(load("cifar10", archive), cifar_batches)
        check(load("cifar10", home), cifar_batches)
        check(load("cifar10", archive.rename(tmp_path / "of no telling name")), cifar_batches)

    def test_without_names(self, folder: Path, cifar_batches) -> None:
        next(folder.glob("batches.meta*")).unlink()
        check(load("cifar10", folder), cifar_batches)

    def test_missing_batch(self, folder: Path) -> None:
        next(folder.glob("data_batch_3*")).unlink()
        with pytest.raises(DataError, match=r"but data_batch_3(\.bin)? is missing"):
            load("cifar10", folder)

    def test_too_large_a_batch(self, folder: Path, monkeypatch: pytest.MonkeyPatch, pack_tar, tmp_path: Path) -> None:
        archive = pack_tar(folder, tmp_path / "packed.tar.gz")
        monkeypatch.setattr(source_module, "_MAX_BYTES", 1000)
        for path in (folder, archive):
            with pytest.raises(DataError, match="at most 1000 bytes"):
                load("cifar10", path)


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: b"", lambda content: content + b"\0"])
def test_binary_of_wrong_length(cifar_binary: Path, change) -> None:
    path = cifar_binary / "data_batch_2.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=r"records of 3073 bytes in .*data_batch_2\.bin"):
        load("cifar10", cifar_binary)


def test_label_out_of_range(cifar_binary: Path) -> None:
    path = cifar_binary / "test_batch.bin"
    path.write_bytes(b"\x0a" + path.read_bytes()[1:])
    with pytest.raises(DataError, match=r"labels 0\.\.9 in .*test_batch\.bin"):
        load("cifar10", cifar_binary)


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"\xff\xfe"])
def test_wrong_names(cifar_binary: Path, content: bytes) -> None:
    (cifar_binary / "batches.meta.txt").write_bytes(content)
    with pytest.raises(DataError, match="class name"):
        load("cifar10", cifar_binary)


def test_nothing_there_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data_batch_1\.bin.*cifar-10-batches-py/.*an archive cifar-10\*\.tar\*"):
        load("cifar10", tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        load("cifar10", tmp_path / "nowhere")


@pytest.mark.parametrize("method", ["iterdir", "read_bytes"])
def test_unreadable_folder(cifar_binary: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def deny(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, method, deny)
    with pytest.raises(DataError, match="Permission denied"):
        load("cifar10", cifar_binary)
