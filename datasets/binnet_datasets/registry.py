"""Loading of data sets, by name or by path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .dataset import Dataset
from .errors import DataError
from .named.cifar import load_cifar10
from .named.digits import load_digits
from .named.download import Progress
from .named.mnist import load_fashion_mnist, load_mnist
from .named.remote import fetch_dataset
from .store.build import Notes
from .store.build import Progress as BuildProgress
from .store.cached import cached_store
from .store.plan import BuildOptions, make_plan
from .store.reading import may_be_store, open_store

EMBEDDED: dict[str, Callable[[], Dataset]] = {"digits": load_digits}
FROM_FILES: dict[str, Callable[[Path, Path | None], Dataset]] = {  # of the path and the cache
    "mnist": lambda path, cache: load_mnist(path),
    "fashion-mnist": lambda path, cache: load_fashion_mnist(path),
    "cifar10": load_cifar10,
}


def names() -> tuple[str, ...]:
    """Return the names that `load` knows."""
    return (*EMBEDDED, *FROM_FILES)


def load(
    name: str | None,
    data: str | Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    *,
    building: BuildProgress | None = None,
    notes: Notes | None = None,
    options: BuildOptions | None = None,
    max_corrupt: float | None = None,
) -> Dataset:
    """Load a data set: a named one into memory, or the user's own images, which stay on disk.

    Parameters
    ----------
    name : one of `names`; None for the user's own images
    data : with a name, the folder of its files, or for "cifar10" also its archive; None downloads them once into the
        cache. For "digits", which comes with the package, it must be None. Without a name, an image store, or a folder
        or archive of images; for a folder or archive a store is built in the cache, and reused while the files stay the
        same
    cache : folder for downloads, unpacked archives and stores, None for ``$BINNET_DATA`` or the user's cache folder
    progress : called with (bytes so far, bytes in all or None) while a file is downloaded
    building : called with (images so far, images in all) while a store is built
    notes : called with sentences for the user
    options : how the store of a folder or archive is built; must be None for a store
    max_corrupt : see `build_store`

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        When the name is unknown, a file is missing or damaged, a download fails, or a store cannot be built.
    """
    # Paths from a configuration file have not passed through a shell, so "~" is expanded here.
    path = None if data is None else Path(os.path.expanduser(data))
    if name is None and path is not None:
        if may_be_store(path):
            if options is not None or max_corrupt is not None:
                raise DataError(
                    f"expected no choice of classes or validation images for {path}, which is a store already"
                )
            return open_store(path)
        plan = make_plan(path, options or BuildOptions())
        return cached_store(path, plan, cache, building, notes, max_corrupt).dataset
    if name in EMBEDDED:
        if path is not None:
            # Ignoring the path would silently train on other images than those the user named.
            raise DataError(f"expected no path for {name}, which comes with the package, but got {data}")
        return EMBEDDED[name]()
    if name not in FROM_FILES:
        raise DataError(f"expected a data set named one of {', '.join(names())}, but got {name!r}")
    return FROM_FILES[name](fetch_dataset(name, cache, progress, notes) if path is None else path, cache)
