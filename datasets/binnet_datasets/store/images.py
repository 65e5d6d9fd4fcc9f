"""The images of a store, read from disk one at a time and compared with their checksums."""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files import why


class Pixels:
    """A file that any thread may read at any place; open as long as somebody refers to it.

    Parameters
    ----------
    path : the file
    cached : whether it can be made again, so that it is to be deleted when it is damaged
    """

    def __init__(self, path: Path, cached: bool = False) -> None:
        self.path, self.cached = path, cached
        # Reads by place, not a memory map: mapped pages would count as memory of this process, for a whole epoch.
        self._handle = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._handle)

    def read(self, place: int, size: int) -> bytes:
        try:
            content = os.pread(self._handle, size, place)
        except OSError as error:
            raise DataError(f"expected pixels in {self.path}, but reading failed: {why(error)}") from error
        if len(content) != size:
            raise DataError(f"expected pixels in {self.path}, but the file has become shorter")
        return content

    def what_to_do(self) -> str:
        """Delete a damaged file that is in the cache; returns what a person should know or do about it."""
        if not self.cached:
            return "build it again, or fetch another copy"
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._handle), self.path.stat()):
                self.path.unlink()
        return "it has been deleted from the cache, and the same command builds it again"


class StoreImages:
    """The images of one part of a store, read from disk each time they are asked for.

    Attributes
    ----------
    channels : 1 or 3
    sizes : int64 (N, 2), rows and columns of each image
    crc32 : uint32 (N,), of the pixels of each
    keys : uint64 (N,), length << 32 | CRC-32 of the file of each image: the same key, the same contents
    """

    def __init__(self, pixels: Pixels, start: int, channels: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.channels, self.sizes, self.crc32 = channels, arrays["sizes"], arrays["crc32"]
        self.keys = arrays["source_bytes"].astype(np.uint64) << np.uint64(32) | arrays["source_crc32"]
        self._pixels, self._start, self._arrays = pixels, start, arrays

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Read image number ``i``: uint8 (H, W, C), not to be written to. Several threads may do so at once.

        Raises
        ------
        DataError
            When reading fails, or the pixels do not have the checksum they were stored with.
        """
        i = index(i)
        pixels = self._read(i)
        if zlib.crc32(pixels.data) != self.crc32[i]:
            name = self.names[i] if self.names else f"image {i}"
            raise DataError(
                f"{self._pixels.path} is damaged: the pixels of {name} do not have the checksum they were stored with; "
                f"{self._pixels.what_to_do()}"
            )
        return pixels

    @property
    def names(self) -> tuple[str, ...]:
        """What the images were called in the source."""
        text = self._arrays["source_names"].tobytes().decode("utf-8", "surrogateescape")
        return tuple(text.split("\0")) if text else ()

    def damaged(self) -> Iterator[int]:
        """Read everything, and yield the number of each image whose pixels do not have their checksum."""
        for i, expected in enumerate(self.crc32):
            if zlib.crc32(self._read(i).data) != expected:
                yield i

    def _read(self, i: int) -> NDArray[np.uint8]:
        h, w = self.sizes[i].tolist()
        place = self._start + int(self._arrays["offsets"][i])
        return np.frombuffer(self._pixels.read(place, h * w * self.channels), np.uint8).reshape(h, w, self.channels)
