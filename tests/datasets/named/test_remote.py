from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from binnet_datasets import DataError, cache_folder, load, names
from binnet_datasets.named.remote import SOURCES, RemoteFile, RemoteSource
from binnet_datasets.registry import EMBEDDED


def publish(server, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Serve the files of a folder as the source of a data set."""
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    server.files = {f"/{key}": value for key, value in contents.items()}
    files = [RemoteFile(k, f"sha256:{hashlib.sha256(v).hexdigest()}", len(v)) for k, v in contents.items()]
    monkeypatch.setitem(SOURCES, name, RemoteSource(server.url, tuple(files)))


def test_every_data_set_that_is_not_embedded_has_a_source() -> None:
    assert set(names()) - set(EMBEDDED) == set(SOURCES)


def test_sources_are_addresses_of_folders_with_distinct_files() -> None:
    for source in SOURCES.values():
        assert source.url.startswith("http")
        assert source.url.endswith("/")
    checksums = [file.checksum for source in SOURCES.values() for file in source.files]
    assert len(set(checksums)) == len(checksums) == 9


def test_mnist_is_downloaded_once(server, mnist_folder: Path, mnist_arrays, monkeypatch, tmp_path: Path) -> None:
    publish(server, mnist_folder, monkeypatch, "mnist")
    seen: list[int] = []
    data = load("mnist", cache=tmp_path / "cache", progress=lambda got, total: seen.append(got))
    assert np.array_equal(data.test.images[..., 0], mnist_arrays["t10k-images"])
    assert len(server.requests) == 4
    assert max(seen) == max(map(len, server.files.values()))
    again = load("mnist", cache=tmp_path / "cache")
    assert np.array_equal(again.train.images, data.train.images)
    assert len(server.requests) == 4


def test_cifar10_is_read_from_the_archive(
    server, cifar_binary: Path, cifar_batches, pack_tar, monkeypatch, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    published.mkdir()
    pack_tar(cifar_binary, published / "cifar-10-binary.tar.gz")
    publish(server, published, monkeypatch, "cifar10")
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))
    data = load("cifar10")
    assert np.array_equal(data.test.images, cifar_batches["test_batch"][0])
    assert os.listdir(tmp_path / "cache" / "cifar10") == ["cifar-10-binary.tar.gz"]


def test_only_the_missing_file_is_fetched(server, mnist_folder: Path, monkeypatch, tmp_path: Path) -> None:
    publish(server, mnist_folder, monkeypatch, "mnist")
    load("mnist", cache=tmp_path / "cache")
    (tmp_path / "cache/mnist/t10k-labels-idx1-ubyte.gz").unlink()
    server.requests.clear()
    load("mnist", cache=tmp_path / "cache")
    assert server.requests == ["/t10k-labels-idx1-ubyte.gz"]


def test_failure_says_how_to_do_without(server, mnist_folder: Path, monkeypatch, tmp_path: Path) -> None:
    publish(server, mnist_folder, monkeypatch, "mnist")
    server.files.clear()
    with pytest.raises(DataError, match=r"404 .*give their folder as data"):
        load("mnist", cache=tmp_path / "cache")


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BINNET_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache/binnet/data"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache/binnet/data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/binnet/data"
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / "chosen"


def test_no_home_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BINNET_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does for a user without an entry
    with pytest.raises(DataError, match="neither BINNET_DATA nor a home"):
        cache_folder()
