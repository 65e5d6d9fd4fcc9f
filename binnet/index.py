"""The three lines in front of the HDF5 structure of a model file (``docs/format.md``).

The first states kind and version, the second size and SHA-256 of the file; the third is an index, which says where each
array lies. A reader that goes by them needs no HDF5 library, which was not made for files of strangers, and knows each
size before it takes memory.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

DTYPES = {"<f4": "float32", "<f2": "float16", "<u8": "uint64", "<i8": "int64"}
LONGEST_LINE = 256  # of first and second line, in bytes
LONGEST_TEXT = 1 << 22  # of index and description each: objects out of JSON take many times its length
FIRST_LINE = re.compile(rb"(?P<kind>binnet [a-z ]{1,40}), version (?P<version>[1-9][0-9]{0,8})\n")
SECOND_LINE = re.compile(rb"(?P<size>[1-9][0-9]{0,17}) bytes, sha256 (?P<sha256>[0-9a-f]{64})\n")
_MOST_DIMENSIONS, _MOST_VALUES = 8, 1 << 48


class DamagedError(ValueError):
    """A part of a model file that is not what it should be: what follows "FILE is damaged: "."""


@dataclass(frozen=True)
class Part:
    """An array in the file.

    Attributes
    ----------
    dtype : str
        One of ``DTYPES``, and ``|u1`` for the description.
    shape : tuple of int
    offset : int
        Of its first byte, counted from where HDF5 begins.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Its length in the file."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def in_front(kind: str, version: int, parts: Mapping[str, Part], image: bytes) -> bytes:
    """First line, second line and index of a file whose HDF5 structure is ``image``: what HDF5 calls a user block."""
    values = {name: [part.dtype, part.shape, part.offset] for name, part in parts.items()}
    text = json.dumps(values, separators=(",", ":")).encode()
    block = 1 << (LONGEST_LINE + len(text) - 1).bit_length()  # HDF5 is looked for at powers of two from 512 on
    lines = f"{kind}, version {version}\n{block + len(image)} bytes, sha256 {{}}\n"
    rest = text.ljust(block - len(lines.format("0" * 64)) - 1) + b"\n"
    return lines.format(sha256(rest + image).hexdigest()).encode() + rest


def parse(text: bytes, room: int) -> dict[str, Part]:
    """The parts in an index, in their order, when all of them lie in ``room`` bytes.

    Raises
    ------
    DamagedError
        When the index has another form, or parts that are larger than that.
    """
    try:
        if not text.endswith(b"\n"):
            raise ValueError("the line is cut off")
        parts = {name: _part(name, *part) for name, part in json.loads(text).items()}
        description = parts["description"].nbytes
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedError("its index does not have the form that it must have") from error
    for name, part in parts.items():
        if part.offset + part.nbytes > room:
            raise DamagedError(f"it ends before the end of {name}")
    if sum(part.nbytes for part in parts.values()) > room or description > LONGEST_TEXT:
        raise DamagedError("its arrays or its description are too large")
    return parts


def _part(name: str, dtype: str, shape: list[int], offset: int) -> Part:
    if not name.isprintable() or name in ("", ".") or "/" in name:
        raise ValueError("names are words without slashes")
    if dtype != "|u1" if name == "description" else dtype not in DTYPES:
        raise ValueError("bytes hold the description, and nothing else")
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError("too many dimensions")
    if not all(type(n) is int and n >= 0 for n in (offset, *shape)) or math.prod(n or 1 for n in shape) > _MOST_VALUES:
        raise ValueError("sizes must be whole numbers, and not too large")
    return Part(dtype, tuple(shape), offset)
