from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from binnet_datasets import DataError
from binnet_datasets.sources.members import each_member, list_members

FILES = {"b/2.txt": b"two", "a.txt": b"one", "b/c/3.txt": b"", "b/c/4.txt": bytes(range(256)) * 9}


def contents(path: Path) -> dict[str, bytes]:
    return {name: member.read() for name, member in list_members(path).items()}


def test_folder_and_tar_list_the_same(tmp_path: Path, write, to_tar) -> None:
    folder = write(tmp_path / "folder", FILES)
    (tmp_path / "files.tar").write_bytes(to_tar(FILES))
    assert contents(folder) == contents(tmp_path / "files.tar") == FILES
    assert list(list_members(folder)) == list(list_members(tmp_path / "files.tar")) == sorted(FILES)


def test_hidden_files_are_left_out(tmp_path: Path, write, to_tar) -> None:
    files = {**FILES, ".git/x": b"", "b/._2.txt": b"", "__MACOSX/a.txt": b"", "b/.DS_Store": b""}
    (tmp_path / "files.tar").write_bytes(to_tar({f"./{name}": content for name, content in files.items()}))
    assert contents(write(tmp_path / "folder", files)) == contents(tmp_path / "files.tar") == FILES


def test_tars_within_count_as_folders(tmp_path: Path, write, to_tar) -> None:
    inner = {"n1.tar": to_tar({"1.png": b"1", "2.png": b"22"}), "n2.TAR": to_tar({"3.png": b"333"})}
    flat = {"n1/1.png": b"1", "n1/2.png": b"22", "n2/3.png": b"333"}
    (tmp_path / "train.tar").write_bytes(to_tar(inner))
    assert contents(tmp_path / "train.tar") == flat
    assert contents(write(tmp_path / "folder", inner)) == flat
    write(tmp_path / "above", {"train.tar": to_tar(inner)})
    assert contents(tmp_path / "above") == {f"train/{name}": content for name, content in flat.items()}


def test_of_a_name_that_a_tar_holds_twice_the_last_counts(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "twice.tar", "w") as archive:
        for content in (b"old", b"new"):
            info = tarfile.TarInfo("a.txt")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert contents(tmp_path / "twice.tar") == {"a.txt": b"new"}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_links_in_a_tar(tmp_path: Path, write, format: int) -> None:
    name = "/".join(["d" * 60] * 2 + ["f" * 90])
    folder = write(tmp_path / "folder", {name: b"deep", "a": b"a"})
    (folder / "link").symlink_to("a")
    with tarfile.open(tmp_path / "x.tar", "w", format=format) as archive:
        archive.add(folder, ".")
    assert contents(tmp_path / "x.tar") == {name: b"deep", "a": b"a", "link": b"a"}


def test_links_of_a_folder_are_followed_once(tmp_path: Path, write) -> None:
    folder = write(tmp_path / "folder", {"a/1.txt": b"1"})
    write(tmp_path / "other", {"2.txt": b"2"})
    (folder / "b").symlink_to(tmp_path / "other")
    (folder / "a" / "round").symlink_to(folder)
    (folder / "gone").symlink_to(tmp_path / "nothing")
    assert sorted(contents(folder).values()) == [b"1", b"2"]


def test_a_member_that_has_become_shorter(tmp_path: Path, write) -> None:
    member = list_members(write(tmp_path, {"a.txt": b"content"}))["a.txt"]
    os.truncate(tmp_path / "a.txt", 3)
    with pytest.raises(OSError, match=r"it ends after 3 of 7 bytes"):
        member.read()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"tar", mtime=0), "but it is neither"),
        (gzip.compress(b"tar" * 999, mtime=0)[:-9], "at .*x.tar, but it is damaged"),
        (b"BZh91AY", "at .*x.tar, but it is damaged"),
        (b"\xfd7zXZ\0\0", "at .*x.tar, but it is damaged"),
        (b"PK\x03\x04....", "at .*x.tar, but it is damaged"),
        (b"7z\xbc\xaf\x27\x1c..", "is a 7z file; unpack it first"),
        (b"no tar at all" * 99, "but it is neither"),
    ],
)
def test_what_is_no_plain_tar(tmp_path: Path, content: bytes, message: str, monkeypatch) -> None:
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list_members(tmp_path / "x.tar")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"an archive at .*none, but there is nothing"):
        list(each_member(tmp_path / "none"))


@pytest.mark.parametrize("nested", [False, True])
def test_a_tar_that_is_cut_off(tmp_path: Path, to_tar, nested: bool) -> None:
    content = to_tar({"a.bin": bytes(600), "b.bin": bytes(5000)})[:4000]
    (tmp_path / "cut.tar").write_bytes(to_tar({"x.tar": content}) if nested else content)
    with pytest.raises(DataError, match=r"expected a whole tar at .*cut.tar, but it is cut off in b.bin"):
        list_members(tmp_path / "cut.tar")


def test_random_bytes_in_headers_are_data_errors(tmp_path: Path, to_tar) -> None:
    whole = bytearray(to_tar({f"{i}.bin": bytes(300) for i in range(5)}))
    for place in range(0, 5 * 1024, 37):
        broken = whole.copy()
        broken[place] ^= 0x5A
        (tmp_path / "x.tar").write_bytes(broken)
        with contextlib.suppress(DataError):  # and nothing else
            list_members(tmp_path / "x.tar")


def test_folders_without_numbers_are_told_apart(tmp_path: Path, write, monkeypatch) -> None:
    """Some drives of Windows give every folder the number 0."""
    folder = write(tmp_path / "folder", {"a/1.txt": b"1", "b/2.txt": b"2"})
    (folder / "a" / "round").symlink_to(folder)
    own = os.stat
    monkeypatch.setattr(os, "stat", lambda *a, **k: os.stat_result([*own(*a, **k)[:1], 0, *own(*a, **k)[2:]]))
    assert sorted(contents(folder).values()) == [b"1", b"2"]
