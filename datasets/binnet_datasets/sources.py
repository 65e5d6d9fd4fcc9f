"""Where the data sets are published, and the folder they are kept in once downloaded."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .download import Progress, fetch
from .errors import DataError
from .files import why

Notes = Callable[[str], None]


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name below the source's address, its checksum and its length in bytes."""

    name: str
    checksum: str
    size: int


@dataclass(frozen=True)
class RemoteSource:
    """An address that ends in a slash, and the files below it."""

    url: str
    files: tuple[RemoteFile, ...]


def _sha256(name: str, size: int, digest: str) -> RemoteFile:
    return RemoteFile(name, f"sha256:{digest}", size)


SOURCES: dict[str, RemoteSource] = {
    "mnist": RemoteSource(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (
            _sha256(
                "train-images-idx3-ubyte.gz",
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            _sha256(
                "train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
            ),
            _sha256(
                "t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            _sha256(
                "t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        ),
    ),
    # Published without TLS: the checksum alone vouches for what comes.
    "fashion-mnist": RemoteSource(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            _sha256(
                "train-images-idx3-ubyte.gz",
                26421880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            _sha256(
                "train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            _sha256(
                "t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            _sha256(
                "t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        ),
    ),
    "cifar10": RemoteSource(
        "https://www.cs.toronto.edu/~kriz/",
        (
            _sha256(
                "cifar-10-binary.tar.gz", 170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
            ),
        ),
    ),
}


def cache_folder() -> Path:
    """Return the folder for downloaded data: ``$BINNET_DATA``, or ``binnet/data`` in the user's cache folder.

    The cache folder is ``$XDG_CACHE_HOME`` where that is an absolute path (others are to be ignored, says the XDG
    specification), else ``~/.cache``.
    """
    chosen = os.environ.get("BINNET_DATA")
    if chosen:
        return Path(chosen)
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (cache if cache.is_absolute() else Path.home() / ".cache") / "binnet" / "data"
    except RuntimeError as error:
        raise DataError("expected a folder for downloaded data, but neither BINNET_DATA nor a home is set") from error


def writable_cache(notes: Notes | None = None) -> Path:
    """Return `cache_folder`, or where nothing can be written there a temporary folder that only this user can write to.

    Parameters
    ----------
    notes : called with a sentence about the temporary folder

    Raises
    ------
    DataError
        When neither can be written to.
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
    """Return the subfolder of a cache to keep files in.

    Parameters
    ----------
    name : of the subfolder
    cache : the folder with all cached data; None for `cache_folder`, or `writable_cache` unless the files are there
    needed : names of the files
    notes : see `writable_cache`
    """
    if cache is not None:
        return Path(cache) / name
    with suppress(DataError):
        folder = cache_folder() / name
        if all((folder / file).exists() for file in needed):
            return folder
    return writable_cache(notes) / name


def _check_writable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return


def _temporary_folder() -> Path:
    """A folder of this user's own among the temporary files, the same at each call; raises OSError."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"binnet-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # Anybody may have made a folder of this name, to put files of their own into it.
    ours = stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid())
    if not ours or (hasattr(os, "getuid") and status.st_mode & 0o022):
        return Path(tempfile.mkdtemp(prefix="binnet-"))
    _check_writable(folder)
    return folder


def fetch_dataset(
    name: str, cache: Path | None = None, progress: Progress | None = None, notes: Notes | None = None
) -> Path:
    """Download the files of a data set that are not in the cache yet.

    Parameters
    ----------
    name : a key of `SOURCES`
    cache : folder to keep them in, each data set in a subfolder of its name; None for `cache_folder`
    progress : see `fetch`; starts anew for each file
    notes : see `writable_cache`

    Returns
    -------
    the folder that holds the files

    Raises
    ------
    DataError
        When a download fails; the message says how to do without.
    """
    source = SOURCES[name]
    folder = cached(name, cache, [file.name for file in source.files], notes)
    for file in source.files:
        try:
            fetch(source.url + file.name, folder / file.name, file.checksum, file.size, progress)
        except DataError as error:
            raise DataError(f"{error} (to use files you have already, give their folder as data)") from error
    return folder
