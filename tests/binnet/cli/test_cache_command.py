"""``binnet cache``: which files are listed and deleted, and which are not."""

import errno
import json
import os
from pathlib import Path

import pytest

KERNEL = "0123456789abcdef01234567/binnet_kernels.compiled.forward.bits._pack-0123456789abcdef.bin"
OURS = {
    "kernels": KERNEL,
    "stores": "stores/photos-0123abcd-0123456789abcdef.h5",
    "archives": "archives/0123abcd-0123456789abcdef.tar",
    "downloads": "mnist/t10k-labels-idx1-ubyte.gz",
}
OTHERS = ("stores/mine.h5", "mnist/notes.txt", "thesis.h5", "archives/photos.tar", "photos/a-0123abcd.h5")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Files of binnet and other files in one cache, and links to files outside."""
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("BINNET_CACHE_DIR", str(tmp_path / "cache"))
    for name in (*OURS.values(), *OTHERS):
        (tmp_path / "cache" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / name).write_bytes(bytes(1000))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / KERNEL.partition("/")[2]).write_bytes(b"x")
    os.symlink(tmp_path / "elsewhere", tmp_path / "cache" / ("f" * 24))
    os.symlink(tmp_path / "elsewhere" / "x", tmp_path / "cache" / "stores" / "a-01234567-0123456789abcdef.h5")
    return tmp_path / "cache"


def test_list(cache, say):
    code, text, _ = say("cache", "--json")
    found = json.loads(text)
    assert code == 0
    assert {kind: row["files"] for kind, row in found.items()} == {k: [str(cache / v)] for k, v in OURS.items()}
    assert all(row["bytes"] == 1000 for row in found.values())
    code, text, _ = say("cache", "list", "stores")
    assert (code, text.splitlines()[1].split()) == (0, ["stores", "1", "0.0", "MB", str(cache / "stores")])


def test_clear_deletes_what_binnet_wrote_and_nothing_else(cache, tmp_path, say):
    assert say("cache", "clear", "stores")[0] == 0
    assert not (cache / OURS["stores"]).exists()
    assert (cache / KERNEL).exists()
    code, text, _ = say("cache", "clear", "--json")
    assert (code, [len(row["files"]) for row in json.loads(text).values()]) == (0, [1, 0, 1, 1])
    assert not any((cache / name).exists() for name in OURS.values())
    assert not (cache / KERNEL).parent.exists()
    assert all((cache / name).exists() for name in OTHERS)
    assert (tmp_path / "elsewhere" / KERNEL.partition("/")[2]).exists()
    assert (cache / ("f" * 24)).is_symlink()


@pytest.mark.parametrize("suffix", [".lock", "-k3x_9a"])
def test_what_a_killed_process_left(cache, say, suffix):
    (cache / f"{KERNEL.removesuffix('.bin')}{suffix}").touch()
    assert say("cache", "clear", "kernels")[0] == 0
    assert not (cache / KERNEL).parent.exists()


def test_an_empty_cache(tmp_path, monkeypatch, say):
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("BINNET_CACHE_DIR", str(tmp_path / "none"))
    assert say("cache", "clear")[0] == 0
    assert say("cache", "burn")[0] == 2


def test_what_may_not_be_deleted_stays_and_is_named(cache, monkeypatch, say):
    own = Path.unlink

    def unlink(path, *arguments, **options):
        if path.name.startswith("photos-"):
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))
        own(path, *arguments, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    code, text, error = say("cache", "clear", "--json")
    found = json.loads(text)
    assert code == 1
    assert OURS["stores"] in error
    assert "cannot access the file" in error
    assert {kind: len(row["files"]) for kind, row in found.items()} == {kind: kind != "stores" for kind in OURS}
    assert (cache / OURS["stores"]).exists()
