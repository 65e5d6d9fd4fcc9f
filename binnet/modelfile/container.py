"""Model files: named arrays and a JSON description in HDF5, written atomically.

The HDF5 library writes the files, and any HDF5 tool can read them. binnet itself reads them without that library: an
index in the user block states where each array lies, and the file's SHA-256 is checked first. The HDF5 library
therefore never parses a file from an untrusted source.

Two kinds share one container (``docs/format.md``): a *checkpoint* holds the real weights and what training needs to go
on, a *packed model* holds what inference needs, binary weights at one bit each.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DTYPES = {"<f4": "float32", "<f2": "float16", "<u8": "uint64", "<i8": "int64", "|i1": "int8"}
LONGEST_LINE = 256  # limit in bytes for each of the first two lines
LONGEST_TEXT = 1 << 22  # limit in bytes for index and description each: parsed JSON takes many times its length
FIRST_LINE = re.compile(rb"(?P<kind>binnet [a-z ]{1,40}), version (?P<version>[1-9][0-9]{0,8})\n")
SECOND_LINE = re.compile(rb"(?P<size>[1-9][0-9]{0,17}) bytes, sha256 (?P<sha256>[0-9a-f]{64})\n")
# Sizes beyond these are refused before NumPy multiplies them: a product must not overflow 64 bits.
_MOST_DIMENSIONS, _MOST_VALUES = 8, 1 << 48
CHECKPOINT, PACKED = "binnet checkpoint", "binnet packed model"
VERSION = 2
_OUTDATED = {  # what to do with a file of an earlier version
    CHECKPOINT: "it was written by an earlier binnet, and training cannot go on from it",
    PACKED: "make a new one with: binnet pack CHECKPOINT {}",
}


class StorageError(ValueError):
    """A model file cannot be read or written; the message is one sentence that contains the path."""


class DamagedError(ValueError):
    """A part of a model file is malformed; the message continues "FILE is damaged: "."""


@dataclass(frozen=True)
class Part:
    """Position and type of an array in the file.

    Attributes
    ----------
    dtype : str
        One of ``DTYPES``, or ``|u1`` for the description.
    shape : tuple of int
        At most 8 dimensions.
    offset : int
        Position of the first byte, counted from the start of the HDF5 part.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Length of the array in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def save(path: str | Path, kind: str, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write a model file under a temporary name beside ``path``, then rename it.

    Parameters
    ----------
    path
        File to write; its folder is created when it does not exist.
    kind
        ``CHECKPOINT`` or ``PACKED``.
    arrays
        float32, float16, uint64, int64 or int8 arrays by name; names may hold dots, not slashes.
    description
        Anything that JSON can hold.

    Raises
    ------
    StorageError
        When the file cannot be written; a previous file at ``path`` is then unchanged.
    """
    from binnet_datasets.files import replacing  # imported here: loading a model must not need the data package

    path = Path(path)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(to_bytes(kind, arrays, description))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def to_bytes(kind: str, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> bytes:
    """The contents of a model file as bytes; equal arguments give equal bytes.

    Raises
    ------
    ValueError, TypeError
        When a name is not allowed in a file, or an array has another dtype than those of ``DTYPES``.
    """
    import h5py  # imported here: only writing needs HDF5

    text = json.dumps(description, sort_keys=True).encode()  # sorted, so that equal descriptions are equal bytes
    every = {"description": np.frombuffer(text, np.uint8), **arrays}
    with h5py.File.in_memory(libver="latest") as file:
        for name, array in every.items():
            if not _is_name(name):
                raise ValueError(f"{name!r} cannot be the name of an array: it must be printable, without slashes")
            if name != "description" and array.dtype.str not in DTYPES:
                raise TypeError(f"{name} has dtype {array.dtype}; a model file holds {', '.join(DTYPES.values())}")
            file.create_dataset(name, data=array, track_times=False)  # a time stamp would change the checksum
        file.flush()  # HDF5 assigns the offsets no later than here
        parts = {name: Part(a.dtype.str, a.shape, file[name].id.get_offset() or 0) for name, a in every.items()}
        image: bytes = file.id.get_file_image()
    return _in_front(kind, VERSION, parts, image) + image


def _in_front(kind: str, version: int, parts: Mapping[str, Part], image: bytes) -> bytes:
    """The user block in front of the HDF5 structure ``image``: the two header lines and the index."""
    values = {name: [part.dtype, part.shape, part.offset] for name, part in parts.items()}
    text = json.dumps(values, separators=(",", ":")).encode()
    block = 1 << (LONGEST_LINE + len(text) - 1).bit_length()  # HDF5 tools search at powers of two from 512 on
    lines = f"{kind}, version {version}\n{block + len(image)} bytes, sha256 {{}}\n"
    # A checksum always has 64 digits, so the header's length is known before the checksum is.
    rest = text.ljust(block - len(lines.format("0" * 64)) - 1) + b"\n"
    return lines.format(sha256(rest + image).hexdigest()).encode() + rest


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
        kind, parts = _read_index(file, kind)
        start = file.tell()
        arrays = {name: _read_array(file, start, part) for name, part in parts.items()}
        description = _parse_description(arrays.pop("description"))
        return kind, arrays, description


# ---------------------------------------------------------------------------------------------- reading


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[BufferedReader]:
    """Context manager that opens ``path`` and turns every error about it into a StorageError with the path."""
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
    """The file is intact, but of another kind or version; the message continues the file's name."""


def _read_index(file: BufferedReader, wanted: str | None) -> tuple[str, dict[str, Part]]:
    """Kind and parts of a file; the file's position is then the start of the HDF5 part.

    Kind, version, size and SHA-256 are checked before anything else in the file is interpreted.
    """
    kind = _read_kind(file, wanted)
    second = SECOND_LINE.fullmatch(file.readline(LONGEST_LINE))
    if second is None:
        raise DamagedError("its second line does not state size and checksum")
    stated, size, start = int(second["size"]), os.fstat(file.fileno()).st_size, file.tell()
    if size != stated:  # this costs nothing, and finds a truncated file without hashing it
        raise DamagedError(f"it has {size:,} bytes, but was written with {stated:,}")
    if file_digest(file, "sha256").hexdigest() != second["sha256"].decode():
        raise DamagedError("it does not have the checksum it was written with")
    file.seek(start)
    text = file.readline(LONGEST_TEXT)
    return kind, _parse(text, size - start - len(text))


def _read_kind(file: BufferedReader, wanted: str | None) -> str:
    """The kind stated in the first line; it must be ``wanted`` (unless that is None), and of this version."""
    line = file.readline(LONGEST_LINE)
    first = FIRST_LINE.fullmatch(line)
    if first is None:
        raise _OtherFileError(_what_it_is(line))
    kind, version = first["kind"].decode(), int(first["version"])
    if kind not in _OUTDATED:
        raise _OtherFileError(f"is neither a {CHECKPOINT} nor a {PACKED}")
    if kind != (wanted or kind):
        raise _OtherFileError(f"is a {kind}, expected a {wanted}")
    if version != VERSION:
        what_to_do = f"; {_OUTDATED[kind].format(file.name)}" if version < VERSION else ""
        raise _OtherFileError(f"has format version {version}, this binnet reads version {VERSION}{what_to_do}")
    return kind


def _what_it_is(line: bytes) -> str:
    """The end of an error message about a file with another first line than that of a model file."""
    if not line:
        return "is empty, expected a model file"
    if line == b"\x89HDF\r\n":  # an HDF5 file without a user block
        return f"is an HDF5 file, but neither a {CHECKPOINT} nor a {PACKED}"
    return "is not a model file (not HDF5)"


def _parse(text: bytes, room: int) -> dict[str, Part]:
    """The parts listed in an index, in their order.

    Raises
    ------
    DamagedError
        When the index is malformed, or a part does not lie within the ``room`` bytes of the HDF5 part.
    """
    try:
        if not text.endswith(b"\n"):
            raise ValueError("the line is cut off")
        parts = {name: _part(name, *part) for name, part in json.loads(text).items()}
        description = parts["description"].nbytes
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        # Anybody can compute a checksum, so JSON of any form and depth can arrive here.
        raise DamagedError("its index does not have the form that it must have") from error
    for name, part in parts.items():
        if part.offset + part.nbytes > room:
            raise DamagedError(f"it ends before the end of {name}")
    # Parts that overlap would make a small file take a lot of memory.
    if sum(part.nbytes for part in parts.values()) > room or description > LONGEST_TEXT:
        raise DamagedError("its arrays or its description are too large")
    return parts


def _is_name(name: str) -> bool:
    """Whether HDF5 accepts ``name`` for an array at top level: a slash would make a group, "." is the root."""
    return name.isprintable() and name not in ("", ".") and "/" not in name


def _part(name: str, dtype: str, shape: list[int], offset: int) -> Part:
    """The Part of one entry of the index; ValueError when the entry is malformed."""
    if not _is_name(name):
        raise ValueError("names are words without slashes")
    if dtype != "|u1" if name == "description" else dtype not in DTYPES:
        raise ValueError("bytes hold the description, and nothing else")
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError("too many dimensions")
    # `n or 1`: a dimension of 0 must not hide the size of the others.
    if not all(type(n) is int and n >= 0 for n in (offset, *shape)) or math.prod(n or 1 for n in shape) > _MOST_VALUES:
        raise ValueError("sizes must be whole numbers, and not too large")
    return Part(dtype, tuple(shape), offset)


def _read_array(file: BufferedReader, start: int, part: Part) -> Array:
    """The array of ``part``, in a file whose HDF5 part begins at byte ``start``."""
    array = np.empty(part.shape, part.dtype)
    file.seek(start + part.offset)
    if file.readinto(array.data) != array.nbytes:
        raise DamagedError("it was truncated while it was read")
    return array


def _parse_description(row: Array) -> dict[str, Any]:
    """The description out of its bytes, uint8 (n,); DamagedError unless it is a JSON object."""
    try:
        description = json.loads(row.tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise DamagedError("its description is not JSON") from error
    if not isinstance(description, dict):
        raise DamagedError("its description is not a JSON object")
    return description
