"""Files that are whole at their name or not there at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the block ends well, and goes otherwise.

    Raises
    ------
    OSError
        When it cannot be written, or ``path`` is something else than a file: as root a rename replaces even /dev/null.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is not a file, and cannot be replaced by one")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        synchronise(temporary)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def synchronise(path: Path) -> None:
    """Wait until the contents of a file are on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def why(error: OSError) -> str:
    """What an error of the system says, without number and file name."""
    return error.strerror or str(error)
