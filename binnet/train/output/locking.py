"""A lock on an open file that one process has at a time, and loses when it ends, however that comes."""

from __future__ import annotations

import errno
import sys
from typing import IO, Any

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


def lock(file: IO[Any]) -> None:
    """Lock an open file until it is closed; BlockingIOError when another process, or another opening of it, has it.

    Does nothing on a file system without locks, such as some that computers of a cluster share.
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
