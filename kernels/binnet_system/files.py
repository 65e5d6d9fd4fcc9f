"""Files: reading at a position by several threads, and replacing and deleting files that are open."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from .machine import WINDOWS

pread = getattr(os, "pread", None)  # Windows has none
_rename = os.replace
_DENIED = 5  # error of Windows, for a file that is read-only or in use
_IN_USE = (_DENIED, 32, 33)  # and sharing violation, lock violation
_PAUSES = (0.02, 0.1, 0.4)  # seconds; scanners for viruses open new files for a moment


def is_closed_pipe(error: OSError) -> bool:
    """Whether the error is that the reader of a pipe has ended; Windows calls that an invalid argument."""
    return isinstance(error, BrokenPipeError) or (WINDOWS and error.errno == errno.EINVAL and error.filename is None)


class SharedReader:
    """A file that several threads can read at once; it is closed when the object is collected.

    Raises
    ------
    OSError
        When the file cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        # Not a memory map: mapped pages would count as memory of this process for a whole epoch.
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._turn = threading.Lock()
        weakref.finalize(self, os.close, self._handle)

    def read(self, place: int, size: int) -> bytes:
        """Up to ``size`` bytes from offset ``place``; fewer where the file ends."""
        if pread is not None:
            content: bytes = pread(self._handle, size, place)
            return content
        with self._turn:  # position and reading belong together
            os.lseek(self._handle, place, os.SEEK_SET)
            return os.read(self._handle, size)

    def status(self) -> os.stat_result:
        """The status of the open file, which may no longer be the one at its path."""
        return os.fstat(self._handle)


def holes_are_free(folder: Path) -> bool:
    """Whether bytes that no program has written take no room in a file of this folder; NTFS and exFAT fill them."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.seek(1 << 22)
        file.write(b"1")
        file.flush()
        return getattr(os.fstat(file.fileno()), "st_blocks", 1 << 22) * 512 < 1 << 22


def replace(source: Path, target: Path) -> None:
    """Rename a file or folder to ``target``, which is replaced.

    Raises
    ------
    PermissionError
        On Windows also when a program has ``target`` open.
    """
    for pause in (*_PAUSES, None):
        try:
            return _rename(source, target)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _IN_USE:
                raise
            if pause is None:
                in_use = error.winerror != _DENIED or os.access(target, os.W_OK)  # type: ignore[attr-defined]
                sentence = "it is open in a program, which has to close it first" if in_use else "it may not be written"
                raise PermissionError(errno.EACCES, sentence, str(target)) from error
            time.sleep(pause)


def delete_and_close(file: IO[Any], unlock: Callable[[IO[Any]], None] | None = None) -> None:
    """Delete an open file, then unlock and close it; Windows, which deletes no open file, gets it the other way round.

    The first order is the one without a gap, in which another process could open and lock the file.
    """
    path, deleted = Path(file.name), False
    try:
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
            deleted = True
    finally:
        try:
            if unlock is not None:
                unlock(file)
        finally:
            file.close()
    if not deleted:
        with suppress(PermissionError):  # another process has opened it, and deletes it when it is done
            path.unlink(missing_ok=True)
