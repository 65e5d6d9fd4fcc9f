"""Addresses and checksums of the published data sets, and their download into the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..cache import Notes, cached
from ..errors import DataError
from .download import Progress, fetch


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
    # Published without TLS, so only the checksum protects against a changed file.
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
        When a download fails; the message says how to use files that exist already.
    """
    source = SOURCES[name]
    folder = cached(name, cache, [file.name for file in source.files], notes)
    for file in source.files:
        try:
            fetch(source.url + file.name, folder / file.name, file.checksum, file.size, progress)
        except DataError as error:
            # A machine without access to the network may have got the files in another way.
            raise DataError(f"{error} (to use files you have already, give their folder as data)") from error
    return folder
