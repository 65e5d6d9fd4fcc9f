"""The containers of tensors, recognised by their first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..report import ConversionError
from .archive import read_archive
from .legacy import read_legacy
from .safetensors import read_safetensors

LARGEST_FILE = 4 << 30  # bytes; it is read as a whole


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
        return read_archive(data)
    if data[:1] == b"\x80":
        return read_legacy(data)
    if len(data) > 8 and data[8:9] == b"{":
        return read_safetensors(data)
    raise ConversionError("it is neither a file of torch.save nor a safetensors file")
