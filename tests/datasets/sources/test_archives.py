"""Zips and compressed tars: the same files as those of a folder, and nothing outside the cache."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from binnet_datasets import BuildOptions, DataError, build_store, read_store
from binnet_datasets.sources.archives import is_archive, without_ending
from binnet_datasets.sources.members import list_members
from binnet_datasets.store.plan import make_plan


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def zip_bytes(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def contents(path: Path) -> dict[str, bytes]:
    return {name: member.read() for name, member in list_members(path).items()}


FILES = {"a b/1.txt": b"one", "c\u00e4t/2.txt": b"two" * 9999, "empty.txt": b""}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "x.tar.gz": gzip.compress,
    "x.tgz": gzip.compress,
    "x.tar.bz2": bz2.compress,
    "x.tar.xz": lzma.compress,
    "x.tar": gzip.compress,  # the content counts, not the name
}


@pytest.mark.parametrize("name", PACKERS)
def test_compressed_tars(tmp_path: Path, to_tar, name: str) -> None:
    (tmp_path / name).write_bytes(PACKERS[name](to_tar({f"./{n}": c for n, c in FILES.items()})))
    assert contents(tmp_path / name) == FILES
    assert is_archive(name)
    assert without_ending(name) == "x"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips(tmp_path: Path, method: int) -> None:
    (tmp_path / "x.zip").write_bytes(zip_bytes(FILES, method))
    assert contents(tmp_path / "x.zip") == FILES


def test_a_zip_is_unpacked_once_and_anew_when_it_has_changed(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zip_bytes({"a.txt": b"1"}))
    assert contents(path) == contents(path) == {"a.txt": b"1"}
    (first,) = (cache / "archives").iterdir()
    path.write_bytes(zip_bytes({"a.txt": b"22", "b.txt": b""}))
    assert contents(path) == {"a.txt": b"22", "b.txt": b""}
    (second,) = (cache / "archives").iterdir()
    assert first != second


def test_names_in_a_zip_are_never_paths(tmp_path: Path, cache: Path) -> None:
    files = {
        "../../out.jpg": b"",
        "/abs/1.jpg": b"1",
        "win\\dows\\2.jpg": b"2",
        "./a/3.jpg": b"3",
        "C:\\d\\4.jpg": b"4",
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.zip").write_bytes(zip_bytes(files))
    found = list_members(tmp_path / "in" / "x.zip")
    assert sorted(found) == ["a/3.jpg", "abs/1.jpg", "d/4.jpg", "win/dows/2.jpg"]
    assert found.unused == [("../../out.jpg", "its name leads out of the archive")]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        next((cache / "archives").iterdir()).name,
        "x.zip",
    ]


def test_links_devices_and_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("cat/1.jpg", b"one")
        archive.writestr("empty/", b"")
        for name, kind, content in (("dog/2.jpg", 0o120777, b"../cat/1.jpg"), ("dog/3.jpg", 0o020666, b"")):
            info = zipfile.ZipInfo(name)
            info.external_attr = kind << 16
            archive.writestr(info, content)
    found = list_members(tmp_path / "x.zip")
    assert found["dog/2.jpg"].read() == b"one"
    assert found.unused == [("dog/3.jpg", "neither a file nor a folder")]
    assert "empty" in found.folders


def test_old_zips_have_names_in_utf8_without_saying_so() -> None:
    from binnet_datasets.sources.unpack import _zip_name

    info = zipfile.ZipInfo("caf\u00e9".encode().decode("cp437"))
    assert _zip_name(info) == "caf\u00e9"
    info = zipfile.ZipInfo("caf\u00e9")  # byte 0x82 of code page 437
    assert _zip_name(info) == "caf\u00e9"


def test_damage_anywhere_in_a_zip_is_noticed(tmp_path: Path) -> None:
    whole = zip_bytes({f"{i}.jpg": bytes(range(256)) for i in range(3)}, zipfile.ZIP_STORED)
    expected = {f"{i}.jpg": bytes(range(256)) for i in range(3)}
    refused = 0
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 0x40
        (tmp_path / "x.zip").write_bytes(broken)
        try:
            found = list_members(tmp_path / "x.zip")
        except DataError:
            refused += 1
            continue
        assert {m.read() for m in found.values()} == set(expected.values())  # names and dates have no checksum
    assert refused > 100


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, None])
def test_cut_archives(tmp_path: Path, to_tar, cache: Path, pack) -> None:
    whole = zip_bytes(FILES) if pack is None else pack(to_tar(FILES))
    for end in range(20, len(whole), max(1, len(whole) // 20)):
        (tmp_path / "x.zip").write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"expected a whole archive at .*x.zip, but it is damaged"):
            list_members(tmp_path / "x.zip")
    assert list((cache / "archives").iterdir()) == []


def test_an_encrypted_zip(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"a.jpg": b"a"}))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + place] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a zip without a password at .*x.zip, but a.jpg is encrypted"):
        list_members(tmp_path / "x.zip")


@pytest.mark.parametrize("name", ["x.zip", "x.tgz"])
def test_more_than_the_disk_holds(tmp_path: Path, to_tar, cache: Path, monkeypatch, name: str) -> None:
    bomb = {"a.jpg": bytes(1 << 22)}
    (tmp_path / name).write_bytes(zip_bytes(bomb) if name == "x.zip" else gzip.compress(to_tar(bomb)))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 21))
    with pytest.raises(DataError, match=r"room for all of .* unpacked, but the disk of the cache has too little left"):
        list_members(tmp_path / name)
    assert list((cache / "archives").iterdir()) == []


def test_of_a_name_that_a_zip_holds_twice_the_last_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", b"old")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.txt", b"new")
    found = list_members(tmp_path / "x.zip")
    assert found["a.txt"].read() == b"new"
    assert found.unused == [("a.txt", "an earlier file of a name that the archive holds twice")]


def test_a_store_of_a_zip_is_that_of_the_folder(tmp_path: Path, imagenet, write, to_tar) -> None:
    (tmp_path / "photos.zip").write_bytes(zip_bytes(imagenet))
    (tmp_path / "photos.tar.xz").write_bytes(lzma.compress(to_tar(imagenet)))
    sources = (write(tmp_path / "photos", imagenet), tmp_path / "photos.zip", tmp_path / "photos.tar.xz")
    stores = []
    for i, source in enumerate(sources):
        build_store(source, tmp_path / f"{i}.h5", jobs=1)
        stores.append(read_store(tmp_path / f"{i}.h5"))
    assert {store.description["name"] for store in stores} == {"photos"}
    assert [list(store.train.names) for store in stores] == [list(stores[0].train.names)] * 3
    assert all((store.train[3] == stores[0].train[3]).all() for store in stores)


def test_validation_images_in_a_zip(tmp_path: Path, imagenet, write) -> None:
    train = write(tmp_path / "a", {n: c for n, c in imagenet.items() if n.startswith("train/")})
    (tmp_path / "v.zip").write_bytes(zip_bytes({n: c for n, c in imagenet.items() if n.startswith("val/")}))
    plan = make_plan(train, BuildOptions(val=(str(tmp_path / "v.zip"),)))
    assert sorted(entry.name for entry in plan.val) == sorted(n for n in imagenet if n.startswith("val/"))


def test_compressed_tar_inside_of_a_folder_goes_to_the_given_cache(tmp_path: Path, cache: Path, to_tar) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.tar").write_bytes(gzip.compress(to_tar(FILES)))
    assert set(list_members(tmp_path / "photos", tmp_path / "here")) >= {"x/c\u00e4t/2.txt"}
    assert list((tmp_path / "here").iterdir())
    assert not cache.exists()
