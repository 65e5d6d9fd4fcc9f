"""Tars: damage anywhere is noticed, and links lead to the files of the tar."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from binnet_datasets import DataError
from binnet_datasets.sources.members import Members, list_members

Change = Callable[[tarfile.TarInfo], None]


def tar(path: Path, *files: tuple[str, bytes, Change | None], format: int = tarfile.GNU_FORMAT) -> Path:
    """Write files, each with what is to be changed of its header."""
    with tarfile.open(path, "w", format=format) as archive:
        for name, content, change in files:
            info = tarfile.TarInfo(name)
            if change is not None:
                change(info)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def link(kind: bytes, target: str) -> Change:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, target

    return change


def kind(kind: bytes) -> Change:
    return link(kind, "")


def listed(path: Path) -> dict[str, tuple[int, int]]:
    return {name: (member.offset, member.size) for name, member in list_members(path).items()}


def contents(found: Members) -> dict[str, bytes]:
    return {name: member.read() for name, member in found.items()}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_any_flipped_bit_of_a_header_is_noticed(tmp_path: Path, format: int) -> None:
    path = tar(tmp_path / "x.tar", *((f"c/{i}.jpg", bytes([i]) * 300, None) for i in range(4)), format=format)
    whole, expected = path.read_bytes(), listed(path)
    refused = 0
    for header in range(0, 4 * 1024, 1024):
        for place in [*range(header, header + 157, 5), *range(header + 145, header + 160), header + 300]:
            broken = bytearray(whole)
            broken[place] ^= 1 << place % 8
            path.write_bytes(broken)
            try:
                assert listed(path) == expected  # the last bytes of a checksum's field say nothing
            except DataError:
                refused += 1
    assert refused >= 4 * 45


@pytest.mark.parametrize("nested", [False, True])
def test_any_cut_is_noticed(tmp_path: Path, to_tar, nested: bool) -> None:
    whole = to_tar({f"c/{i}.jpg": bytes([i]) * (100 + 300 * i) for i in range(4)})
    last = len(whole.rstrip(b"\0"))
    for end in [*range(0, last + 1024, 41), *range(512, last + 512, 512)]:
        content = to_tar({"a.jpg": b"a", "x.tar": whole[:end], "b.jpg": b"b"}) if nested else whole[:end]
        (tmp_path / "cut.tar").write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.tar, but it"):
            list_members(tmp_path / "cut.tar")


def test_something_after_the_end_is_noticed(tmp_path: Path, to_tar) -> None:
    (tmp_path / "two.tar").write_bytes(to_tar({"a.jpg": b"a"}) + to_tar({"b.jpg": b"b"}))
    with pytest.raises(DataError, match=r"a whole tar at .*two.tar, but the header at byte 1,024 or what follows it"):
        list_members(tmp_path / "two.tar")


def test_links_lead_to_files_of_the_tar(tmp_path: Path) -> None:
    path = tar(
        tmp_path / "x.tar",
        ("./cat/1.jpg", b"one", None),
        ("./cat/2.jpg", b"", link(tarfile.LNKTYPE, "./cat/1.jpg")),
        ("./dog/3.jpg", b"", link(tarfile.SYMTYPE, "../cat/4.jpg")),
        ("./cat/4.jpg", b"", link(tarfile.LNKTYPE, "./cat/2.jpg")),
        ("./dog/5.jpg", b"", link(tarfile.SYMTYPE, "../../etc/passwd")),
        ("./dog/6.jpg", b"", link(tarfile.SYMTYPE, "6.jpg")),
        ("./dog/7.jpg", b"", link(tarfile.LNKTYPE, "gone.jpg")),
    )
    found = list_members(path)
    assert contents(found) == {f"{c}/{i}.jpg": b"one" for c, i in (("cat", 1), ("cat", 2), ("cat", 4), ("dog", 3))}
    assert found.unused == [(f"dog/{i}.jpg", "a link to something that is not in the archive") for i in (5, 6, 7)]


def test_names_are_below_the_tar(tmp_path: Path) -> None:
    names = (
        "/abs/1.jpg",
        "C:/disk/2.jpg",
        "win\\dows\\3.jpg",
        "./a//b/4.jpg",
        "../5.jpg",
        "a/../6.jpg",
        "e\u0301/7.jpg",
    )
    found = list_members(tar(tmp_path / "x.tar", *((name, b"", None) for name in names)))
    assert sorted(found) == ["a/b/4.jpg", "abs/1.jpg", "disk/2.jpg", "win/dows/3.jpg", "\u00e9/7.jpg"]
    reason = "its name leads out of the archive"
    assert found.unused == [("../5.jpg", reason), ("a/../6.jpg", reason)]


def test_what_is_no_file_is_counted(tmp_path: Path, to_tar) -> None:
    deep = to_tar({"in.tar": to_tar({"x.jpg": b""})})
    found = list_members(
        tar(
            tmp_path / "x.tar",
            ("a/pipe.jpg", b"", kind(tarfile.FIFOTYPE)),
            ("a/disk.jpg", b"", kind(tarfile.BLKTYPE)),
            ("a/photos.zip", b"PK", None),
            ("a/@eaDir/1.jpg", b"", None),
            ("a/@eaDir/2.jpg", b"", None),
            ("empty", b"", kind(tarfile.DIRTYPE)),
            ("deep.tar", deep, None),
        )
    )
    assert not found
    assert found.folders == {"deep", "empty"}
    assert dict(found.unused) == {
        "a/pipe.jpg": "neither a file nor a folder",
        "a/disk.jpg": "neither a file nor a folder",
        "a/photos.zip": "an archive inside of an archive: unpack it first",
        "a/@eaDir": "hidden, or a file or folder of the system",
        "deep/in.tar": "a tar inside of a tar of a tar: unpack it first",
    }


def test_of_two_names_that_differ_in_unicode_form_one_counts(tmp_path: Path) -> None:
    found = list_members(tar(tmp_path / "x.tar", ("e\u0301.jpg", b"1", None), ("\u00e9.jpg", b"2", None)))
    assert contents(found) == {"\u00e9.jpg": b"1"}
    assert found.unused == [("\u00e9.jpg", "its name differs from that of another file in its Unicode form only")]
