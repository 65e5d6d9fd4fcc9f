"""Opening and validation of image stores, whose images are read one at a time in any order (docs/store.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset, Split
from ..errors import DataError
from ..files import why
from .file import ARRAYS, KIND, VERSION, checksum, open_hdf5
from .images import Pixels, StoreImages

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PER_IMAGE = ("labels", "crc32", "source_crc32", "source_bytes")
_LONGEST = 1 << 24  # rows or columns: the product of two, times channels, is far from overflowing


@dataclass(frozen=True)
class Store:
    """An open store: the data set, the images of its two parts, and the store's description (`docs/store.md`)."""

    dataset: Dataset
    train: StoreImages
    val: StoreImages
    description: dict[str, Any]
    checksum: str
    bytes: int


def is_store(path: str | Path) -> bool:
    """Tell whether ``path`` is an HDF5 file marked as a store; False when it cannot be read."""
    return what_is_wrong(Path(path)) is None


def may_be_store(path: Path) -> bool:
    """Tell whether ``path`` has the content or the ending of an HDF5 file, so that it is no folder or archive."""
    if not path.is_file():
        return False
    return path.suffix.lower() in (".h5", ".hdf5") or _is_hdf5(path)


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False


def what_is_wrong(path: Path) -> str | None:
    """The reason why a file cannot be opened as a store, to follow its name; None when it is marked as one."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_SIGNATURE))
    except (OSError, ValueError) as error:
        return f"cannot be read: {why(error) if isinstance(error, OSError) else error}"
    if start != _SIGNATURE:
        return "is empty" if not start else "is no image store (binnet data build makes one)"
    try:
        with open_hdf5(path) as file:
            kind = _attribute(file, "format")
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return _unreadable(str(error))
    return None if kind == KIND else f"is an HDF5 file, but no image store{f' (it says {kind!r})' if kind else ''}"


def _unreadable(message: str) -> str:
    """An explanation of an HDF5 error for the user."""
    # h5py raises OSError for all of these; only the text of HDF5 tells them apart.
    if "truncated" in message:
        return "is cut off: its end is missing, as after a copy that was interrupted"
    if "lock" in message:
        return f"is locked by another process ({message}); set HDF5_USE_FILE_LOCKING=FALSE to read it nevertheless"
    if "already open for write" in message:
        return "is marked as being written to: close the program that has it open; if none has, build the store again"
    return f"is damaged: it cannot be opened ({message})"


def open_store(path: str | Path) -> Dataset:
    """Open a store as a data set; its images are read from disk on access.

    Raises
    ------
    DataError
        When the file is missing, is no store, has another version, or is damaged. Pixels are not checked here.
    """
    return read_store(path).dataset


def read_store(path: str | Path, cached: bool = False) -> Store:
    """Open a store like `open_store`, together with its description.

    Parameters
    ----------
    path : the store
    cached : whether the store lies in the cache, so that it is deleted when damaged pixels are found later
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"expected an image store at {path}, but there is {'a folder' if path.is_dir() else 'no file'}")
    if wrong := what_is_wrong(path):
        raise DataError(f"{path} {wrong}")
    try:
        with open_hdf5(path) as file:
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
        return Store(*_parts(Pixels(path, cached), start, length, description, arrays), description, stored, size)
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise DataError(f"{path} is damaged: part of it cannot be read ({error})") from error


def _attribute(file: Any, name: str) -> str | int | None:
    """An attribute that is a fixed-length string or an integer; None for any other.

    The type is checked before the value is read, because damaged variable-length strings can make HDF5 hang.
    """
    if name not in file.attrs:
        return None
    attribute = file.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "Siu":
        return None
    value = file.attrs[name]
    return value.decode("ascii", "replace") if attribute.dtype.kind == "S" else int(value)


def _pixels_place(file: Any, path: Path) -> tuple[int, int]:
    """Offset and number of the bytes of pixels; DataError unless they lie within the file."""
    pixels = _dataset_of(file, "pixels", np.uint8, path)
    start, length = pixels.id.get_offset(), pixels.size
    if start is None or start + length > path.stat().st_size:
        raise DataError(f"{path} is damaged: it ends before its pixels do")
    return int(start), int(length)


def _plain(file: Any, name: str, dtype: Any, path: Path) -> NDArray[Any]:
    """An array; its size is compared with the file's before memory is allocated."""
    values = _dataset_of(file, name, dtype, path)
    if values.nbytes > path.stat().st_size:
        raise DataError(f"{path} is damaged: {name} is larger than the file")
    array: NDArray[Any] = values[()]
    return array


def _dataset_of(file: Any, name: str, dtype: Any, path: Path) -> Any:
    """The HDF5 data set ``name``; DataError unless it is contiguous, of this dtype, and in this file."""
    import h5py

    # External, virtual or linked data sets would let a store read any other file of the user.
    values = file.get(name)
    plain = isinstance(values, h5py.Dataset) and values.file == file and not values.external and not values.is_virtual
    if not plain or values.chunks or values.dtype != dtype or not values.shape:
        raise DataError(f"{path} is damaged: {name} is not an array of {np.dtype(dtype)}")
    return values


def _parts(
    pixels: Pixels, start: int, length: int, description: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> tuple[Dataset, StoreImages, StoreImages]:
    """The data set and the images of both parts; DataError unless every image lies within the pixels."""
    channels, path, found = int(description["channels"]), pixels.path, []
    for part in ("train", "val"):
        own = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith(part)}
        sizes, offsets = own["sizes"], own["offsets"]
        if sizes.shape != (len(offsets), 2) or {len(own[name]) for name in _PER_IMAGE} != {len(offsets)}:
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
