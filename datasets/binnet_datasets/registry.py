"""The data sets there are by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .cifar import load_cifar10
from .dataset import Dataset
from .digits import load_digits
from .download import Progress
from .errors import DataError
from .mnist import load_fashion_mnist, load_mnist
from .sources import fetch_dataset

EMBEDDED: dict[str, Callable[[], Dataset]] = {"digits": load_digits}
FROM_FILES: dict[str, Callable[[Path], Dataset]] = {
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
    "cifar10": load_cifar10,
}


def names() -> tuple[str, ...]:
    """Return the names that `load` knows."""
    return (*EMBEDDED, *FROM_FILES)


def load(
    name: str, data: str | Path | None = None, cache: Path | None = None, progress: Progress | None = None
) -> Dataset:
    """Load a data set into memory.

    Parameters
    ----------
    name : one of `names`
    data : where its files are; None downloads them once into the cache. "digits" comes with the package: leave None
    cache : folder for downloads, None for ``$BINNET_DATA`` or the user's cache folder
    progress : called with (bytes so far, bytes in all or None) while a file is downloaded

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        When there is no such name, a file is missing or damaged, or a download fails.
    """
    if name in EMBEDDED:
        if data is not None:
            raise DataError(f"expected no path for {name}, which comes with the package, but got {data}")
        return EMBEDDED[name]()
    if name not in FROM_FILES:
        raise DataError(f"expected a data set named one of {', '.join(names())}, but got {name!r}")
    folder = fetch_dataset(name, cache, progress) if data is None else Path(os.path.expanduser(data))
    return FROM_FILES[name](folder)
