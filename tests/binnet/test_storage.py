"""The container of model files: what is written, and what is refused when it is read."""

import errno
import json
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

import binnet
from binnet import models, storage
from binnet.storage import CHECKPOINT, PACKED, StorageError

ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.signs": np.array([2**64 - 1, 5], np.uint64),
    "steps": np.array(7, np.int64),
    "none": np.zeros((0, 4), np.float32),
}
DESCRIPTION = {"model": {"name": "é"}, "data": [1, 2.5, None]}


@pytest.fixture
def path(tmp_path):
    """A sound file with ARRAYS and DESCRIPTION."""
    storage.save(tmp_path / "m.h5", PACKED, ARRAYS, DESCRIPTION)
    return tmp_path / "m.h5"


@pytest.fixture(scope="module")
def small_model():
    """The bytes of a small packed model, some images, and the right logits."""
    packed = binnet.pack(models.build("lenet5", num_classes=2, in_channels=1, image_size=4))
    x = np.random.default_rng(1).standard_normal((2, 4, 4, 1)).astype(np.float32)
    return packed.to_bytes(), x, packed(x)


def refused(path, match, kind=None):
    """Loading raises StorageError with one sentence that names the file."""
    with pytest.raises(StorageError, match=match) as caught:
        storage.load(path, kind)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def seal(path):
    """Make the checksum right again, as somebody who means harm would."""
    with h5py.File(path, "r+") as file:
        arrays = {name: np.asarray(file[name][()]) for name in file if name != "description"}
        file.attrs["checksum"] = np.bytes_(storage.checksum(arrays, file["description"][()].tobytes().decode()))


def test_round_trip(path):
    kind, arrays, description = storage.load(path)
    assert (kind, description) == (PACKED, DESCRIPTION)
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    assert [p.name for p in path.parent.iterdir()] == ["m.h5"]


def test_the_same_arguments_give_the_same_bytes(path):
    assert path.read_bytes() == storage.to_bytes(PACKED, ARRAYS, DESCRIPTION)
    assert path.read_bytes() != storage.to_bytes(CHECKPOINT, ARRAYS, DESCRIPTION)


def test_attributes_have_a_fixed_length(path):
    """A flipped bit in the heap of variable-length strings made HDF5 2.0 loop for ever."""
    with h5py.File(path) as file:
        types = {name: file.attrs.get_id(name).dtype for name in file.attrs}
    assert {name: t.kind for name, t in types.items()} == {"format": "S", "version": "i", "checksum": "S"}
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = PACKED  # h5py writes a str with variable length
    refused(path, "neither a binnet checkpoint nor a binnet packed model")


def test_a_file_is_as_readable_as_any_other(path):
    (path.parent / "other").write_text("")
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


def test_only_three_dtypes_are_written(tmp_path):
    with pytest.raises(TypeError, match="x has dtype float64; a model file holds float32, uint64, int64"):
        storage.save(tmp_path / "m.h5", PACKED, {"x": np.zeros(2)}, {})
    assert not list(tmp_path.iterdir())


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()
    for owner, name in ((Path, "write_bytes"), (os, "fsync"), (Path, "replace"), (Path, "chmod")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, no_space)
            with pytest.raises(StorageError, match=r"cannot write .*m.h5: No space left on device"):
                storage.save(path, PACKED, {}, {})
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == ["m.h5"]


def test_half_a_file_is_never_seen(path, monkeypatch):
    before, write = path.read_bytes(), Path.write_bytes

    def half(self, data):
        write(self, data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        storage.save(path, PACKED, {}, {})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["m.h5"]


def test_saving_makes_folders_and_refuses_what_is_no_file(tmp_path):
    storage.save(tmp_path / "a" / "b" / "m.h5", PACKED, ARRAYS, DESCRIPTION)
    storage.load(tmp_path / "a" / "b" / "m.h5")
    with pytest.raises(StorageError, match=r"cannot write .*a: it is not a file"):
        storage.save(tmp_path / "a", PACKED, ARRAYS, DESCRIPTION)
    with pytest.raises(StorageError, match=r"cannot write .*x.h5: "):
        storage.save(tmp_path / "a" / "b" / "m.h5" / "x.h5", PACKED, ARRAYS, DESCRIPTION)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match=r"cannot write .*pipe: it is not a file"):
        storage.save(tmp_path / "pipe", PACKED, ARRAYS, DESCRIPTION)
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


def test_wrong_kind_and_version(path):
    refused(path, "is a binnet packed model, expected a binnet checkpoint", CHECKPOINT)
    storage.load(path, PACKED)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = storage.VERSION + 1
    refused(path, "has format version 2, this binnet reads version 1")
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = np.bytes_("one")
    refused(path, "has format version one")
    with h5py.File(path, "r+") as file:
        del file.attrs["version"]
    refused(path, "has format version None")


def missing_checksum(file):
    del file.attrs["checksum"]


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
        missing_checksum,
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
def test_any_change_misses_the_checksum(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    refused(path, "is damaged: its contents do not have the checksum they were written with")


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
def test_only_plain_arrays_are_read(path, trick):
    with h5py.File(path, "r+") as file:
        trick(file, path.parent)
    refused(path, "is damaged: more is not a plain array")


def never_written(file):
    file.create_dataset("more", (1 << 40,), np.float32)  # 4 TB, of which nothing is in the file


def words_of_any_length(file):
    file["more"] = "text"


def without_space(file):
    file["more"] = h5py.Empty("f4")


@pytest.mark.parametrize("trick", [never_written, words_of_any_length, without_space])
def test_an_array_must_be_in_the_file_as_a_whole(path, trick):
    with h5py.File(path, "r+") as file:
        trick(file)
    refused(path, "is damaged")


@pytest.mark.parametrize("dtype", ["float64", ">f4", "int32", "uint8", "S4", "c8", [("x", "<f4"), ("y", "<f4")]])
def test_other_dtypes_are_refused_even_with_the_right_checksum(path, dtype):
    with h5py.File(path, "r+") as file:
        file["more"] = np.zeros(2, dtype)
    seal(path)
    refused(path, "is damaged: more holds .*, expected float32, uint64, int64")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"[1, 2]", "checksum"),
        (b"{", "damaged"),
        (b"", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b'{"n": ' + b"1" * 5000 + b"}", "damaged"),
    ],
)
def test_the_description_must_be_a_json_object(path, text, match):
    with h5py.File(path, "r+") as file:
        del file["description"]
        file["description"] = np.frombuffer(text, np.uint8)
        arrays = {name: file[name][()] for name in file if name != "description"}
        file.attrs["checksum"] = np.bytes_(storage.checksum(arrays, text.decode("latin-1")))
    refused(path, match)


def test_the_description_must_be_a_row_of_bytes(path):
    with h5py.File(path, "r+") as file:
        text = file["description"][()].tobytes()
        del file["description"]
        file["description"] = np.frombuffer(text + b" " * (-len(text) % 4), np.float32)
    seal(path)
    refused(path, "description is float32 .*, expected a row of bytes")
    with h5py.File(path, "r+") as file:
        del file["description"]
    refused(path, "damaged")


def test_checksum_is_what_the_documentation_says():
    import hashlib

    text = json.dumps(DESCRIPTION, sort_keys=True)
    digest = hashlib.sha256(text.encode())
    for head, name in (
        (b"a.weight <f4 (2, 3)", "a.weight"),
        (b"b.signs <u8 (2,)", "b.signs"),
        (b"none <f4 (0, 4)", "none"),
        (b"steps <i8 ()", "steps"),
    ):
        digest.update(head + ARRAYS[name].tobytes())
    assert storage.checksum(ARRAYS, text) == digest.hexdigest()


def test_truncated_anywhere(tmp_path, small_model):
    content, path = small_model[0], tmp_path / "m.h5"
    for length in np.linspace(0, len(content) - 1, 80).astype(int):
        path.write_bytes(content[:length])
        refused(path, "is damaged|is empty|is not a model file")


def test_one_flipped_bit_anywhere(tmp_path, small_model):
    """Refused, or in a byte that means nothing: then every prediction is what it was."""
    content, x, logits = small_model
    rng, path, refusals = np.random.default_rng(3), tmp_path / "m.h5", []
    first, anywhere = rng.integers(0, 4096, 60), rng.integers(0, len(content), 120)  # the structure comes first
    for position in (*range(0, 64, 3), *first, *anywhere):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            loaded = binnet.load(path)
        except StorageError as error:
            refusals.append(str(error))
        else:
            np.testing.assert_array_equal(loaded(x), logits, err_msg=f"byte {position}")
    assert len(refusals) > 100
    assert all(str(path) in sentence and "\n" not in sentence for sentence in refusals)
