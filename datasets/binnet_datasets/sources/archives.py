"""Compressed archives, which are repacked once as a plain tar in the cache.

File names in an archive are never used as paths, so an archive cannot write outside the cache.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from ..cache import cached
from ..errors import DataError

ENDINGS = (".tar", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"PK\x03\x04", b"PK\x05\x06")  # gzip, bzip2, xz, zip, empty zip
_OTHERS = {
    b"\x28\xb5\x2f\xfd": "a zstd file; unzstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z file; unpack",
    b"Rar!\x1a\x07": "a RAR file; unpack",
}


def is_archive(name: str | Path) -> bool:
    """Tell from the ending whether a file is an archive that can be read: a zip, or a tar, compressed or not."""
    return str(name).lower().endswith(ENDINGS)


def without_ending(name: str) -> str:
    """The name of an archive without its ending."""
    found = [ending for ending in ENDINGS if name.lower().endswith(ending)]
    return name[: -len(max(found, key=len))] if found else name


def plain_tar(path: Path, cache: Path | None = None, most: int | None = None) -> Path:
    """Return a plain tar of an archive's files: the file itself, or one in the cache, created when it is missing.

    Parameters
    ----------
    path : tar, zip, or tar compressed by gzip, bzip2 or xz
    cache : folder with all cached data; None for `cache_folder`
    most : the largest unpacked size in bytes; None for the free space of the disk

    Raises
    ------
    DataError
        When the archive is damaged, encrypted, of an unsupported kind, larger than ``most``, or larger than the free
        space of the disk.
    OSError
        When the archive cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            raise DataError(f"expected a folder, a tar or a zip, but {path} is {what} it first")
    if not start.startswith(_COMPRESSED):
        return path
    target, older = _place(path, cache)
    if not target.exists():
        from .unpack import unpack

        unpack(path, target, most)
        for old in older:
            with suppress(OSError):
                old.unlink()
    return target


def _place(path: Path, cache: Path | None) -> tuple[Path, list[Path]]:
    """The path of an archive's plain tar in the cache, and the tars of earlier versions of the archive."""
    # Size and time identify a version. Hashing would read the whole archive at each start: at 1.3 GB/s (SHA-256, one
    # core) two minutes for the 150 GB of ImageNet.
    status = path.stat()
    where = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    key = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
    name = f"{where}-{key}.tar"
    folder = cached("archives", cache, [name])
    return folder / name, list(folder.glob(f"{where}-*.tar"))
