"""Image stores: images on disk that are read one at a time, as uint8, in any order (docs/store.md)."""

from __future__ import annotations

import json
import os
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset, Split
from .errors import DataError
from .files import why
from .store_file import ARRAYS, KIND, VERSION, checksum

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LONGEST = 1 << 24  # rows or columns: the product of two, times channels, is far from overflowing


class _Pixels:
    """A file that any thread may read at any place; open as long as somebody refers to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
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


class StoreImages:
    """The images of one part of a store, read from disk each time they are asked for.

    Attributes
    ----------
    channels : 1 or 3
    sizes : int64 (N, 2), rows and columns of each image
    crc32 : uint32 (N,), of the pixels of each
    keys : uint64 (N,), identify the file that each was made from by its contents: its length in bytes and its CRC-32
    """

    def __init__(self, pixels: _Pixels, start: int, channels: int, arrays: dict[str, NDArray[Any]]) -> None:
        self.channels, self.sizes, self.crc32 = channels, arrays["sizes"], arrays["crc32"]
        self.keys = arrays["source_bytes"].astype(np.uint64) << np.uint64(32) | arrays["source_crc32"]
        self._pixels, self._places, self._names = pixels, arrays["offsets"] + start, arrays["source_names"]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Read image number ``i``: uint8 (H, W, C), not to be written to. Several threads may do so at once."""
        h, w = self.sizes[index(i)].tolist()
        shape = h, w, self.channels
        content = self._pixels.read(int(self._places[i]), h * w * self.channels)
        return np.frombuffer(content, np.uint8).reshape(shape)

    @property
    def names(self) -> tuple[str, ...]:
        """What the images were called in the source."""
        text = self._names.tobytes().decode("utf-8", "surrogateescape")
        return tuple(text.split("\0")) if text else ()

    def damaged(self) -> Iterator[int]:
        """Read everything, and yield the number of each image whose pixels do not have their checksum."""
        for i, expected in enumerate(self.crc32):
            if zlib.crc32(self[i].data) != expected:
                yield i


@dataclass(frozen=True)
class Store:
    """An open store: the data set, its images once more, and what the store says about itself (`docs/store.md`)."""

    dataset: Dataset
    train: StoreImages
    val: StoreImages
    description: dict[str, Any]
    checksum: str
    bytes: int


def is_store(path: str | Path) -> bool:
    """Tell whether this is an HDF5 file that says of itself to be a store; False for what cannot be read."""
    import h5py

    try:
        with open(path, "rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return False
        with h5py.File(path, "r") as file:
            return _attribute(file, "format") == KIND
    except (OSError, RuntimeError, KeyError, ValueError):
        return False


def open_store(path: str | Path) -> Dataset:
    """Open a store as a data set; its images stay on disk until they are asked for.

    Raises
    ------
    DataError
        When the file is missing, is no store, is of a newer version, or is damaged. Pixels are not looked at.
    """
    return read_store(path).dataset


def read_store(path: str | Path) -> Store:
    """Open a store as `open_store` does, with what it says about itself."""
    import h5py

    path = Path(path)
    if not path.is_file():
        raise DataError(f"expected an image store at {path}, but there is {'a folder' if path.is_dir() else 'no file'}")
    if not is_store(path):
        raise DataError(f"expected an image store at {path}, but it is none (binnet data build makes one)")
    try:
        with h5py.File(path, "r") as file:
            version = _attribute(file, "version")
            if version != VERSION:
                raise DataError(f"{path} has store version {version}, this binnet reads version {VERSION}")
            start, length = _pixels_place(file, path)
            arrays = {name: _plain(file, name, dtype, path) for name, dtype in ARRAYS.items()}
            text = _plain(file, "description", np.uint8, path).tobytes()
            stored = str(_attribute(file, "checksum"))
        if stored != checksum(text, arrays):
            raise DataError(f"{path} is damaged: its contents do not have the checksum they were written with")
        description = json.loads(text)
        size = path.stat().st_size
        return Store(*_parts(path, start, length, description, arrays), description, stored, size)
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise DataError(f"{path} is damaged: part of it cannot be read ({error})") from error


def _attribute(file: Any, name: str) -> str | int | None:
    """A string of fixed length or a whole number; the type is looked at first, as damaged strings can hang HDF5."""
    if name not in file.attrs:
        return None
    attribute = file.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "Siu":
        return None
    value = file.attrs[name]
    return value.decode("ascii", "replace") if attribute.dtype.kind == "S" else int(value)


def _pixels_place(file: Any, path: Path) -> tuple[int, int]:
    """Place and number of the bytes of pixels, checked to lie in the file."""
    pixels = _dataset_of(file, "pixels", np.uint8, path)
    start, length = pixels.id.get_offset(), pixels.size
    if start is None or start + length > path.stat().st_size:
        raise DataError(f"{path} is damaged: it ends before its pixels do")
    return int(start), int(length)


def _plain(file: Any, name: str, dtype: Any, path: Path) -> NDArray[Any]:
    """An array, checked to lie whole in the file before memory is taken for it."""
    values = _dataset_of(file, name, dtype, path)
    if values.nbytes > path.stat().st_size:
        raise DataError(f"{path} is damaged: {name} is larger than the file")
    array: NDArray[Any] = values[()]
    return array


def _dataset_of(file: Any, name: str, dtype: Any, path: Path) -> Any:
    import h5py

    values = file.get(name)
    plain = isinstance(values, h5py.Dataset) and values.file == file and not values.external and not values.is_virtual
    if not plain or values.chunks or values.dtype != dtype or not values.shape:
        raise DataError(f"{path} is damaged: {name} is not an array of {np.dtype(dtype)}")
    return values


def _parts(
    path: Path, start: int, length: int, description: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> tuple[Dataset, StoreImages, StoreImages]:
    """The data set and its images, after checks that each of them lies within the pixels."""
    channels, pixels, found = int(description["channels"]), _Pixels(path), []
    for part in ("train", "val"):
        own = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith(part)}
        sizes, offsets = own["sizes"], own["offsets"]
        if sizes.shape != (len(offsets), 2) or {len(own[name]) for name in ("labels", "crc32")} != {len(offsets)}:
            raise DataError(f"{path} is damaged: arrays of {part} differ in length")
        ends = offsets + sizes.prod(axis=1) * channels
        if len(sizes) and not (
            0 < sizes.min() <= sizes.max() < _LONGEST and 0 <= offsets.min() <= ends.max() <= length
        ):
            raise DataError(f"{path} is damaged: images of {part} do not lie within its pixels")
        found.append(StoreImages(pixels, start, channels, own))
    stats = np.array(description["mean"], np.float32), np.array(description["std"], np.float32)
    names, ids = tuple(description["class_names"]), tuple(description["class_ids"])
    train, val = (Split(images, arrays[f"{part}/labels"]) for images, part in zip(found, ("train", "val"), strict=True))
    return Dataset(str(description["name"]), train, val, names, stats, ids), found[0], found[1]
