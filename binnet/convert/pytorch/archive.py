"""The zip file of ``torch.save``: NAME/data.pkl, the storages NAME/data/KEY, and the byte order."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

from ..report import ConversionError
from .unpickle import load

LARGEST_PICKLE = 64 << 20  # bytes


def read_archive(data: bytes) -> Any:
    """The object in a zip file; ConversionError when it is damaged, or not as ``torch.save`` writes it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive, len(data))
            return _unzipped(archive, members)
    except ConversionError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        OSError,
        EOFError,
        RuntimeError,  # NotImplementedError is one, for features and encryption
        ValueError,
        OverflowError,
    ) as error:
        # The library's sentence may quote any bytes of the file.
        raise ConversionError("its zip archive is damaged") from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by their names without the first folder, which is one for all."""
    members, total = dict[str, zipfile.ZipInfo](), 0
    for info in archive.infolist():
        folder, _, name = info.filename.partition("/")
        shown = info.filename[:100]
        if info.flag_bits & 1 or info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            # torch.save never does it, and a small file could unpack to a huge one.
            raise ConversionError(f"its member {shown!r} is compressed or encrypted, which torch.save does not do")
        if not folder or not name or ".." in name.split("/") or "\\" in name or name in members:
            raise ConversionError(f"its member {shown!r} has a path that torch.save does not write, or is there twice")
        members[name] = info
        total += info.file_size
    if total > size:
        raise ConversionError("its members overlap")
    if len({info.filename.partition("/")[0] for info in members.values()}) != 1 or "data.pkl" not in members:
        raise ConversionError("it is a zip archive without the one data.pkl that torch.save writes")
    if "constants.pkl" in members:
        raise ConversionError("it is a TorchScript program; save model.state_dict() instead")
    return members


def _unzipped(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Any:
    if members["data.pkl"].file_size > LARGEST_PICKLE:
        raise ConversionError(f"its data.pkl has more than {LARGEST_PICKLE:,} bytes")
    pickled = archive.read(members["data.pkl"])
    found, end, storages = load(pickled)
    if end != len(pickled):
        raise ConversionError("its data.pkl goes on behind its end")
    order = archive.read(members["byteorder"]) if "byteorder" in members else b"little"
    if order not in (b"little", b"big"):
        raise ConversionError(f"its byte order is {order[:20]!r}")
    for key, storage in storages.items():
        if f"data/{key}" not in members:
            raise ConversionError(f"it has no storage {key[:50]!r}")
        storage.hold(archive.read(members[f"data/{key}"]), "<" if order == b"little" else ">")
    return found
