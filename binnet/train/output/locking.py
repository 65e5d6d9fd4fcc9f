"""Exclusive lock on an open file; the operating system releases it when the process ends, even by a crash."""

from __future__ import annotations

import errno
import sys
from typing import IO, Any

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


def lock(file: IO[Any]) -> None:
    """Lock an open file until it is closed. On file systems without locks, such as some of clusters, it does nothing.

    Raises
    ------
    BlockingIOError
        When the file is locked by another process, or through another open file of this one.
    """
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 30)  # a byte behind all contents, which stay readable for others
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
