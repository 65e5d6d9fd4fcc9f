"""Writes a file completely or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it; OSError when that fails, and then nothing is left."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        # A new folder of our own, so that the file gets the permissions that any new file gets.
        part = Path(folder) / "part"
        part.write_bytes(data)
        os.replace(part, path)
