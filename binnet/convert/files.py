"""What all readers ask of a file before they open it."""

from __future__ import annotations

from pathlib import Path

from .report import ConversionError


def refuse_special(path: str | Path | None) -> None:
    """ConversionError for pipes and devices: opening one may wait forever, and reading one may never end."""
    if path is not None and Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        raise ConversionError(f"{path} is a pipe or a device, expected a file")
