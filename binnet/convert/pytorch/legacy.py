"""The format of ``torch.save`` before 2020: five pickles, then the storages."""

from __future__ import annotations

import struct
from typing import Any

from ..report import ConversionError
from .unpickle import load

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


def read_legacy(data: bytes) -> Any:
    """The object; the pickles are magic number, version, system, object, keys; a storage is a count and elements."""
    magic, end, _ = load(data)
    if magic != MAGIC or type(magic) is not int:
        raise ConversionError("it is a pickle, but not one of torch.save")
    version, end, _ = load(data, end)
    system, end, _ = load(data, end)
    if version != VERSION or type(system) is not dict or type(system.get("little_endian")) is not bool:
        raise ConversionError("its first parts are not those of torch.save")
    found, end, storages = load(data, end)
    keys, end, _ = load(data, end)
    fits = type(keys) is list and all(type(key) is str for key in keys) and len(set(keys)) == len(keys)
    if not fits or set(keys) != set(storages):
        raise ConversionError("its list of storages is not that of its tensors")
    order, view = "<" if system["little_endian"] else ">", memoryview(data)
    count_of = struct.Struct(f"{order}q")
    for key in keys:
        if len(data) < end + 8 or count_of.unpack_from(data, end)[0] != storages[key].count:
            raise ConversionError(f"its storage {key[:50]!r} is cut off or has another length than its tensors say")
        storages[key].hold(view[end + 8 : end + 8 + storages[key].nbytes], order)
        end += 8 + storages[key].nbytes
    if end != len(data):
        raise ConversionError(f"{len(data) - end} bytes follow its last storage")
    return found
