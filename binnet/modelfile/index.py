"""The index of a model file: what lies where in it, and the SHA-256 of every part.

It is text in front of the HDF5 structure (``docs/format.md``). Whoever reads by it needs no HDF5, whose library was not
made for files of strangers, and knows each size before it takes memory.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

import numpy as np

from .digests import digest

DTYPES = {"<f4": "float32", "<f2": "float16", "<u8": "uint64", "<i8": "int64", "|u1": "uint8"}
LEAST_BLOCK = 512  # of HDF5's user block, which is a power of two
LONGEST_HEAD = 256
LONGEST_TEXT = 1 << 22  # of index and description each: objects out of JSON take many times its length
MOST_DIMENSIONS = 8
_FIRST = re.compile(rb"(?P<kind>binnet [a-z ]{1,40}), version (?P<version>[1-9][0-9]{0,8})\n")
_SECOND = re.compile(rb"index of (?P<length>[1-9][0-9]{0,8}) bytes, sha256 (?P<sha256>[0-9a-f]{64})\n")


class DamagedError(ValueError):
    """A part of a model file that is not what it should be: what follows "FILE is damaged: "."""


@dataclass(frozen=True)
class Head:
    """The first two lines of a model file.

    Attributes
    ----------
    kind, version
    start : int
        Where the index begins.
    length : int
        Of the index.
    sha256 : str
        Of the first line and the index.
    """

    kind: str
    version: int
    start: int
    length: int
    sha256: str

    @property
    def block(self) -> int:
        """Where HDF5 begins: the smallest power of two from 512 on that holds the index."""
        return _block(self.start + self.length)


@dataclass(frozen=True)
class Part:
    """An array in the file.

    Attributes
    ----------
    dtype : str
        One of ``DTYPES``.
    shape : tuple of int
    offset : int
        Of its first byte, counted from where HDF5 begins.
    sha256 : str
        Of its bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int
    sha256: str

    @property
    def nbytes(self) -> int:
        """Its length in the file."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Index:
    """All parts of a file by name, and the SHA-256 of what is in none of them: HDF5's structure, and padding."""

    parts: dict[str, Part]
    rest: str

    def to_bytes(self, kind: str, version: int) -> bytes:
        """Head, index and padding, as long as the block."""
        parts = {name: [p.dtype, list(p.shape), p.offset, p.sha256] for name, p in self.parts.items()}
        text = json.dumps({"parts": parts, "rest": self.rest}, sort_keys=True, separators=(",", ":")).encode()
        first = f"{kind}, version {version}\n".encode()
        head = first + f"index of {len(text)} bytes, sha256 {digest(first, text)}\n".encode()
        return (head + text).ljust(_block(len(head) + len(text)), b"\0")


def parse_head(data: bytes) -> Head | None:
    """The head of a file that begins with ``data``; None when that is no first line of a model file.

    Kind and version may be unknown ones. Files of other versions may go on otherwise, so a second line that makes no
    sense is one of no length.
    """
    first = _FIRST.match(data)
    if first is None:
        return None
    kind, version = first["kind"].decode(), int(first["version"])
    second = _SECOND.match(data, first.end())
    if second is None:
        return Head(kind, version, first.end(), 0, "")
    return Head(kind, version, second.end(), int(second["length"]), second["sha256"].decode())


def parse(text: bytes) -> Index:
    """The index out of its JSON text; DamagedError when it is none."""
    try:
        values = json.loads(text)
        parts = {name: _part(name, *part) for name, part in values["parts"].items()}
        return Index(parts, _text(values["rest"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedError("its index is not one of version 1") from error


def _part(name: str, dtype: str, shape: list[int], offset: int, sha256: str) -> Part:
    if not name.isprintable() or name in ("", ".") or "/" in name:
        raise ValueError("names are words without slashes")
    if dtype not in DTYPES or not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise ValueError("an unknown dtype, or too many dimensions")
    numbers = (offset, *shape)
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 62 for n in numbers):
        raise ValueError("sizes must be whole numbers")
    return Part(dtype, tuple(shape), offset, _text(sha256))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a checksum is a text")
    return value


def check_places(index: Index, size: int) -> None:
    """DamagedError unless all parts lie within ``size`` bytes after the block, and none on another."""
    end, before = 0, ""
    for name, part in sorted(index.parts.items(), key=lambda item: (item[1].offset, item[1].nbytes)):
        if part.offset + part.nbytes > size or math.prod(max(n, 1) for n in part.shape) > size:
            raise DamagedError(f"part of it cannot be read: it ends before the end of {name}")
        if part.offset < end and part.nbytes:
            raise DamagedError(f"{name} lies where {before} does")
        if part.nbytes:
            end, before = part.offset + part.nbytes, name


def gaps(index: Index, size: int) -> list[tuple[int, int]]:
    """Where the bytes lie that belong to no part: first and behind the last, counted as offsets are."""
    found, end = [], 0
    for part in sorted((p for p in index.parts.values() if p.nbytes), key=lambda p: p.offset):
        found.append((end, part.offset))
        end = part.offset + part.nbytes
    return [*found, (end, size)]


def _block(length: int) -> int:
    return max(LEAST_BLOCK, 1 << (length - 1).bit_length())
