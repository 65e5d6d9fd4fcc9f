"""Files read by several threads; files that are open are replaced and deleted as each system allows it."""

import errno
import io
import threading
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from PIL import Image

from binnet.cli import main
from binnet_datasets import open_store
from binnet_datasets.errors import DataError
from binnet_datasets.files import replacing
from binnet_datasets.store.build import build_store
from binnet_datasets.store.journal import Journal, remove_stopped
from binnet_kernels.simd.turns import turn
from binnet_system import files


@pytest.mark.parametrize("pread", ["own", None])
def test_threads_read_one_file_at_once(tmp_path, monkeypatch, pread):
    if pread is None:
        monkeypatch.setattr(files, "pread", None)
    content = np.random.default_rng(0).bytes(200_000)
    path = tmp_path / "file"
    path.write_bytes(content)
    reader, wrong = files.SharedReader(path), []

    def read(seed):
        for place in np.random.default_rng(seed).integers(0, len(content), 300).tolist():
            if reader.read(place, 97) != content[place : place + 97]:
                wrong.append(place)

    threads = [threading.Thread(target=read, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert reader.status().st_size == len(content)


def test_an_open_file_is_not_replaced_on_windows(tmp_path, like_windows):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file["a"] = 1
    before = path.read_bytes()
    sentence = "open in a program, which has to close it first"
    with h5py.File(path), pytest.raises(OSError, match=sentence) as error, replacing(path) as part:
        part.write_bytes(b"new")
    assert error.value.filename == str(path)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])


def test_a_file_that_is_open_for_a_moment_is_replaced(tmp_path, like_windows, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    scanner = path.open("rb")
    monkeypatch.setattr(files.time, "sleep", lambda _: scanner.close())
    with replacing(path) as part:
        part.write_bytes(b"new")
    assert path.read_bytes() == b"new"


def test_an_error_names_the_file_and_not_its_temporary_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error, replacing(tmp_path / "file"):
        pass  # nothing was written under the temporary name
    assert error.value.filename == str(tmp_path / "file")


def test_a_forbidden_replacement_is_told_as_the_system_does(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files, "_rename", refuse)
    with pytest.raises(PermissionError, match="not permitted"):
        files.replace(tmp_path / "a", tmp_path / "b")


def _photos(folder: Path) -> Path:
    rng = np.random.default_rng(1)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_a_store_is_built_and_read_on_windows(tmp_path, like_windows):
    """No file is renamed or deleted while it is open, pixels are read without pread, and the bytes are the same."""
    photos, out = _photos(tmp_path / "photos"), tmp_path / "out.h5"
    build_store(photos, out)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.h5"]
    store = open_store(out)
    assert list(store.train.images.damaged()) == []
    images = {image.tobytes() for split in (store.train, store.test) for image in split.images}
    expected = {np.asarray(Image.open(path)).tobytes() for path in photos.rglob("*.png")}
    assert images == expected


def test_a_build_locks_out_another_on_windows(tmp_path, like_windows):
    out = tmp_path / "out.h5"
    with Journal(out, "key", 0, 3) as journal:
        remove_stopped(out)
        assert journal.path.exists(), "a build that runs keeps its files"
    remove_stopped(out)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_store_of_the_cache_that_stays_is_not_told_to_be_deleted(tmp_path, monkeypatch):
    build_store(_photos(tmp_path / "photos"), out := tmp_path / "out.h5")
    with h5py.File(out) as file:
        start = file["pixels"].id.get_offset()
    content = bytearray(out.read_bytes())
    content[start] ^= 1
    out.write_bytes(content)
    images = open_store(out).train.images
    images._pixels.cached = True

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(DataError, match="; delete it, and the same command builds it again"):
        list(images)


def test_a_turn_leaves_no_file_on_windows(tmp_path, like_windows):
    with turn(tmp_path / "kernel.bin"):
        assert [path.name for path in tmp_path.iterdir()] == ["kernel.lock"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("system", ["own", "windows"])
def test_delete_and_close(tmp_path, request, system):
    if system == "windows":
        request.getfixturevalue("like_windows")
    path, order = tmp_path / "file", []
    file = path.open("wb")
    files.delete_and_close(file, lambda each: order.append((each.closed, path.exists())))
    assert order == [(False, system == "windows")]
    assert file.closed
    assert not path.exists()
    assert isinstance(file, io.BufferedWriter)


def test_a_read_only_file_is_not_called_open(tmp_path, monkeypatch):
    path = tmp_path / "model.h5"
    path.write_bytes(b"old")

    def denied(source, target):
        error = PermissionError(errno.EACCES, "Access is denied", str(target))
        error.winerror = 5
        raise error

    monkeypatch.setattr(files, "_rename", denied)
    monkeypatch.setattr(files, "_PAUSES", ())
    for writable, sentence in ((True, "open in a program"), (False, "it may not be written")):
        monkeypatch.setattr(files.os, "access", lambda path, mode, answer=writable: answer)
        with pytest.raises(PermissionError, match=sentence):
            files.replace(tmp_path / "new", path)


def test_a_closed_pipe_on_each_system(monkeypatch):
    invalid = OSError(errno.EINVAL, "Invalid argument")
    for windows in (False, True):
        monkeypatch.setattr(files, "WINDOWS", windows)
        assert files.is_closed_pipe(BrokenPipeError())
        assert files.is_closed_pipe(invalid) == windows
        assert not files.is_closed_pipe(OSError(errno.EINVAL, "Invalid argument", "a file"))


@pytest.mark.parametrize(("blocks", "free"), [({"st_blocks": 8}, True), ({"st_blocks": 8200}, False), ({}, False)])
def test_holes_take_room_where_files_have_no_blocks(tmp_path, monkeypatch, blocks, free):
    status = SimpleNamespace(st_size=0, st_mode=0o100600, st_blksize=4096, **blocks)  # Windows counts no blocks
    monkeypatch.setattr(files.os, "fstat", lambda descriptor: status)
    assert files.holes_are_free(tmp_path) == free


def test_nothing_is_left_of_a_training_in_stages_without_data(tmp_path, like_windows, capsys):
    """The log, which the training has open, is deleted too, and the sentence is about the data."""
    out = tmp_path / "run"
    argv = ["train", "--stages", "2", "--model", "lenet5", "--data", str(tmp_path / "none.h5"), "--out", str(out)]
    assert main(argv) == 1
    assert "none.h5" in capsys.readouterr().err
    assert not out.exists() or not list(out.iterdir())
