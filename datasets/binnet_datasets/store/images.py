"""The images of a store, read from disk one at a time and verified by checksum."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binnet_system.files import SharedReader

from ..errors import DataError
from ..files import why


class Pixels:
    """A file that several threads can read at once; it is closed when the object is collected.

    Parameters
    ----------
    path : the file
    cached : whether the file lies in the cache, so that it is deleted when it turns out to be damaged
    """

    def __init__(self, path: Path, cached: bool = False) -> None:
        self.path, self.cached = path, cached
        self._file = SharedReader(path)

    def read(self, place: int, size: int) -> bytes:
        """``size`` bytes from offset ``place``; DataError when they cannot be read."""
        try:
            content = self._file.read(place, size)
        except OSError as error:
            raise DataError(f"expected pixels in {self.path}, but reading failed: {why(error)}") from error
        if len(content) != size:
            raise DataError(f"expected pixels in {self.path}, but the file was truncated while it was read")
        return content

    def what_to_do(self) -> str:
        """Delete a damaged file of the cache; returns the end of an error message that says what to do."""
        if not self.cached:
            return "build it again, or fetch another copy"
        try:
            # Another process may have replaced the file since it was opened; the new one is not deleted.
            if os.path.samestat(self._file.status(), self.path.stat()):
                self.path.unlink()
        except FileNotFoundError:
            pass
        except OSError:  # Windows deletes no file that is open
            return "delete it, and the same command builds it again"
        return "it has been deleted from the cache, and the same command builds it again"


class StoreImages:
    """The images of one part of a store, read from disk on each access.

    Attributes
    ----------
    channels : 1 or 3
    sizes : int64 (N, 2), rows and columns of each image
    crc32 : uint32 (N,), CRC-32 of the pixels of each image
    keys : uint64 (N,), ``length << 32 | CRC-32`` of the source file of each image; files of equal contents have equal
        keys
    """

    def __init__(self, pixels: Pixels, start: int, channels: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.channels, self.sizes, self.crc32 = channels, arrays["sizes"], arrays["crc32"]
        self.keys = arrays["source_bytes"].astype(np.uint64) << np.uint64(32) | arrays["source_crc32"]
        self._pixels, self._start, self._arrays = pixels, start, arrays

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Read image number ``i``: uint8 (H, W, C), read-only. Several threads may call this at once.

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
        """The names of the images in the source."""
        text = self._arrays["source_names"].tobytes().decode("utf-8", "surrogateescape")
        return tuple(text.split("\0")) if text else ()

    def damaged(self) -> Iterator[int]:
        """Read all images, and yield the number of each one whose pixels do not match their checksum."""
        for i, expected in enumerate(self.crc32):
            if zlib.crc32(self._read(i).data) != expected:
                yield i

    def _read(self, i: int) -> NDArray[np.uint8]:
        h, w = self.sizes[i].tolist()
        place = self._start + int(self._arrays["offsets"][i])
        return np.frombuffer(self._pixels.read(place, h * w * self.channels), np.uint8).reshape(h, w, self.channels)
