"""Write the files of a compressed archive as a plain tar; imported only where that is needed."""

from __future__ import annotations

import bz2
import calendar
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..errors import DataError
from ..files import replacing, why

_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
_PIECE = 1 << 20
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, ValueError)


class _Limit(NamedTuple):
    """The most bytes that may be written, and the error when there are more."""

    size: int
    error: DataError

    def check(self, size: int) -> None:
        if size > self.size:
            raise self.error


def unpack(path: Path, target: Path, most: int | None = None) -> None:
    """Write the files of a zip or compressed tar as a plain tar; nothing is left of it when that fails.

    Parameters
    ----------
    path, most : as in `plain_tar`
    target : the plain tar

    Raises
    ------
    DataError
        As `plain_tar`.
    """
    with path.open("rb") as file:
        start = file.read(8)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A small archive can hold a thousand times its size in zeros; it must not fill the disk.
        room = int(0.95 * shutil.disk_usage(target.parent).free)
        too_large = f"room for all of {path} unpacked, but the disk of the cache has too little left"
        if most is not None and most < room:
            room, too_large = most, f"at most {most:,} bytes in {path} when it is unpacked, but there are more"
        limit = _Limit(room, DataError(f"expected {too_large}"))
        with replacing(target) as part, part.open("wb") as out:
            if opener is None:
                _from_zip(path, out, limit)
            else:
                with opener(path) as stream:
                    _copy(stream, out, limit)
    except DataError:
        raise
    except NotImplementedError as error:  # zipfile, of other kinds of compression
        raise DataError(f"expected a zip of deflated files at {path}, but {error}; unpack it first") from error
    except OSError as error:
        if error.errno is not None:  # without a number, gzip and bz2 report damaged data
            raise DataError(f"cannot unpack {path} into {target.parent}: {why(error)}") from error
        raise _damaged(path, error) from error
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"expected a whole archive at {path}, but it is damaged: {error}")


def _copy(stream: IO[bytes], out: IO[bytes], limit: _Limit) -> None:
    """Decompress a stream to its end, where its checksum is compared."""
    written = 0
    while piece := stream.read(_PIECE):
        written += len(piece)
        limit.check(written)
        out.write(piece)


def _from_zip(path: Path, out: IO[bytes], limit: _Limit) -> None:
    """Write the files of a zip, whose checksums are compared, as a tar."""
    with zipfile.ZipFile(path) as archive, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        infos = archive.infolist()
        limit.check(sum(info.file_size + 3 * 512 for info in infos))  # a header and padding for each file
        for info in infos:
            if info.flag_bits & 1:
                raise DataError(f"expected a zip without a password at {path}, but {info.filename} is encrypted")
            entry = tarfile.TarInfo(_zip_name(info))
            entry.mtime = _seconds(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if entry.name.endswith(("/", "\\")):
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            elif kind == stat.S_IFLNK:
                entry.type, entry.linkname = tarfile.SYMTYPE, archive.read(info).decode("utf-8", "surrogateescape")
                tar.addfile(entry)
            elif kind in (0, stat.S_IFREG):  # 0 without a mode of Unix, as from Windows
                entry.size = info.file_size
                with archive.open(info) as stream:
                    tar.addfile(entry, stream)
            else:
                entry.type = tarfile.FIFOTYPE  # which `scan_tar` reports as neither a file nor a folder
                tar.addfile(entry)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name of a file in a zip: macOS and older programs write UTF-8 without saying so."""
    if info.flag_bits & 0x800:  # the name is marked as UTF-8
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")  # cp437 is what zipfile assumes without the mark
    except UnicodeError:
        return info.filename


def _seconds(info: zipfile.ZipInfo) -> int:
    """When a file was changed, in seconds; 0 for a date that is none."""
    try:
        # A zip states no time zone; UTC is the same on every machine.
        return calendar.timegm((*info.date_time, 0, 0, 0))
    except ValueError:
        return 0
