"""The safetensors format: length of the header, the header in JSON, then the elements, without holes and overlaps."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from ..report import ConversionError
from .tensors import BFLOAT16, Storage, Tensor

LARGEST_HEADER = 100_000_000  # bytes, the limit of the format
_TYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": BFLOAT16, "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1"}
_TYPES |= {"U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "bool"}


def read_safetensors(data: bytes) -> dict[str, Tensor]:
    """The tensors by name; ConversionError when the file breaks the format."""
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
    if type(kind) is not str or kind not in _TYPES:
        word = kind[:20] if type(kind) is str else "of no name"
        raise ConversionError(f"its tensor {shown!r} has the type {word!r}, which is not read")
    lists = type(shape) is list and type(span) is list and len(span) == 2 and len(shape) <= 8
    if not lists or not all(type(n) is int and 0 <= n < 1 << 40 for n in [*shape, *span]):
        raise ConversionError(f"its tensor {shown!r} has a shape or offsets that are not valid")
    storage = Storage(name, _TYPES[kind], math.prod(shape))
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
