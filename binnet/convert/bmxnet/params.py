"""The arrays of an MXNet file ``NAME-0001.params``: a list of arrays, then their names, little-endian.

::

    uint64 0x112, uint64 0, uint64 number of arrays
    each array: uint32 number of axes, uint32 for each axis                     (the oldest form)
            or: uint32 0xF993FAC8, uint32 number of axes, int64 for each axis
            or: uint32 0xF993FAC9, int32 0 (dense), and the same
        then int32 device, int32 number of the device, int32 type, and the values
    uint64 number of names; each: uint64 length, letters
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from ...graph.graph import Array
from ..report import ConversionError

MAGIC = 0x112
_WITH_SHAPE, _WITH_STORAGE = 0xF993FAC8, 0xF993FAC9
_TYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8"}
_MOST_ARRAYS, _MOST_AXES, _LONGEST_NAME = 10_000, 8, 1000
MOST_BYTES = 1 << 31  # of a file


def read_params(path: Path) -> dict[str, Array]:
    """The arrays by name, such as ``arg:conv_weight``; ConversionError when the file is damaged or something else."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConversionError(f"{path} is larger than {MOST_BYTES:,} bytes")
        reader = _Reader(path, path.read_bytes())
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from error
    magic, reserved = reader.numbers("<QQ")
    if magic != MAGIC or reserved:
        raise ConversionError(f"{path} is not an MXNet file of parameters")
    arrays = [reader.array() for _ in range(reader.count(_MOST_ARRAYS, "arrays"))]
    names = [reader.name() for _ in range(reader.count(_MOST_ARRAYS, "names"))]
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise ConversionError(f"{path} is damaged: it has {len(arrays)} arrays and {len(set(names))} names")
    if reader.left:
        raise ConversionError(f"{path} is damaged: {reader.left:,} bytes follow its end")
    return dict(zip(names, arrays, strict=True))


class _Reader:
    """Reads from the bytes of a file, and refuses to read beyond their end."""

    def __init__(self, path: Path, held: bytes) -> None:
        self._path, self._held, self._at = path, held, 0

    @property
    def left(self) -> int:
        return len(self._held) - self._at

    def take(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise ConversionError(f"{self._path} is damaged: it ends within an array or a name")
        self._at += size
        return self._held[self._at - size : self._at]

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def count(self, most: int, what: str) -> int:
        (count,) = self.numbers("<Q")
        if count > most:
            raise ConversionError(f"{self._path} is damaged: it claims to have {count:,} {what}")
        return count

    def array(self) -> Array:
        (first,) = self.numbers("<I")
        if first == _WITH_STORAGE and self.numbers("<i") != (0,):
            raise ConversionError(f"{self._path} has a sparse array, expected dense ones")
        wide = first in (_WITH_SHAPE, _WITH_STORAGE)
        axes = self.numbers("<I")[0] if wide else first
        if not 1 <= axes <= _MOST_AXES:
            raise ConversionError(f"{self._path} is damaged: an array has {axes} axes")
        shape = self.numbers(f"<{axes}{'q' if wide else 'I'}")
        _, _, kind = self.numbers("<iii")
        if kind not in _TYPES or min(shape) < 1:
            raise ConversionError(f"{self._path} is damaged: an array has the type {kind} and the shape {shape}")
        dtype = np.dtype(_TYPES[kind])
        return np.frombuffer(self.take(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)

    def name(self) -> str:
        (length,) = self.numbers("<Q")
        if length > _LONGEST_NAME:
            raise ConversionError(f"{self._path} is damaged: a name has {length:,} letters")
        return self.take(length).decode("utf-8", "replace")
