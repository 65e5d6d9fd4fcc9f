"""Model files: named arrays and a description in HDF5, written whole or not at all.

HDF5 writes them, and any HDF5 tool reads them. binnet reads them by the index in front, which says where each array
lies and what its SHA-256 is: nothing that a stranger has written reaches the HDF5 library.

Two kinds share one container (``docs/format.md``): a *checkpoint* holds the real weights and what training needs to go
on, a *packed model* holds what inference needs, binary weights at one bit each.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .digests import Digests, digest
from .index import (
    LONGEST_HEAD,
    LONGEST_TEXT,
    DamagedError,
    Head,
    Index,
    Part,
    check_places,
    gaps,
    parse,
    parse_head,
)

Array = npt.NDArray[Any]
CHECKPOINT, PACKED = "binnet checkpoint", "binnet packed model"
VERSION = 2
_DTYPES = ("float32", "float16", "uint64", "int64")
_NO_CHECKSUM = "{} does not have the checksum it was written with"
_CHUNK = 1 << 20  # bytes that are read at a time


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
        float32, float16, uint64 or int64 arrays by name; names may hold dots, not slashes.
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

    text = json.dumps(description, sort_keys=True).encode()
    every = {"description": np.frombuffer(text, np.uint8), **arrays}
    with h5py.File.in_memory(libver="latest") as file:
        for name, array in every.items():
            if name != "description" and array.dtype.name not in _DTYPES:
                raise TypeError(f"{name} has dtype {array.dtype}; a model file holds {', '.join(_DTYPES)}")
            file.create_dataset(name, data=array, track_times=False)
        file.flush()
        parts = {name: _part(array, file[name].id.get_offset()) for name, array in every.items()}
        image: bytes = file.id.get_file_image()
    places = gaps(Index(parts, ""), len(image))
    rest = digest(*(memoryview(image)[start:end] for start, end in places))
    return Index(parts, rest).to_bytes(kind, VERSION) + image


def load(path: str | Path, kind: str | None = None) -> tuple[str, dict[str, Array], dict[str, Any]]:
    """Read a model file.

    Returns
    -------
    kind, arrays, description
        As given to :func:`save`.

    Raises
    ------
    StorageError
        When the file is missing, is not a model file (of ``kind``, when given), is of another version, or is damaged.
    """
    with _opened(path) as file:
        head, index = _read_index(file, kind)
        arrays, damaged = _read_parts(file, head, index)
        if damaged:
            raise DamagedError(_NO_CHECKSUM.format(damaged[0] or "what HDF5 needs"))
        return head.kind, arrays, _read_description(arrays)


def read_index(path: str | Path, kind: str | None = None) -> tuple[str, int, Index]:
    """Kind, version and index of a model file, without its arrays; raises as :func:`load`."""
    with _opened(path) as file:
        head, index = _read_index(file, kind)
        return head.kind, head.version, index


def damaged_parts(path: str | Path) -> list[str]:
    """The names of all arrays without the checksum in the index, and ``HDF5`` for what belongs to none of them.

    Raises as :func:`load` where not even the index can be trusted.
    """
    with _opened(path) as file:
        head, index = _read_index(file, None)
        return [name or "HDF5" for name in _read_parts(file, head, index)[1]]


# ---------------------------------------------------------------------------------------------- reading


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[BufferedReader]:
    """A file to read; everything that is wrong with it becomes a StorageError that names it."""
    path = Path(path)
    if not path.is_file():
        hint = f" such as {path / 'packed.h5'}" if (path / "packed.h5").exists() else ""
        raise StorageError(
            f"{path} is a folder, expected a model file{hint}" if path.is_dir() else f"there is no file {path}"
        )
    try:
        with path.open("rb") as file:
            yield file
    except DamagedError as error:
        raise StorageError(f"{path} is damaged: {error}") from error
    except _OtherFileError as error:
        raise StorageError(f"{path} {error}") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


class _OtherFileError(ValueError):
    """A file that is whole, but not what was expected: what follows its name."""


def _read_index(file: BufferedReader, kind: str | None) -> tuple[Head, Index]:
    """Head and index, checked against each other and the size of the file."""
    begin, size = file.read(LONGEST_HEAD), os.fstat(file.fileno()).st_size
    head = parse_head(begin)
    if head is None:
        raise _OtherFileError(_what_it_is(begin))
    _check_kind(head, kind)
    if not 0 < head.length <= min(LONGEST_TEXT, size - head.start):
        raise DamagedError("part of it cannot be read: its index is not there, or not whole")
    file.seek(0)
    first, text = file.readline(LONGEST_HEAD), _read(file, head.start, head.length)
    if digest(first, text) != head.sha256:
        raise DamagedError(_NO_CHECKSUM.format("its index"))
    index = parse(text)
    check_places(index, size - head.block)
    end = head.start + head.length
    if _read(file, end, head.block - end).strip(b"\0"):
        raise DamagedError("there is something between its index and its arrays")
    return head, index


def _check_kind(head: Head, wanted: str | None) -> None:
    if head.kind not in (CHECKPOINT, PACKED):
        raise _OtherFileError(f"is neither a {CHECKPOINT} nor a {PACKED}")
    if wanted is not None and head.kind != wanted:
        raise _OtherFileError(f"is a {head.kind}, expected a {wanted}")
    if head.version != VERSION:
        raise _OtherFileError(f"has format version {head.version}, this binnet reads version {VERSION}")


def _what_it_is(begin: bytes) -> str:
    if not begin:
        return "is empty, expected a model file"
    if begin.startswith(b"\x89HDF\r\n\x1a\n"):
        return f"is an HDF5 file, but neither a {CHECKPOINT} nor a {PACKED}"
    return "is not a model file (not HDF5)"


def _read(file: BufferedReader, start: int, length: int) -> bytes:
    file.seek(start)
    data = file.read(length)
    if len(data) != length:
        raise DamagedError("part of it cannot be read: it has become shorter")
    return data


def _read_parts(file: BufferedReader, head: Head, index: Index) -> tuple[dict[str, Array], list[str]]:
    """All arrays, and the names of those without their checksum; the name of what belongs to no array is empty.

    The index has been checked, so together they are no larger than the file. What has been read goes through SHA-256
    in a thread of its own while more is read.
    """
    arrays = {name: np.empty(part.shape, part.dtype) for name, part in index.parts.items()}
    size = os.fstat(file.fileno()).st_size - head.block
    with Digests() as digests:
        for name, part in sorted(index.parts.items(), key=lambda item: item[1].offset):
            file.seek(head.block + part.offset)
            for piece in _pieces(_bytes(arrays[name])):
                if file.readinto(piece) != len(piece):
                    raise DamagedError("part of it cannot be read: it has become shorter")
                digests.update(name, piece)
        for start, end in gaps(index, size):
            for place in range(start, end, _CHUNK):
                digests.update("", _read(file, head.block + place, min(_CHUNK, end - place)))
    expected = {**{name: part.sha256 for name, part in index.parts.items()}, "": index.rest}
    return arrays, [name for name, sha256 in expected.items() if digests.found(name) != sha256]


def _pieces(data: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]


def _bytes(array: Array) -> memoryview:
    """The bytes of an array in C order."""
    return np.asarray(array, order="C").reshape(-1).view(np.uint8).data


def _read_description(arrays: dict[str, Array]) -> dict[str, Any]:
    """Taken out of the arrays; of the others none may be a row of bytes."""
    row = arrays.pop("description", None)
    if row is None or row.dtype != np.uint8 or row.ndim != 1 or row.size > LONGEST_TEXT:
        raise DamagedError(f"description must be a row of at most {LONGEST_TEXT} bytes")
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise DamagedError(f"{name} holds {array.dtype}, expected {', '.join(_DTYPES)}")
    try:
        description = json.loads(row.tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise DamagedError("its description is not JSON") from error
    if not isinstance(description, dict):
        raise DamagedError("its description is not a JSON object")
    return description


def _part(array: Array, offset: int | None) -> Part:
    return Part(array.dtype.str, array.shape, offset or 0, digest(_bytes(array)))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
