"""Building stores: pixels as an independent reading of the files has them, whatever happens on the way."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import binnet_datasets
from binnet_datasets import BuildOptions, DataError, Dataset, build_store, open_store, read_store
from binnet_datasets.store import journal as journal_module
from binnet_datasets.store.journal import Journal


@pytest.fixture
def source(tmp_path: Path, imagenet, write) -> Path:
    return write(tmp_path / "source", imagenet)


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_pixels_labels_and_names(source: Path, imagenet, tmp_path: Path) -> None:
    report = build_store(source, tmp_path / "out.h5")
    assert (report.train, report.val, report.corrupt, report.fresh) == (18, 6, (), True)
    dataset = open_store(tmp_path / "out.h5")
    assert (dataset.name, dataset.class_ids) == ("source", ("n01", "n02", "n03"))
    for part, split in (("train", dataset.train), ("val", dataset.test)):
        names = sorted(name for name in imagenet if name.startswith(part))
        assert list(split.images.names) == names
        assert [f"n0{label + 1}" for label in split.labels] == [name.split("/")[1] for name in names]
        for i, name in enumerate(names):
            assert np.array_equal(split.images[i], np.asarray(Image.open(io.BytesIO(imagenet[name]))))
    assert hidden(tmp_path) == []


def test_mean_and_deviation_are_those_of_the_training_pixels(source: Path, tmp_path: Path) -> None:
    build_store(source, tmp_path / "out.h5")
    dataset = open_store(tmp_path / "out.h5")
    pixels = np.concatenate([dataset.train.images[i].reshape(-1, 3) for i in range(18)]) / 255
    mean, std = dataset.mean_std()
    np.testing.assert_allclose(mean, pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, pixels.std(axis=0), rtol=1e-6)
    counted = Dataset("", dataset.train, dataset.test, dataset.class_names).mean_std()
    assert np.array_equal(counted, (mean, std))


@pytest.mark.parametrize(("h", "w", "size"), [(24, 32, 12), (32, 24, 20), (24, 24, 48), (30, 40, 30), (7, 500, 14)])
def test_the_short_side_becomes_the_size_asked_for(tmp_path: Path, picture, write, h, w, size) -> None:
    source = write(tmp_path / "s", {f"{c}/{i}.png": picture(i, h, w) for c in "ab" for i in range(2)})
    build_store(source, tmp_path / "out.h5", BuildOptions(size=size))
    image = open_store(tmp_path / "out.h5").train.images[0]
    assert min(image.shape[:2]) == size
    assert max(image.shape[:2]) == min(round(max(h, w) * size / min(h, w)), 4 * size)


def test_shrinking_averages(tmp_path: Path, write) -> None:
    board = np.zeros((512, 512), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    file = io.BytesIO()
    Image.fromarray(board).save(file, "PNG")
    source = write(tmp_path / "s", {f"{c}/{i}.png": file.getvalue() for c in "ab" for i in range(2)})
    build_store(source, tmp_path / "out.h5", BuildOptions(size=32))
    image = open_store(tmp_path / "out.h5").train.images[0]
    assert 120 < image.min() <= image.max() < 135


def test_large_jpegs_decoded_smaller_look_the_same(tmp_path: Path, picture, write) -> None:
    content = picture(3, 800, 1000, "JPEG")
    source = write(tmp_path / "s", {f"{c}/{i}.jpg": content for c in "ab" for i in range(2)})
    build_store(source, tmp_path / "out.h5", BuildOptions(size=64))
    whole = Image.open(io.BytesIO(content)).resize((80, 64), Image.Resampling.BILINEAR)
    stored = open_store(tmp_path / "out.h5").train.images[0].astype(int)
    assert np.abs(stored - np.asarray(whole)).max() <= 3


@pytest.mark.parametrize(
    ("mode", "format", "options"),
    [
        ("L", "PNG", {}),
        ("L", "JPEG", {"quality": 95}),
        ("CMYK", "JPEG", {"quality": 95}),
        ("RGBA", "PNG", {}),
        ("P", "PNG", {}),
        ("I;16", "PNG", {}),
        ("1", "PNG", {}),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_other_kinds_of_images(tmp_path: Path, write, mode: str, format: str, options, channels: int) -> None:
    half = np.full((16, 16), 255, np.uint8)
    half[:, :8] = 0
    wide = Image.fromarray(half.astype(np.uint16) * 257)
    image = wide if mode == "I;16" else Image.fromarray(half).convert("RGB").convert(mode)
    file = io.BytesIO()
    image.save(file, format, **options)
    source = write(tmp_path / "s", {f"{c}/{i}.png": file.getvalue() for c in "ab" for i in range(2)})
    build_store(source, tmp_path / "out.h5", BuildOptions(channels=channels))
    stored = open_store(tmp_path / "out.h5").train.images[0].astype(int)
    assert stored.shape == (16, 16, channels)
    assert np.abs(stored - half[..., None]).max() <= 12


def test_exif_orientation_is_applied_also_to_large_jpegs(tmp_path: Path, write) -> None:
    upright = np.zeros((400, 200), np.uint8)
    upright[:200] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(file, "JPEG", exif=exif)
    source = write(tmp_path / "s", {f"{c}/{i}.jpg": file.getvalue() for c in "ab" for i in range(2)})
    build_store(source, tmp_path / "out.h5", BuildOptions(size=20))
    stored = open_store(tmp_path / "out.h5").train.images[0]
    assert stored.shape == (40, 20, 3)
    assert stored[:18].min() > 240
    assert stored[22:].max() < 15


def test_the_store_follows_from_the_sources_alone(source: Path, imagenet, tmp_path: Path, to_tar) -> None:
    reference = None
    (tmp_path / "tar").mkdir()
    (tmp_path / "tar" / "source.tar").write_bytes(to_tar(dict(reversed(imagenet.items()))))
    for i, (where, jobs) in enumerate([(source, 1), (source, 5), (tmp_path / "tar" / "source.tar", 2)]):
        path = tmp_path / f"{i}.h5"
        build_store(where, path, jobs=jobs)
        with h5py.File(path) as file:
            values = [file["pixels"][:], *(file[f"{p}/{n}"][:] for p in ("train", "val") for n in file[p])]
        reference = reference or values
        assert all(np.array_equal(a, b) for a, b in zip(values, reference, strict=True))
    assert (tmp_path / "0.h5").read_bytes() == (tmp_path / "1.h5").read_bytes()


@pytest.mark.parametrize(("format", "ending"), [("TIFF", "tif"), ("AVIF", "avif"), ("JPEG2000", "jp2")])
def test_formats_beyond_the_usual(tmp_path: Path, write, format: str, ending: str) -> None:
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"Pillow cannot write {format}")
    files = {}
    for i in range(4):
        file = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), 60 * i, np.uint8)).save(file, format)
        files[f"{'ab'[i % 2]}/{i}.{ending}"] = file.getvalue()
    build_store(write(tmp_path / "s", files), tmp_path / "out.h5")
    store = read_store(tmp_path / "out.h5")
    for part in (store.train, store.val):
        for name, image in zip(part.names, part, strict=True):
            assert np.abs(image.astype(int) - 60 * int(name[2])).max() <= 4


def test_what_is_not_used_is_in_the_store(source: Path, tmp_path: Path) -> None:
    (source / "train" / "n01" / "x.heic").write_bytes(b"")
    build_store(source, tmp_path / "out.h5")
    reason = "HEIC, which cannot be read: convert it to JPEG"
    assert read_store(tmp_path / "out.h5").description["unused"] == [["train/n01/x.heic", reason]]


def test_building_again_changes_nothing(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    build_store(source, out)
    before = out.stat()
    report = build_store(source, out)
    assert (report.fresh, report.train, report.val) == (False, 18, 6)
    assert (out.stat().st_mtime_ns, out.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_nothing_else_is_overwritten(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    build_store(source, out)
    with pytest.raises(DataError, match=r"is a store of other images or options already; delete it"):
        build_store(source, out, BuildOptions(size=10))
    out.write_bytes(b"dear diary")
    with pytest.raises(DataError, match=r"to write an image store to .*, but there is something that is no"):
        build_store(source, out)
    assert out.read_bytes() == b"dear diary"
    with pytest.raises(DataError, match=r"but there is a folder"):
        build_store(source, tmp_path)
    with pytest.raises(DataError, match=r"cannot write /dev/null/x.h5: /dev/null is no folder"):
        build_store(source, "/dev/null/x.h5")


@pytest.fixture
def spoilt(imagenet, tmp_path: Path, write) -> Path:
    """A source in which three training images and one validation image are corrupt."""
    whole = imagenet["train/n01/n01_1.png"]
    bad = {
        "train/n01/n01_1.png": whole[: len(whole) // 2],
        "train/n02/n02_3.png": b"no image",
        "train/n03/n03_5.png": b"",
        "val/n02/n02_7.png": whole[:40],
    }
    return write(tmp_path / "spoilt", {**imagenet, **bad})


def test_corrupt_images_are_left_out_and_listed(spoilt: Path, tmp_path: Path) -> None:
    report = build_store(spoilt, tmp_path / "out.h5", max_corrupt=0.2)
    assert (report.train, report.val) == (15, 5)
    assert [name for name, _ in report.corrupt] == [
        "train/n01/n01_1.png",
        "train/n02/n02_3.png",
        "train/n03/n03_5.png",
        "val/n02/n02_7.png",
    ]
    assert "decoding it failed" in report.corrupt[0][1]
    assert "it is none of these" in report.corrupt[1][1]
    store = read_store(tmp_path / "out.h5")
    assert store.description["corrupt"] == [list(pair) for pair in report.corrupt]
    assert list(store.train.damaged()) == list(store.val.damaged()) == []
    assert "train/n02/n02_3.png" not in store.train.names
    assert build_store(spoilt, tmp_path / "out.h5", max_corrupt=0.2).corrupt == report.corrupt


@pytest.mark.parametrize(("limit", "allowed"), [(None, 3), (0.1, 2), (0.0, 0)])
def test_too_many_corrupt_images_fail_the_build(spoilt: Path, tmp_path: Path, limit, allowed: int) -> None:
    message = rf"at most {allowed} of 24 images to be corrupt, .*n01_1.png: .*--max-corrupt"
    with pytest.raises(DataError, match=message):
        build_store(spoilt, tmp_path / "out.h5", max_corrupt=limit)
    assert not (tmp_path / "out.h5").exists()
    assert hidden(tmp_path) == []


def test_a_class_without_a_whole_image_fails_the_build(imagenet, tmp_path: Path, write) -> None:
    files = {name: b"" if name.startswith("train/n02") else content for name, content in imagenet.items()}
    with pytest.raises(DataError, match=r"one whole image of each class .* but class n02 has none"):
        build_store(write(tmp_path / "s", files), tmp_path / "out.h5", max_corrupt=1.0)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(("jobs", "limit"), [(0, None), (1, -0.1), (1, 1.1)])
def test_bad_arguments(source: Path, tmp_path: Path, jobs: int, limit) -> None:
    with pytest.raises(DataError, match=f"got {jobs} and {limit}"):
        build_store(source, tmp_path / "out.h5", jobs=jobs, max_corrupt=limit)


# ---------------------------------------------------------------------------------------------- interruptions

SCRIPT = """
import sys, time
from binnet_datasets import build_store
from binnet_datasets.store import journal
journal._FLUSH_SECONDS = 0.002
build_store(sys.argv[1], sys.argv[2], progress=lambda done, total: time.sleep(0.01))
"""


def start(source: Path, out: Path) -> subprocess.Popen[bytes]:
    path = str(Path(binnet_datasets.__file__).parents[1])
    return subprocess.Popen([sys.executable, "-c", SCRIPT, source, out], env={**os.environ, "PYTHONPATH": path})


@pytest.mark.slow
def test_builds_that_are_killed_go_on(tmp_path: Path, picture, write) -> None:
    files = {f"{c}/{i:03}.png": picture(i, 16 + i % 7, 20) for c in "ab" for i in range(480)}
    source, out = write(tmp_path / "source", files), tmp_path / "out.h5"
    build_store(source, tmp_path / "whole.h5")
    rng, reached = np.random.default_rng(0), [0]
    part = tmp_path / ".out.h5.part"
    for _ in range(10):
        wanted = reached[-1] + int(rng.integers(100, 40_000))
        process = start(source, out)
        while process.poll() is None and not (part.exists() and part.stat().st_size > wanted):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not out.exists()
        reached.append(part.stat().st_size)
    notes: list[str] = []
    build_store(source, out, notes=notes.append)
    assert re.match(r"going on after \d+ of 960 images", notes[-1])
    assert out.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert hidden(tmp_path) == []


class StoppedError(Exception):
    """Raised in the middle of a build."""


def stop_after(count: int):
    def progress(done: int, total: int) -> None:
        if done >= count:
            raise StoppedError

    return progress


@pytest.fixture
def flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_FLUSH_SECONDS", -1.0)


def test_going_on_decodes_nothing_twice(source: Path, tmp_path: Path, flushing, monkeypatch) -> None:
    with pytest.raises(StoppedError):
        build_store(source, tmp_path / "out.h5", progress=stop_after(16))
    assert hidden(tmp_path) == [".out.h5.journal", ".out.h5.part"]
    decoded = []
    from binnet_datasets.store import build

    real = build._decode
    monkeypatch.setattr(build, "_decode", lambda entry, plan: decoded.append(entry.name) or real(entry, plan))
    notes: list[str] = []
    build_store(source, tmp_path / "out.h5", notes=notes.append)
    assert notes[-1] == "going on after 16 of 24 images"
    assert len(decoded) == 8
    build_store(source, tmp_path / "whole.h5")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize("damage", ["pixels", "journal", "both", "text"])
def test_what_a_crash_has_damaged_is_done_again(source: Path, tmp_path: Path, flushing, damage: str) -> None:
    build_store(source, tmp_path / "whole.h5")
    with pytest.raises(StoppedError):
        build_store(source, tmp_path / "out.h5", progress=stop_after(16))
    part, lines = tmp_path / ".out.h5.part", tmp_path / ".out.h5.journal"
    if damage in ("pixels", "both"):
        content = bytearray(part.read_bytes())
        content[-3000] ^= 1
        part.write_bytes(content)
    if damage in ("journal", "both"):
        os.truncate(lines, lines.stat().st_size - 5)
    if damage == "text":
        lines.write_bytes(lines.read_bytes() + b"\xff\x00\n24 32 zz zz\n")
    build_store(source, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize("before", [False, True])
def test_a_build_that_is_stopped_at_its_very_end(source: Path, tmp_path: Path, monkeypatch, before: bool) -> None:
    from binnet_datasets.store import build

    build_store(source, tmp_path / "whole.h5")
    real = build.write_around

    def stop(path: Path, *arguments) -> None:
        if before:
            path.write_bytes(path.read_bytes() + b"half of what follows the pixels")
        else:
            real(path, *arguments)
        raise StoppedError

    monkeypatch.setattr(build, "write_around", stop)
    with pytest.raises(StoppedError):
        build_store(source, tmp_path / "out.h5")
    monkeypatch.setattr(build, "write_around", real)
    build_store(source, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_other_sources_begin_anew(source: Path, tmp_path: Path, flushing, picture) -> None:
    with pytest.raises(StoppedError):
        build_store(source, tmp_path / "out.h5", progress=stop_after(16))
    (source / "train/n01/n01_0.png").write_bytes(picture(77))
    notes: list[str] = []
    build_store(source, tmp_path / "out.h5", notes=notes.append)
    assert not any("going on" in note for note in notes)
    image = open_store(tmp_path / "out.h5").train.images[0]
    assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(picture(77)))))


def test_a_second_process_waits_for_the_store_of_the_first(source: Path, tmp_path: Path) -> None:
    out, notes, counts = tmp_path / "out.h5", [], []
    first = start(source, out)
    deadline = time.monotonic() + 60
    while not (tmp_path / ".out.h5.journal").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    report = build_store(source, out, notes=notes.append, progress=lambda *count: counts.append(count))
    first.communicate(timeout=60)
    assert any("another process is building" in note for note in notes)
    assert not report.fresh
    assert (report.train, report.val) == (18, 6)
    assert counts
    assert {total for _, total in counts} == {24}
    assert hidden(tmp_path) == []


def test_a_build_goes_on_where_a_process_stopped_for_which_it_waited(source: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journal_module, "_WAIT_SECONDS", 0.01)
    waiting, notes = threading.Event(), []
    held = Journal(tmp_path / "out.h5", "key", 0, 3)

    def note(sentence: str) -> None:
        notes.append(sentence)
        if "another process is building" in sentence:
            waiting.set()

    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(build_store, source, tmp_path / "out.h5", notes=note)
        assert waiting.wait(60)
        held.__exit__()  # as when the process ends
        assert report.result(60).fresh
    assert hidden(tmp_path) == []


def test_a_full_disk_leaves_no_store_and_the_next_build_goes_on(source: Path, tmp_path: Path, monkeypatch) -> None:
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"cannot write .*out.h5: No space left on device .*goes on with it"):
        build_store(source, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    monkeypatch.setattr(os, "fsync", real)
    assert build_store(source, tmp_path / "out.h5").fresh


def test_a_store_that_cannot_fit_is_not_begun(source: Path, tmp_path: Path, monkeypatch) -> None:
    from binnet_datasets.store import build

    needed = 24 * 32 * 3 * 24
    usage = build.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: usage._replace(free=int(needed * 0.7)))
    with pytest.raises(DataError, match=r"room for about 0 MB at .*out.h5, but the disk has 0 MB left"):
        build_store(source, tmp_path / "out.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: usage._replace(free=int(needed)))
    assert build_store(source, tmp_path / "out.h5").fresh


def test_a_limit_on_the_size_of_files(source: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    build_store(source, tmp_path / "whole.h5")
    for limit in (100, 5_000, 30_000, (tmp_path / "whole.h5").stat().st_size - 1):
        code = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2); "
            "from binnet_datasets import build_store; build_store(sys.argv[1], sys.argv[2])"
        )
        path = str(Path(binnet_datasets.__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-c", code, source, tmp_path / "out.h5", str(limit)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert "DataError: cannot write" in done.stderr
        assert "File too large" in done.stderr
        assert not (tmp_path / "out.h5").exists()
    assert resource.RLIMIT_FSIZE
    build_store(source, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert hidden(tmp_path) == []


def test_checksums_of_sources_and_pixels(source: Path, imagenet, tmp_path: Path) -> None:
    build_store(source, tmp_path / "out.h5")
    store = read_store(tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        names = bytes(file["train/source_names"][:]).decode().split("\0")
        for i, name in enumerate(names):
            assert file["train/source_crc32"][i] == zlib.crc32(imagenet[name])
            assert file["train/source_bytes"][i] == len(imagenet[name])
            assert file["train/crc32"][i] == zlib.crc32(store.train[i].tobytes())


def test_tiny_imagenet_from_the_tar(shared: Path, tmp_path: Path) -> None:
    tar = shared / "data" / "tiny-imagenet-20.tar"
    if not tar.is_file():
        pytest.skip("no Tiny-ImageNet among the shared data")
    report = build_store(tar, tmp_path / "tiny.h5", BuildOptions(classes="3", per_class=20))
    assert (report.train, report.val) == (60, 150)
    dataset = open_store(tmp_path / "tiny.h5")
    assert dataset.class_names == ("goldfish", "bullfrog", "sea slug")
    assert dataset.image_size == (64, 64)
