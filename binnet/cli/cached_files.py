"""Files in binnet's cache: compiled kernels, stores of image folders, unpacked archives and downloads."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from binnet_datasets import cache_folder
from binnet_datasets.named.remote import SOURCES

# Only files whose names match these patterns are deleted: BINNET_CACHE_DIR may name a folder with other files.
_HEX = "[0-9a-f]"
_KERNELS = re.compile(rf"{_HEX}{{24}}/[\w.<>]+-{_HEX}{{16}}(\.bin|\.lock|-\w+)")
_STORES = re.compile(
    rf".+-{_HEX}{{8}}-{_HEX}{{16}}\.h5|\..+-{_HEX}{{8}}-{_HEX}{{16}}\.h5\.\w+|\.{_HEX}{{8}}\.start\.part"
)
_ARCHIVES = re.compile(rf"\.?{_HEX}{{8}}-{_HEX}{{16}}\.tar(\.{_HEX}{{8}}\.part)?")


@dataclass(frozen=True)
class CachedFile:
    """A file that binnet wrote into the cache.

    Attributes
    ----------
    kind : str
        One of the keys of :func:`kinds`.
    path : Path
        Its path.
    bytes : int
        Its size.
    """

    kind: str
    path: Path
    bytes: int


def kinds() -> dict[str, Path]:
    """The folder of each kind of cached files, by kind."""
    from binnet_kernels.simd import cache as kernel_cache  # imports Numba, which other commands do not need to start

    data = cache_folder()
    return {
        "kernels": kernel_cache.root(),
        "stores": data / "stores",
        "archives": data / "archives",
        "downloads": data,
    }


def cached_files(kind: str) -> list[CachedFile]:
    """The cached files of a kind, sorted by path; files with other names than binnet's, and links, are left out.

    Raises
    ------
    OSError
        When a folder of the cache cannot be read.
    """
    folder = kinds()[kind]
    depth = 2 if kind in ("kernels", "downloads") else 1  # these kinds have one level of subfolders
    found = [
        (path, size) for path, size in _files(folder, depth) if _is_ours(kind, path.relative_to(folder).as_posix())
    ]
    return [CachedFile(kind, path, size) for path, size in sorted(found)]


def delete(file: CachedFile) -> bool:
    """Delete a cached file, and its subfolder when that becomes empty.

    Returns
    -------
    bool
        False when the file had been deleted already.

    Raises
    ------
    OSError
        When the file cannot be deleted, on Windows also when a program has it open.
    """
    try:
        file.path.unlink()
    except FileNotFoundError:  # another process has deleted it
        return False
    if file.kind in ("kernels", "downloads"):
        with suppress(OSError):  # not empty yet
            file.path.parent.rmdir()
    return True


def _files(folder: Path, depth: int) -> Iterator[tuple[Path, int]]:
    """Yield the regular files in a folder, down to ``depth`` levels, with their sizes; links are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # deleted since the folder was listed
            continue
        if stat.S_ISREG(status.st_mode):
            yield Path(entry.path), status.st_size
        elif stat.S_ISDIR(status.st_mode) and depth > 1:
            yield from _files(Path(entry.path), depth - 1)


def _is_ours(kind: str, name: str) -> bool:
    """Whether a path, relative to the folder of its kind, has a name that binnet gives to its files."""
    if kind == "downloads":
        # Downloads have the names of their sources, with a random suffix while they are incomplete.
        folder, _, file = name.partition("/")
        names = {remote.name for remote in SOURCES[folder].files} if folder in SOURCES else set()
        return file in names or re.sub(rf"\.{_HEX}{{8}}\.part$", "", file) in names
    pattern = {"kernels": _KERNELS, "stores": _STORES, "archives": _ARCHIVES}[kind]
    return pattern.fullmatch(name) is not None
