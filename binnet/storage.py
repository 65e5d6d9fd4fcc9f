"""Model files: named arrays and a description in HDF5, written whole or not at all.

Two kinds share one container (``docs/format.md``): a *checkpoint* holds the real weights and what training needs to go
on, a *packed model* holds what inference needs, binary weights at one bit each.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
CHECKPOINT, PACKED = "binnet checkpoint", "binnet packed model"
VERSION = 1
_DTYPES = ("float32", "uint64", "int64")


class StorageError(ValueError):
    """A model file that cannot be read or written: one sentence with the path."""


def save(path: str | Path, kind: str, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write a model file to a temporary name beside ``path`` and rename it.

    Parameters
    ----------
    path
        Its folder is made when it does not exist.
    kind
        ``CHECKPOINT`` or ``PACKED``.
    arrays
        float32, uint64 or int64 arrays by name; names may hold dots, not slashes.
    description
        Anything that JSON can hold.

    Raises
    ------
    StorageError
        When the file cannot be written; what was at ``path`` before is still there then.
    """
    path = Path(path)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(to_bytes(kind, arrays, description))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well, and goes otherwise."""
    if path.exists() and not path.is_file():  # as root, a rename would replace even /dev/null
        raise OSError("it is not a file, and cannot be replaced by one")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # the contents reach the disk before the name does
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def to_bytes(kind: str, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> bytes:
    """The contents of a model file, the same bytes for the same arguments."""
    import h5py

    text = json.dumps(description, sort_keys=True)
    with h5py.File.in_memory(libver="latest") as file:
        file.attrs["format"], file.attrs["version"] = np.bytes_(kind), VERSION  # fixed length: see _attribute
        file.attrs["checksum"] = np.bytes_(checksum(arrays, text))
        file.create_dataset("description", data=np.frombuffer(text.encode(), np.uint8), track_times=False)
        for name, array in arrays.items():
            if array.dtype.name not in _DTYPES:
                raise TypeError(f"{name} has dtype {array.dtype}; a model file holds {', '.join(_DTYPES)}")
            file.create_dataset(name, data=array, track_times=False)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def load(path: str | Path, kind: str | None = None) -> tuple[str, dict[str, Array], dict[str, Any]]:
    """Read a model file.

    Returns
    -------
    kind, arrays, description
        As given to :func:`save`.

    Raises
    ------
    StorageError
        When the file is missing, is not a model file (of ``kind``, when given), is of a newer version, or is damaged.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise StorageError(
            f"{path} is a folder, expected a model file" if path.is_dir() else f"there is no file {path}"
        )
    try:
        with h5py.File(path, "r") as file:
            found = _kind(file, path, kind)
            arrays, text = _arrays(file, path)
            stored = _attribute(file, "checksum")
            description = json.loads(text)
    except StorageError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise StorageError(_why_unreadable(path, error)) from error
    if stored != checksum(arrays, text) or not isinstance(description, dict):
        raise StorageError(f"{path} is damaged: its contents do not have the checksum they were written with")
    return found, arrays, description


def checksum(arrays: Mapping[str, Array], text: str) -> str:
    """SHA-256 over the description, and over name, dtype, shape and values of every array."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")  # ascontiguousarray would turn the shape () into (1,)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()


def _kind(file: Any, path: Path, wanted: str | None) -> str:
    kind, version = _attribute(file, "format"), _attribute(file, "version")
    if kind not in (CHECKPOINT, PACKED):
        raise StorageError(f"{path} is an HDF5 file, but neither a {CHECKPOINT} nor a {PACKED}")
    if wanted is not None and kind != wanted:
        raise StorageError(f"{path} is a {kind}, expected a {wanted}")
    if version != VERSION:
        raise StorageError(f"{path} has format version {version}, this binnet reads version {VERSION}")
    return kind


def _attribute(file: Any, name: str) -> str | int | None:
    """A string of fixed length or a whole number; None for anything else.

    Strings of variable length live in a heap without a checksum, and one flipped bit there can make HDF5 2.0 loop for
    ever: the type is looked at before the value is read.
    """
    if name not in file.attrs:
        return None
    kind, shape = file.attrs.get_id(name).dtype.kind, file.attrs.get_id(name).shape
    if shape != () or kind not in "Siu":
        return None
    value = file.attrs[name]
    return value.decode() if kind == "S" else int(value)


def _arrays(file: Any, path: Path) -> tuple[dict[str, Array], str]:
    """All arrays, each checked to lie whole in the file itself before any memory is taken for it."""
    import h5py

    arrays: dict[str, Array] = {}
    for name in file:
        plain = isinstance(file.get(name, getlink=True), h5py.HardLink) and isinstance(file[name], h5py.Dataset)
        if not plain or file[name].external or file[name].is_virtual or file[name].chunks:
            raise StorageError(f"{path} is damaged: {name} is not a plain array")
        size = file[name].nbytes
        if size > path.stat().st_size or file[name].id.get_storage_size() != size:
            raise StorageError(f"{path} is damaged: {name} is not stored whole")
        arrays[name] = file[name][()] if file[name].shape else np.asarray(file[name][()])
    words = arrays.pop("description")
    if words.dtype != np.uint8 or words.ndim != 1:
        raise StorageError(f"{path} is damaged: description is {words.dtype} {words.shape}, expected a row of bytes")
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES or not array.dtype.isnative:
            raise StorageError(f"{path} is damaged: {name} holds {array.dtype}, expected {', '.join(_DTYPES)}")
    return arrays, words.tobytes().decode()


def _why_unreadable(path: Path, error: BaseException) -> str:
    if path.stat().st_size == 0:
        return f"{path} is empty, expected a model file"
    if isinstance(error, PermissionError):
        return f"cannot read {path}: {error.strerror}"
    with path.open("rb") as file:
        is_hdf5 = file.read(8) == b"\x89HDF\r\n\x1a\n"
    return f"{path} is damaged: part of it cannot be read" if is_hdf5 else f"{path} is not a model file (not HDF5)"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
