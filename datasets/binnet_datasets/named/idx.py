"""Reading of idx files, the format of MNIST and its relatives, plain or compressed with gzip.

The format: two zero bytes, one byte for the type, one for the number of dimensions, each dimension as a big-endian
uint32, then the values in C order, big-endian.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
# Deflate cannot shrink data by more than about 1032 : 1, so a header that states more is wrong and is refused before
# memory is allocated for it.
_MAX_RATIO = 1040
_MAX_DIMS = 8  # MNIST has 3; the format would allow 255


def read_idx(path: str | Path, ndim: int | None = None) -> NDArray[Any]:
    """Read one idx file.

    Parameters
    ----------
    path : the file; gzip is recognised by its first two bytes, not by the name
    ndim : the required number of dimensions, or None for any

    Returns
    -------
    array of the shape in the header, native byte order, of dtype uint8, int8, int16, int32, float32 or float64

    Raises
    ------
    DataError
        When the file is missing, empty, no idx file, damaged, or its length does not match its header.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"expected an idx file at {path}, but there is {'a folder' if path.is_dir() else 'no file'}")
    try:
        size = path.stat().st_size
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)  # the header of idx or of gzip is read from the start
            if not packed:
                return _read(raw, path, ndim, size, exact=True)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _read(unpacked, path, ndim, size * _MAX_RATIO, exact=False)
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise DataError(f"expected a readable idx file at {path}, but reading it failed: {error}") from error


def _read(file: Any, path: Path, ndim: int | None, limit: int, *, exact: bool) -> NDArray[Any]:
    """Read header and values; ``limit`` is the file's length, or (not ``exact``) the most it can unpack to."""
    dtype, shape = _read_header(file, path, ndim)
    start, length = 4 + 4 * len(shape), math.prod(shape) * dtype.itemsize
    if (start + length != limit) if exact else (start + length > limit):
        raise DataError(
            f"expected {start + length} bytes in {path} from its header of shape {shape}, "
            f"but the file {'has' if exact else 'cannot unpack to more than'} {limit}"
        )
    values = np.empty(length, np.uint8)
    got = _fill(file, values.data)
    # The read past the end is also what makes gzip compare its checksum.
    if got < length or file.read(1):
        came = f"only {got}" if got < length else "more"
        raise DataError(f"expected {length} bytes of values in {path} for the shape {shape}, but {came} came")
    return values.view(dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _read_header(file: BinaryIO, path: Path, ndim: int | None) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Read and check magic number, type and dimensions."""
    magic = file.read(4)
    if len(magic) < 4:
        raise DataError(f"expected the four-byte idx magic number in {path}, but the file has {len(magic)} bytes")
    dims = magic[3]
    if magic[:2] != b"\0\0" or magic[2] not in _DTYPES or not 1 <= dims <= _MAX_DIMS:
        raise DataError(f"expected an idx magic number (00 00 type dimensions) in {path}, but got {magic.hex(' ')}")
    if ndim is not None and dims != ndim:  # images given as labels, for example
        raise DataError(f"expected an idx file of {ndim} dimensions at {path}, but its header says {dims}")
    sizes = file.read(4 * dims)
    if len(sizes) < 4 * dims:
        raise DataError(f"expected {dims} dimensions in the idx header of {path}, but the file ends inside it")
    return np.dtype(_DTYPES[magic[2]]), struct.unpack(f">{dims}I", sizes)


def _fill(file: Any, buffer: memoryview) -> int:
    """Read until the buffer is full or the file ends; return the bytes read."""
    got = 0
    while got < len(buffer):
        count = file.readinto(buffer[got : got + (1 << 20)])
        if not count:
            break
        got += count
    return got
