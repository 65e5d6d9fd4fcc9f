"""The three containers of tensors: PyTorch's zip file, its format before 2020, and safetensors."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from ..report import ConversionError
from .tensors import BFLOAT16, Storage, Tensor
from .unpickle import load

LARGEST_FILE = 4 << 30  # bytes; it is read as a whole
LARGEST_PICKLE = 64 << 20
LARGEST_HEADER = 100_000_000  # the limit of the safetensors format
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the format before 2020
_SAFE = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": BFLOAT16, "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1"}
_SAFE |= {"U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "bool"}


def contents(source: Path) -> Any:
    """The object in a file: what ``torch.save`` got, or a dict of tensors; ConversionError when it cannot be read."""
    try:
        size = source.stat().st_size
        if size > LARGEST_FILE:
            raise ConversionError(f"it has {size:,} bytes; at most {LARGEST_FILE:,} are read")
        data = source.read_bytes()
    except OSError as error:
        raise ConversionError(f"it cannot be read: {error.strerror}") from error
    if data[:4] == b"PK\x03\x04":
        return _zipped(data)
    if data[:1] == b"\x80":
        return _legacy(data)
    if len(data) > 8 and data[8:9] == b"{":
        return _safetensors(data)
    raise ConversionError("it is neither a file of torch.save nor a safetensors file")


# ------------------------------------------------------------------------------------------------- torch.save, zip


def _zipped(data: bytes) -> Any:
    """A zip file with NAME/data.pkl, the storages NAME/data/KEY, and the byte order."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive, len(data))
            return _unzipped(archive, members)
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, NotImplementedError) as error:
        raise ConversionError(f"its zip archive is damaged: {error}") from error
    except (RuntimeError, ValueError, OverflowError) as error:
        if isinstance(error, ConversionError):
            raise
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


# ---------------------------------------------------------------------------------------- torch.save before 2020


def _legacy(data: bytes) -> Any:
    """Pickles of magic number, version, system, object, and keys, then the storages: a count and the elements each."""
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


# ------------------------------------------------------------------------------------------------------ safetensors


def _safetensors(data: bytes) -> dict[str, Tensor]:
    """Length of the header, the header in JSON, then the elements, without holes and overlaps."""
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(LARGEST_HEADER, len(data) - 8):
        raise ConversionError("its header is cut off or too long")
    try:
        header = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError("its header is not JSON") from error
    if type(header) is not dict:
        raise ConversionError("its header is not an object of JSON")
    header.pop("__metadata__", None)
    view = memoryview(data)[8 + length :]
    found, spans = dict[str, Tensor](), list[tuple[int, int]]()
    for name, entry in header.items():
        span, tensor = _entry(name, entry, view)
        found[name] = tensor
        spans.append(span)
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise ConversionError("its tensors overlap, or leave a hole between them")
        end = last
    if end != len(view):
        raise ConversionError(f"its tensors end at byte {end} of {len(view)}")
    return found


def _entry(name: str, entry: Any, view: memoryview) -> tuple[tuple[int, int], Tensor]:
    """First and last byte of a tensor, and the tensor."""
    shown = name[:100]
    if type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ConversionError(f"its tensor {shown!r} does not have dtype, shape and data_offsets alone")
    kind, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(kind) is not str or kind not in _SAFE:
        word = kind[:20] if type(kind) is str else "of no name"
        raise ConversionError(f"its tensor {shown!r} has the type {word!r}, which is not read")
    lists = type(shape) is list and type(span) is list and len(span) == 2 and len(shape) <= 8
    if not lists or not all(type(n) is int and 0 <= n < 1 << 40 for n in [*shape, *span]):
        raise ConversionError(f"its tensor {shown!r} has a shape or offsets that are not valid")
    storage = Storage(name, _SAFE[kind], math.prod(shape))
    if not span[0] <= span[1] <= len(view):
        raise ConversionError(f"its tensor {shown!r} lies outside the file")
    storage.hold(view[span[0] : span[1]], "<")
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return (span[0], span[1]), Tensor(storage, 0, tuple(shape), strides)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ConversionError("its header has a name twice")
    return made


def _no_constant(word: str) -> Any:
    raise ConversionError(f"its header has {word}")
