"""Archives of CIFAR-10: damage, limits of size, names, several in one folder, and where they are unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from binnet_datasets import DataError, load
from binnet_datasets.named import cifar_source as source_module

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    "gz": lambda content: gzip.compress(content, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
TOP = "cifar-10-batches-bin"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def files(cifar_binary: Path) -> dict[str, bytes]:
    """The files of the binary layout by their names in the archive."""
    return {f"{TOP}/{path.name}": path.read_bytes() for path in sorted(cifar_binary.iterdir())}


@pytest.fixture(params=PACKERS)
def pack(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return PACKERS[request.param]


def refuse(path: Path, message: str) -> None:
    """Expect a refusal in one sentence that names the file."""
    with pytest.raises(DataError, match=message) as caught:
        load("cifar10", path)
    assert str(path) in str(caught.value)
    assert str(caught.value).startswith("expected ")
    assert "\n" not in str(caught.value)


def test_batches_of_any_number_of_images(tmp_path: Path, to_tar, pack) -> None:
    rng = np.random.default_rng(4)
    counts = {f"data_batch_{i}": i for i in range(1, 6)} | {"test_batch": 7}
    records = {stem: rng.integers(0, 10, (count, 3073), np.uint8) for stem, count in counts.items()}
    archive = tmp_path / "a.tar"
    archive.write_bytes(pack(to_tar({f"{TOP}/{stem}.bin": array.tobytes() for stem, array in records.items()})))
    data = load("cifar10", archive)
    assert (len(data.train), len(data.test)) == (15, 7)
    assert data.test.images[6, 3, 5].tolist() == [records["test_batch"][6, 1 + 1024 * c + 3 * 32 + 5] for c in range(3)]


def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, files, to_tar, pack) -> None:
    tar = to_tar(files)
    # The end of a tar is padded to 10,240 bytes of which two blocks are needed.
    tar = tar[: len(tar.rstrip(b"\0")) // 512 * 512 + 3 * 512]
    whole = pack(tar)
    path = tmp_path / "cifar.tar"
    path.write_bytes(whole)
    load("cifar10", path)
    for end in [*range(0, len(whole), len(whole) // 15), len(whole) - 9, len(whole) - 1]:
        path.write_bytes(whole[:end])
        refuse(path, "expected .*whole (archive|tar) at ")


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_damage_is_refused_up_to_the_checksum_at_the_end(tmp_path: Path, files, to_tar, cache: Path, kind: str) -> None:
    whole = PACKERS[kind](to_tar(files))
    # The checksum of the whole stream: gzip before the length, bzip2 at the end, xz in the check before the index.
    last = {"gz": -8, "bz2": -3, "xz": -45}[kind]
    path = tmp_path / "cifar.tar"
    for place in (len(whole) // 3, len(whole) // 2, len(whole) + last):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        path.write_bytes(broken)
        refuse(path, "expected a whole archive at .* but it is damaged")
    assert list((cache / "archives").iterdir()) == []


def test_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    for content in (b"", b"no archive", b"\x28\xb5\x2f\xfd zstd"):
        path.write_bytes(content)
        refuse(path, "expected a (whole tar|folder or a whole tar|folder, a tar or a zip)")


def test_a_stream_that_hardly_ends_is_cut_short(
    tmp_path: Path, files, to_tar, pack, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_MAX_ARCHIVE", 1 << 20)
    path = tmp_path / "cifar.tar"
    path.write_bytes(pack(to_tar(files) + bytes(1 << 22)))
    refuse(path, r"at most 1,048,576 bytes")
    assert not cache.exists() or list((cache / "archives").iterdir()) == []


def test_a_member_above_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, files, to_tar, pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    files[f"{TOP}/test_batch.bin"] = bytes(50_000)
    (tmp_path / "cifar.tar").write_bytes(pack(to_tar(files)))
    monkeypatch.setattr(source_module, "_MAX_BYTES", 40_000)
    monkeypatch.setattr(source_module.Member, "read", lambda _: pytest.fail("a member was read"))
    refuse(tmp_path / "cifar.tar", "at most 40000 bytes at .*test_batch.bin, but it has 50000")


def test_no_name_in_an_archive_is_a_path(tmp_path: Path, files, to_tar, pack, cache: Path) -> None:
    outside = {"../../test_batch.bin": b"out", "/abs/data_batch_9.bin": b"out"}
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "cifar.tar").write_bytes(pack(to_tar(files | outside)))
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache)}
    assert len(load("cifar10", inside / "cifar.tar").test) == 4
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache)} == before


def test_a_link_that_leads_outside_is_not_followed(tmp_path: Path, files) -> None:
    content = files.pop(f"{TOP}/test_batch.bin")
    (tmp_path / "secret").write_bytes(content)
    with tarfile.open(tmp_path / "cifar.tar", "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo(f"{TOP}/test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        archive.addfile(link)
    refuse(tmp_path / "cifar.tar", r"but test_batch\.bin is missing")


def test_batches_of_two_folders_are_not_mixed(tmp_path: Path, files, to_tar) -> None:
    files["other/test_batch.bin"] = files[f"{TOP}/test_batch.bin"]
    (tmp_path / "cifar.tar").write_bytes(to_tar(files))
    refuse(tmp_path / "cifar.tar", rf"expected one test_batch\.bin .* {TOP}/test_batch\.bin and other/test_batch\.bin")


def test_a_folder_with_several_archives(tmp_path: Path, files, to_tar) -> None:
    home = tmp_path / "home"
    home.mkdir()
    names = ("cifar-100-python.tar.gz", "cifar-10-own.txz.sha256", "cifar-10-own.txz", "cifar-10-binary.tar.gz")
    for name in names[:3]:
        (home / name).write_bytes(lzma.compress(to_tar(files)))
    assert len(load("cifar10", home).test) == 4  # CIFAR-100 and checksums are not meant
    (home / names[3]).write_bytes(to_tar(files))
    refuse(home, r"one archive of CIFAR-10 in .*, but there are cifar-10-binary\.tar\.gz, cifar-10-own\.txz: name one")


def test_an_archive_is_unpacked_once_into_the_given_cache(
    tmp_path: Path, files, to_tar, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cifar.tar.xz"
    path.write_bytes(lzma.compress(to_tar(files)))
    here = tmp_path / "here"
    first = load("cifar10", path, here)
    (unpacked,) = (here / "archives").iterdir()
    assert unpacked.read_bytes() == to_tar(files)
    assert not cache.exists()
    monkeypatch.setattr(lzma, "LZMADecompressor", lambda *_, **__: pytest.fail("it was unpacked again"))
    assert np.array_equal(load("cifar10", path, here).train.images, first.train.images)


def test_an_unreadable_archive(tmp_path: Path, files, to_tar, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cifar.tar").write_bytes(to_tar(files))

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    for place, name in ((source_module, "plain_tar"), (source_module.Member, "read")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, deny)
            refuse(tmp_path / "cifar.tar", "archive of CIFAR-10 at .*Permission denied")


@pytest.mark.slow
def test_the_shared_archive(shared: Path) -> None:
    path = shared / "data" / "cifar-10-45k.tar.xz"
    if not path.is_file():
        pytest.skip("no CIFAR-10 among the shared data")
    data = load("cifar10", path)
    assert (data.train.images.shape, data.test.images.shape) == ((45_000, 32, 32, 3), (5_000, 32, 32, 3))
    assert np.bincount(data.train.labels).tolist() == [4_500] * 10
    assert np.bincount(data.test.labels).tolist() == [500] * 10
    assert data.class_names[-1] == "truck"
