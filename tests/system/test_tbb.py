"""TBB: loaded where pip has installed it, and nothing but a "no" where it is missing or broken."""

from importlib import metadata
from pathlib import Path

import pytest

from binnet_system import tbb


def test_without_the_package(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    assert not tbb.load()


@pytest.mark.parametrize("files", [None, [], ["tbb/__init__.py"]])
def test_a_package_without_a_library(monkeypatch, files):
    monkeypatch.setattr(metadata, "files", lambda name: files and [metadata.PackagePath(file) for file in files])
    assert not tbb.load()


@pytest.mark.parametrize("name", ["libtbb.so.12", "tbb12.dll", "libtbb.12.dylib"])
def test_a_library_of_another_machine(monkeypatch, tmp_path, name):
    (tmp_path / name).write_bytes(b"not a library")

    class File:
        def __init__(self):
            self.name = name

        def locate(self) -> Path:
            return tmp_path / name

    monkeypatch.setattr(metadata, "files", lambda package: [File()])
    assert not tbb.load()


@pytest.mark.skipif(not any(metadata.distributions(name="tbb")), reason="needs tbb")
def test_the_library():
    assert tbb.load()
