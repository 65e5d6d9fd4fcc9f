"""Atomic replacement of files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from binnet_system.files import replace
from binnet_system.names import refuse_device


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Context manager with a temporary path beside ``path``, which replaces ``path`` when the block succeeds.

    After an exception the temporary file is deleted, and ``path`` is as it was.

    Raises
    ------
    OSError
        When the file cannot be written, with the name of ``path``, or ``path`` exists and is not a file.
    """
    refuse_device(path.name)
    # As root, a rename would replace even /dev/null.
    if path.exists() and not path.is_file():
        raise OSError("it is not a file, and cannot be replaced by one")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Random, because two processes may write at once.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        # Without this, a power cut after the rename could leave an empty file under the final name.
        synchronise(temporary)
        replace(temporary, path)
    except OSError as error:
        if error.filename != str(temporary):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def synchronise(path: Path) -> None:
    """Wait until the contents of a file are on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def why(error: OSError) -> str:
    """The system's description of an error, without its number and the file's name."""
    return error.strerror or str(error)
