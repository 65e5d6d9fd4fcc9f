"""The container of model files: what is written, and what is refused when it is read."""

import errno
import hashlib
import json
import os
import pickle
import re
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from binnet.modelfile import container
from binnet.modelfile.container import CHECKPOINT, PACKED, StorageError
from binnet_system import files

ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.signs": np.array([2**64 - 1, 5], np.uint64),
    "steps": np.array(7, np.int64),
    "none": np.zeros((0, 4), np.float32),
}
CHECKSUM = "is damaged: it does not have the checksum it was written with"
FOUND = f"{CHECKSUM}|is damaged: it has [0-9,]+ bytes, but was written with [0-9,]+$"
DESCRIPTION = {"model": {"name": "é"}, "data": [1, 2.5, None]}


@pytest.fixture
def path(tmp_path):
    """A sound file with ARRAYS and DESCRIPTION."""
    container.save(tmp_path / "m.h5", PACKED, ARRAYS, DESCRIPTION)
    return tmp_path / "m.h5"


def refused(path, match, kind=None):
    """Loading raises StorageError with one sentence that names the file."""
    with pytest.raises(StorageError, match=match) as caught:
        container.load(path, kind)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def seal(path, first, rest):
    """Write a file whose size and checksum are right, as somebody who means harm would."""
    end = f" bytes, sha256 {hashlib.sha256(rest).hexdigest()}\n".encode()
    size = len(first + end + rest)
    path.write_bytes(first + str(size + len(str(size))).encode() + end + rest)


def forge(path, change):
    """Change the index: a dictionary, or the text that the change returns."""
    first, _, text, image = path.read_bytes().split(b"\n", 3)
    values = json.loads(text)
    values = change(values) or values
    text = values if isinstance(values, bytes) else json.dumps(values).encode()
    seal(path, first + b"\n", text + b"\n" + image)


def forge_description(path, text):
    """Another description, of the same length."""
    first, _, index, image = path.read_bytes().split(b"\n", 3)
    _, (length,), offset = json.loads(index)["description"]
    assert len(text) == length
    image = image[:offset] + text + image[offset + length :]
    seal(path, first + b"\n", index + b"\n" + image)


def test_round_trip(path):
    kind, arrays, description = container.load(path)
    assert (kind, description) == (PACKED, DESCRIPTION)
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    assert [p.name for p in path.parent.iterdir()] == ["m.h5"]


def test_the_same_arguments_give_the_same_bytes(path):
    assert path.read_bytes() == container.to_bytes(PACKED, ARRAYS, DESCRIPTION)
    assert path.read_bytes() != container.to_bytes(CHECKPOINT, ARRAYS, DESCRIPTION)


def test_any_hdf5_tool_reads_it_and_binnet_needs_none(path, monkeypatch):
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        assert set(file) == {"description", *ARRAYS}
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(file[name][()], array, strict=True)
        assert json.loads(file["description"][()].tobytes()) == DESCRIPTION
    monkeypatch.setitem(sys.modules, "h5py", None)  # importing it would be an error
    assert container.load(path)[2] == DESCRIPTION


def test_a_file_is_as_readable_as_any_other(path):
    (path.parent / "other").write_text("")
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


def test_only_four_dtypes_are_written(tmp_path):
    with pytest.raises(TypeError, match="x has dtype float64; a model file holds float32, float16, uint64, int64"):
        container.save(tmp_path / "m.h5", PACKED, {"x": np.zeros(2)}, {})
    assert not list(tmp_path.iterdir())


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", ["a/b", "", ".", "two\nlines"])
def test_a_name_that_would_not_be_read_is_not_written(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name of an array"):
        container.save(tmp_path / "m.h5", PACKED, {name: np.zeros(1, np.float32)}, {})
    assert not (tmp_path / "m.h5").exists()


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()
    for owner, name in ((Path, "write_bytes"), (os, "fsync"), (files, "_rename")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, no_space)
            with pytest.raises(StorageError, match=r"cannot write .*m.h5: No space left on device"):
                container.save(path, PACKED, {}, {})
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == ["m.h5"]


def test_half_a_file_is_never_seen(path, monkeypatch):
    before, write = path.read_bytes(), Path.write_bytes

    def half(self, data):
        write(self, data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        container.save(path, PACKED, {}, {})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["m.h5"]


def test_saving_makes_folders_and_refuses_what_is_no_file(tmp_path):
    container.save(tmp_path / "a" / "b" / "m.h5", PACKED, ARRAYS, DESCRIPTION)
    container.load(tmp_path / "a" / "b" / "m.h5")
    with pytest.raises(StorageError, match=r"cannot write .*a: it is not a file"):
        container.save(tmp_path / "a", PACKED, ARRAYS, DESCRIPTION)
    with pytest.raises(StorageError, match=r"cannot write .*x.h5: "):
        container.save(tmp_path / "a" / "b" / "m.h5" / "x.h5", PACKED, ARRAYS, DESCRIPTION)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match=r"cannot write .*pipe: it is not a file"):
        container.save(tmp_path / "pipe", PACKED, ARRAYS, DESCRIPTION)
    assert (tmp_path / "pipe").is_fifo()  # a rename would have replaced it, and /dev/null as well


def test_what_is_not_a_model_file(tmp_path):
    refused(tmp_path / "missing.h5", "there is no file")
    refused(tmp_path, "is a folder, expected a model file")
    file = tmp_path / "file"
    file.write_bytes(b"")
    refused(file, "is empty")
    file.write_text("weights = [1, 2, 3]\n")
    refused(file, r"is not a model file \(not HDF5\)")
    file.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    refused(file, r"is not a model file \(not HDF5\)")
    with h5py.File(file, "w") as other:
        other["images"] = np.zeros(3)
    refused(file, "is an HDF5 file, but neither a binnet checkpoint nor a binnet packed model")
    with h5py.File(file, "w", userblock_size=512):
        pass
    refused(file, r"is not a model file \(not HDF5\)")
    file.write_bytes(b"binnet store, version 1\n")
    refused(file, "is neither a binnet checkpoint nor a binnet packed model")


def test_wrong_kind_and_version(path):
    refused(path, "is a binnet packed model, expected a binnet checkpoint", CHECKPOINT)
    container.load(path, PACKED)
    data = path.read_bytes()
    this = b"version %d" % container.VERSION
    for later in (data.replace(this, b"version 99", 1), b"binnet packed model, version 99\nall is otherwise\n"):
        path.write_bytes(later)
        refused(path, rf"has format version 99, this binnet reads version {container.VERSION}$")
    path.write_bytes(data.replace(this, b"version one", 1))
    refused(path, "is not a model file")


@pytest.mark.parametrize(
    ("kind", "what_to_do"),
    [
        (CHECKPOINT, "; it was written by an earlier binnet, and training cannot go on from it$"),
        (PACKED, r"; make a new one with: binnet pack CHECKPOINT .*m\.h5$"),
    ],
)
def test_a_file_of_an_earlier_version(tmp_path, monkeypatch, kind, what_to_do):
    path = tmp_path / "m.h5"
    path.write_bytes(f"{kind}, version 1\nindex of 7 bytes, sha256 {'0' * 64}\n".encode())
    monkeypatch.setattr(container, "VERSION", 2)
    refused(path, "has format version 1, this binnet reads version 2" + what_to_do)


def changed_value(file):
    file["a.weight"][0, 0] = 9


def changed_bit(file):
    file["b.signs"][1] = 4


def other_shape(file):
    array = file["a.weight"][()]
    del file["a.weight"]
    file["a.weight"] = array.reshape(3, 2)


def other_dtype(file):
    array = file["b.signs"][()]
    del file["b.signs"]
    file["b.signs"] = array.view(np.int64)


def other_name(file):
    file.move("a.weight", "c.weight")


def swapped(file):
    file.move("none", "x")
    file.move("steps", "none")
    file.move("x", "steps")


def one_more(file):
    file["more"] = np.zeros(2, np.float32)


def one_less(file):
    del file["steps"]


def other_description(file):
    text = file["description"][()].tobytes().replace(b"2.5", b"2.6")
    file["description"][...] = np.frombuffer(text, np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        changed_value,
        changed_bit,
        other_shape,
        other_dtype,
        other_name,
        swapped,
        one_more,
        one_less,
        other_description,
    ],
)
def test_a_change_with_an_hdf5_tool_is_found(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    refused(path, FOUND)


def test_bytes_everywhere_and_the_size_are_covered(path):
    data = path.read_bytes()
    for place in (*range(512), *range(512, len(data), 5)):  # the user block, and a part of HDF5
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        refused(path, r"m\.h5 ")
    for size, content in ((len(data) + 1, data + b" "), (len(data) - 1, data[:-1]), (140, data[:140])):
        path.write_bytes(content)
        refused(path, f"is damaged: it has {size:,} bytes, but was written with {len(data):,}$")
    for size in (32, 60, 100):
        path.write_bytes(data[:size])
        refused(path, "is damaged: its second line does not state size and checksum")


def soft_link(file, folder):
    file["more"] = h5py.SoftLink("/a.weight")


def broken_link(file, folder):
    file["more"] = h5py.SoftLink("/nowhere")


def external_link(file, folder):
    file["more"] = h5py.ExternalLink("/etc/hostname", "/")


def external_data(file, folder):
    (folder / "secret").write_bytes(b"12345678")
    file.create_dataset("more", (2,), np.float32, external=[(str(folder / "secret"), 0, 8)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((3,), np.float32)
    layout[:] = h5py.VirtualSource(file["a.weight"])[0]
    file.create_virtual_dataset("more", layout)


def chunked(file, folder):
    file.create_dataset("more", data=np.zeros(64, np.float32), chunks=(8,))


def compressed(file, folder):
    file.create_dataset("more", data=np.zeros(1 << 20, np.float32), compression="gzip")


def resizable(file, folder):
    file.create_dataset("more", (2,), np.float32, maxshape=(None,))


def group(file, folder):
    file.create_group("more")


def named_type(file, folder):
    file["more"] = np.dtype(np.float32)


@pytest.mark.parametrize(
    "trick",
    [
        soft_link,
        broken_link,
        external_link,
        external_data,
        virtual,
        chunked,
        compressed,
        resizable,
        group,
        named_type,
    ],
)
def test_what_hdf5_can_hide_is_found(path, trick):
    with h5py.File(path, "r+") as file:
        trick(file, path.parent)
    refused(path, FOUND)


def never_written(file):
    file.create_dataset("more", (1 << 40,), np.float32)  # 4 TB, of which nothing is in the file


def words_of_any_length(file):
    file["more"] = "text"


def without_space(file):
    file["more"] = h5py.Empty("f4")


@pytest.mark.parametrize("trick", [never_written, words_of_any_length, without_space])
def test_other_arrays_of_hdf5_are_found(path, trick):
    with h5py.File(path, "r+") as file:
        trick(file)
    refused(path, FOUND)


def part(**fields):
    """A change of the entry of a.weight."""

    def change(values):
        for field, value in fields.items():
            values["a.weight"][("dtype", "shape", "offset").index(field)] = value

    return change


def with_part(name, like):
    return lambda values: values.update({name: values[like]})


NOT_ONE = "is damaged: its index does not have the form that it must have"
CANNOT = "is damaged: it ends before the end of a.weight"
TOO_LARGE = "is damaged: its arrays or its description are too large"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (part(shape=[1 << 40, 3]), CANNOT),
        (part(shape=[1 << 61, 1 << 61, 1 << 61]), NOT_ONE),
        (part(shape=[1 << 60, 0]), NOT_ONE),
        (part(shape=[1 << 30, 1 << 30, 1 << 30, 0]), NOT_ONE),
        (part(shape=[10**400]), NOT_ONE),
        (part(shape=[-2, -3]), NOT_ONE),
        (part(shape=[2.0, 3]), NOT_ONE),
        (part(shape=[True, 6]), NOT_ONE),
        (part(shape=[1] * 9), NOT_ONE),
        (part(shape=6), NOT_ONE),
        (part(shape={"6": 1}), NOT_ONE),
        (part(offset=-1), NOT_ONE),
        (part(offset=1 << 70), CANNOT),
        (part(offset=None), NOT_ONE),
        (part(dtype="<f8"), NOT_ONE),
        (part(dtype=">f4"), NOT_ONE),
        (part(dtype="|O"), NOT_ONE),
        (part(dtype="|u1"), NOT_ONE),
        (part(dtype=["<f4"]), NOT_ONE),
        (part(dtype="<u8", shape=[1 << 10]), CANNOT),
        (lambda values: values.update({f"{i}": values["a.weight"] for i in range(200)}), TOO_LARGE),
        (with_part("", "none"), NOT_ONE),
        (with_part("a/b", "none"), NOT_ONE),
        (with_part("a\x1b[2J", "none"), NOT_ONE),
        (with_part("\ud800", "none"), NOT_ONE),
        (with_part("description", "none"), NOT_ONE),
        (lambda values: values.pop("description") and None, NOT_ONE),
        (lambda values: values["a.weight"].append(1), NOT_ONE),
        (lambda values: {**values, "a": 3}, NOT_ONE),
        (lambda values: {**values, "a": [1]}, NOT_ONE),
        (lambda values: [values], NOT_ONE),
        (lambda values: b"{", NOT_ONE),
        (lambda values: b" ", NOT_ONE),
        (lambda values: b"\xff\xfe", NOT_ONE),
        (lambda values: b"[" * 100_000, NOT_ONE),
        (lambda values: b"[" + b"1" * 5000 + b"]", NOT_ONE),
        (lambda values: json.dumps(values).encode() + b" " * (1 << 22), NOT_ONE),
    ],
)
def test_a_forged_index_is_refused(path, change, match):
    forge(path, change)
    refused(path, match)


def test_memory_is_taken_only_for_what_is_in_the_file(path):
    forge(path, part(shape=[1 << 40]))
    tracemalloc.start()
    try:
        refused(path, CANNOT)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"[1, 2]", "its description is not a JSON object"),
        (b"{", "its description is not JSON"),
        (b"", "its description is not JSON"),
        (b"\xff\xfe", "its description is not JSON"),
        (b"[" * 100_000, "its description is not JSON"),
        (b'{"n": ' + b"1" * 5000 + b"}", "its description is not JSON"),
    ],
)
def test_the_description_must_be_a_json_object(tmp_path, text, match):
    length = max(len(text), 64)
    container.save(tmp_path / "m.h5", PACKED, ARRAYS, {"text": "a" * (length - len('{"text": ""}'))})
    forge_description(tmp_path / "m.h5", text.ljust(length))
    refused(tmp_path / "m.h5", match)


def test_the_description_is_all_that_holds_bytes(path, tmp_path):
    with pytest.raises(TypeError, match="x has dtype uint8; a model file holds"):
        container.save(path, PACKED, {"x": np.zeros(3, np.uint8)}, {})
    container.save(path, PACKED, {}, {"text": "a" * (1 << 22)})
    refused(path, TOO_LARGE)


def test_arrays_can_be_written_to_and_are_aligned(path):
    for name, array in container.load(path)[1].items():
        assert array.flags.writeable, name
        assert array.flags.aligned, name
        assert array.flags.owndata or array.base.nbytes == array.nbytes, name


def test_the_index_is_what_the_documentation_says(path):
    data = path.read_bytes()
    first, second, rest = data.split(b"\n", 2)
    assert first == b"binnet packed model, version %d" % container.VERSION
    size, digest = re.fullmatch(rb"(\d+) bytes, sha256 ([0-9a-f]{64})", second).groups()
    assert int(size) == len(data)
    assert digest.decode() == hashlib.sha256(rest).hexdigest()
    values, block = json.loads(rest.split(b"\n")[0]), data.index(b"\x89HDF\r\n\x1a\n")
    assert data[block - 1 : block] == b"\n"
    assert block == 512
    assert list(values) == ["description", *ARRAYS]
    for name, (dtype, shape, offset) in values.items():
        array = np.frombuffer(data[block + offset :], dtype, int(np.prod(shape))).reshape(shape)
        if name != "description":
            np.testing.assert_array_equal(array, ARRAYS[name], strict=True)
