"""The folder for downloads, unpacked archives and stores."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from binnet_system import machine

from .errors import DataError
from .files import why

Notes = Callable[[str], None]


def cache_folder() -> Path:
    """Return the folder for downloaded data: ``$BINNET_DATA``, or ``binnet/data`` in the user's cache folder.

    Raises
    ------
    DataError
        When the variable is not set and the user has no home folder.
    """
    chosen = os.environ.get("BINNET_DATA")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path  # 3 ms that importing the package should not cost

    try:
        return user_cache_path("binnet", appauthor=False) / "data"
    except RuntimeError as error:
        raise DataError("expected a folder for downloaded data, but neither BINNET_DATA nor a home is set") from error


def writable_cache(notes: Notes | None = None) -> Path:
    """Return `cache_folder` when it is writable, or else a temporary folder that only this user can write to.

    Parameters
    ----------
    notes : called with a sentence about the temporary folder when that is used

    Raises
    ------
    DataError
        When neither folder can be written to.
    """
    try:
        folder = cache_folder()
        _check_writable(folder)
    except (DataError, OSError) as error:
        reason = why(error) if isinstance(error, OSError) else str(error)
        where = f"{folder} cannot be written to ({reason})" if isinstance(error, OSError) else reason
    else:
        return folder
    try:
        temporary = _temporary_folder()
    except OSError as error:
        raise DataError(
            f"{where}, and neither can the folder for temporary files ({why(error)}); "
            "name a folder for stores and downloads with the environment variable BINNET_DATA"
        ) from error
    if notes is not None:
        notes(
            f"{where}; stores and downloads go to {temporary} instead, which the system may delete: set the "
            "environment variable BINNET_DATA (and BINNET_CACHE_DIR, for compiled kernels) to folders that stay"
        )
    return temporary


def cached(name: str, cache: Path | None, needed: Sequence[str], notes: Notes | None = None) -> Path:
    """Return the path of a subfolder of the cache.

    Parameters
    ----------
    name : name of the subfolder
    cache : folder with all cached data; None for `cache_folder` when it holds all needed files, else `writable_cache`
    needed : names of the files
    notes : see `writable_cache`
    """
    if cache is not None:
        return Path(cache) / name
    # Files that are present only have to be read, so a read-only cache will do for them.
    with suppress(DataError):
        folder = cache_folder() / name
        if all((folder / file).exists() for file in needed):
            return folder
    return writable_cache(notes) / name


def _check_writable(folder: Path) -> None:
    """Raise OSError unless a file can be created in ``folder``: permission bits alone do not tell on every mount."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return


def _temporary_folder() -> Path:
    """A folder that belongs to this user within the system's temporary folder, the same at each call where possible.

    Raises
    ------
    OSError
        When it cannot be created or written to.
    """
    folder = Path(tempfile.gettempdir()) / f"binnet-{machine.user()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # Another user may have created a folder or link of this name in order to plant files in it, so lstat and the owner
    # are checked, and that nobody else may write.
    if not (stat.S_ISDIR(status.st_mode) and machine.only_ours(status)):
        return Path(tempfile.mkdtemp(prefix="binnet-"))
    _check_writable(folder)
    return folder
