"""The layout of a store on disk: an HDF5 structure around contiguous pixels (docs/store.md).

Writing does not copy the pixels. HDF5 creates a file of the right size, in which the pixels are a hole; the bytes
before and after it are then copied around the pixels that have been written already. The hole takes no room, except on
the file systems NTFS and exFAT, where it takes as much as the pixels until the store is complete.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files import synchronise

KIND, VERSION = "binnet store", 1
ARRAYS = {
    f"{part}/{name}": dtype
    for part in ("train", "val")
    for name, dtype in {
        "labels": np.int64,
        "offsets": np.int64,
        "sizes": np.int64,
        "crc32": np.uint32,
        "source_crc32": np.uint32,
        "source_bytes": np.int64,
        "source_names": np.uint8,
    }.items()
}
Arrays = Mapping[str, NDArray[Any]]
_ALIGNED = 512  # bytes


def checksum(text: bytes, arrays: Arrays) -> str:
    """SHA-256 of the description and all arrays in hexadecimal; the pixels have checksums of their own."""
    digest = hashlib.sha256(text)
    for name in ARRAYS:
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def open_hdf5(path: Path) -> Any:
    """Open an HDF5 file for reading, without a lock: a file has its final name only when it is complete."""
    import h5py

    return h5py.File(path, "r", locking=False)


def data_start(folder: Path) -> int:
    """Return the byte offset of the first pixel, which is the same in every store that this version of HDF5 writes."""
    path = folder / f".{secrets.token_hex(4)}.start.part"
    try:
        return _create(path, 1, b"", {})
    finally:
        path.unlink(missing_ok=True)


def write_around(path: Path, start: int, size: int, description: Mapping[str, Any], arrays: Arrays) -> None:
    """Complete a file that holds ``size`` bytes of pixels from byte ``start`` on to a store.

    Parameters
    ----------
    path : file whose bytes before and after the pixels are overwritten
    start : result of `data_start`
    size : bytes of pixels
    description : anything that JSON can represent
    arrays : the arrays named in `ARRAYS`

    Raises
    ------
    DataError
        When HDF5 would place the pixels elsewhere.
    """
    empty = path.with_name(f"{path.name}.head")
    try:
        place = _create(empty, size, json.dumps(description, sort_keys=True).encode(), arrays)
        if place != start:
            raise DataError(f"expected HDF5 to put pixels at byte {start} of {path}, but it put them at {place}")
        with empty.open("rb") as source, path.open("rb+") as target:
            target.truncate(start + size)
            target.write(source.read(start))
            for file in (source, target):
                file.seek(start + size)
            target.write(source.read())
    finally:
        with suppress(OSError):
            empty.unlink(missing_ok=True)
    synchronise(path)


def _create(path: Path, size: int, text: bytes, arrays: Arrays) -> int:
    """Write a store whose pixels are a hole of a sparse file; returns the offset of the hole."""
    import h5py
    from h5py import h5d, h5p, h5s, h5t

    # The pixels come first, and everything is aligned, so that their offset depends neither on their number nor on what
    # follows. With a fixed format version, newer libraries write the same bytes.
    with h5py.File(path, "w", libver=("v110", "v110"), alignment_threshold=1, alignment_interval=_ALIGNED) as file:
        plan = h5p.create(h5p.DATASET_CREATE)
        plan.set_layout(h5d.CONTIGUOUS)
        plan.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5d.FILL_TIME_NEVER)
        plan.set_obj_track_times(False)
        pixels = h5d.create(file.id, b"pixels", h5t.STD_U8LE, h5s.create_simple((size,)), plan)
        place: int = pixels.get_offset()
        if arrays:
            file.attrs["format"], file.attrs["version"] = np.bytes_(KIND), VERSION
            file.attrs["checksum"] = np.bytes_(checksum(text, arrays))
            file.create_dataset("description", data=np.frombuffer(text, np.uint8), track_times=False)
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False)
    return place
