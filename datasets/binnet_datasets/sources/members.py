"""Files of a folder or archive by name, read where they lie; a compressed archive is first unpacked into one tar.

A tar inside a folder or tar counts as a folder of its name without ".tar", as in ILSVRC's tar of tars. Whatever cannot
be used is kept with the reason.
"""

from __future__ import annotations

import os
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..files import why
from .archives import is_archive, plain_tar
from .file_names import is_system_name
from .tars import Found, Member, Unused, scan_tar

__all__ = ["Member", "Members", "each_member", "list_members"]

OURS = "written by binnet"
SYSTEM = "hidden, or a file or folder of the system"
_RUN = frozenset(("metrics.csv", "last.h5", "best.h5", "packed.h5", "log.txt"))  # beside config.toml: a training


class Members(dict[str, Member]):
    """Files by name, in the order of the names.

    Attributes
    ----------
    unused : name and reason of each file or folder that cannot be used
    folders : names of the folders that were found, also of empty ones
    """

    def __init__(self) -> None:
        super().__init__()
        self.unused: list[tuple[str, str]] = []
        self.folders: set[str] = set()


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder in a source."""

    name: str


def list_members(path: Path, cache: Path | None = None) -> Members:
    """List the files of a folder or archive by their names below it, with "/" between folders, in order of the names.

    Names are in Unicode's composed form (NFC). Links are followed, in an archive to files of the same archive. What
    cannot be used is in ``unused`` of the result: hidden files and those of the system, broken links, files and folders
    that cannot be read, folders of trainings.

    Parameters
    ----------
    path : folder, tar, zip or compressed tar
    cache : folder of the cache, in which compressed archives are unpacked; None for `cache_folder`

    Raises
    ------
    DataError
        When there is nothing at ``path``, it cannot be read, or it is a damaged archive.
    """
    found, raw = Members(), dict[str, str]()
    for item in _each(path, cache):
        if isinstance(item, Unused):
            found.unused.append((_composed(item.name), item.reason))
        elif isinstance(item, _Folder):
            found.folders.add(_composed(item.name))
        else:
            name = _composed(item.name)
            # Linux keeps the composed and the decomposed form as two files; in a store each name is unique.
            if raw.setdefault(name, item.name) != item.name:
                found.unused.append((name, "its name differs from that of another file in its Unicode form only"))
                continue
            if name in found:  # the later one counts, as when tar unpacks
                found.unused.append((name, "an earlier file of a name that the archive holds twice"))
            found[name] = item.member
    _leave_out_runs(found)
    ordered = Members()
    ordered.update((name, found[name]) for name in sorted(found))
    ordered.unused, ordered.folders = sorted(found.unused), found.folders
    return ordered


def each_member(path: Path) -> Iterator[tuple[str, Member]]:
    """Go through the files of a folder or archive in the order in which they lie there; raises as `list_members`."""
    return ((item.name, item.member) for item in _each(path, None) if isinstance(item, Found))


def is_below(name: str, folders: Iterable[str]) -> bool:
    """Tell whether ``name`` is one of these folders, or lies in one of them at any depth."""
    wanted = set(folders)
    parts = name.split("/")
    return any("/".join(parts[:n]) in wanted for n in range(1, len(parts) + 1))


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _leave_out_runs(found: Members) -> None:
    """Move the run folders of trainings, which a user may keep beside the images, to the unused files."""
    inside: dict[str, set[str]] = {}
    for name in found:
        folder, _, file = name.rpartition("/")
        if folder and (file == "config.toml" or file in _RUN):
            inside.setdefault(folder, set()).add(file)
    # A config.toml alone may belong to something else.
    runs = {folder for folder, files in inside.items() if "config.toml" in files and len(files) > 1}
    if runs:
        for name in [name for name in found if is_below(name, runs)]:
            del found[name]
        found.folders = {folder for folder in found.folders if not is_below(folder, runs)}
        found.unused += [(folder, OURS) for folder in runs]


def _each(path: Path, cache: Path | None) -> Iterator[Found | Unused | _Folder]:
    """Yield all files and folders of a folder or archive; of hidden and system folders only the topmost."""
    skipped: set[str] = set()
    try:
        if not path.exists():
            raise DataError(f"expected a folder of images or an archive at {path}, but there is nothing")
        for item in _walk(path, cache) if path.is_dir() else scan(path, cache):
            parts = item.name.split("/")
            bad = next((n for n, part in enumerate(parts, 1) if is_system_name(part)), None)
            if bad is None:
                yield item
            elif (top := "/".join(parts[:bad])) not in skipped:
                skipped.add(top)
                yield Unused(top, SYSTEM)
    except OSError as error:
        raise DataError(
            f"expected a readable folder or archive at {path}, but reading it failed: {why(error)}"
        ) from error


def scan(path: Path, cache: Path | None = None) -> Iterator[Found | Unused | _Folder]:
    """Yield all files and folders of an archive."""
    for item in scan_tar(plain_tar(path, cache), path):
        yield _Folder(item) if isinstance(item, str) else item


def _walk(top: Path, cache: Path | None) -> Iterator[Found | Unused | _Folder]:
    """Yield all files and folders below a folder: each folder once even in circles of links, real ones first."""
    seen: set[tuple[int, int] | str] = set()
    waiting = deque([("", str(top))])
    while waiting:
        prefix, folder = waiting.popleft()
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not prefix:
                raise
            yield Unused(prefix[:-1], f"a folder that cannot be read: {why(error)}")
            continue
        # Some drives of Windows give all folders the number 0.
        identity = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)
        if identity in seen:  # a link back to a folder above would never end
            yield Unused(prefix[:-1], "a link to a folder that is listed already")
            continue
        seen.add(identity)
        if prefix:
            yield _Folder(prefix[:-1])
        for entry in inside:
            name = prefix + entry.name
            if not is_system_name(entry.name) and _is_folder(entry):
                # Links wait for all real folders, so a folder that is found both ways keeps its real name.
                (waiting.append if entry.is_symlink() else waiting.appendleft)((name + "/", entry.path))
            else:
                yield from _entry(name, entry, cache)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def _entry(name: str, entry: os.DirEntry[str], cache: Path | None) -> Iterator[Found | Unused | _Folder]:
    """One file of a folder."""
    if is_system_name(entry.name):
        yield Unused(name, SYSTEM)
        return
    try:
        status = os.stat(entry.path)
    except OSError as error:
        what = "a broken link" if isinstance(error, FileNotFoundError) else "a link that cannot be followed"
        yield Unused(name, what if entry.is_symlink() else f"it cannot be read: {why(error)}")
        return
    if not entry.is_file():
        yield Unused(name, "neither a file nor a folder")
    elif not os.access(entry.path, os.R_OK):  # found here, not after hours of a build
        yield Unused(name, "it cannot be read: Permission denied")
    elif name.lower().endswith(".tar"):
        for item in scan(Path(entry.path), cache):
            yield _renamed(item, f"{name[:-4]}/{item.name}")
    elif is_archive(name):
        yield Unused(name, "a compressed archive inside of a folder: unpack it first")
    else:
        yield Found(name, Member(entry.path, 0, status.st_size, status.st_mtime_ns))


def _renamed(item: Found | Unused | _Folder, name: str) -> Found | Unused | _Folder:
    if isinstance(item, Found):
        return Found(name, item.member)
    return Unused(name, item.reason) if isinstance(item, Unused) else _Folder(name)
