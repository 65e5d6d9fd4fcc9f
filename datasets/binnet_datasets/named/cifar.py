"""CIFAR-10 in its two official layouts, from a folder or from a tar, compressed or not.

Binary layout: records of 3,073 bytes, one label and then 32 x 32 pixels of each of red, green, blue. Python layout:
the same numbers in pickles (`cifar_pickle`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset, Split
from ..errors import DataError
from ..sources.archives import is_archive
from .cifar_pickle import batch_from_pickle, names_from_pickle
from .cifar_source import Source, archive_source, folder_source

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUBFOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")

_ARCHIVE = re.compile(r"cifar-10(?!\d)")  # the start of an archive's name, which is not that of CIFAR-100
_STEMS = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_RECORD = 1 + 3 * 32 * 32
Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def load_cifar10(path: Path, cache: Path | None = None) -> Dataset:
    """Load CIFAR-10.

    Parameters
    ----------
    path : the folder with the six batch files; the folder that holds its usual subfolder, or one archive whose name
        begins with "cifar-10"; or an archive of any name: a tar, plain or compressed by gzip, bzip2 or xz
    cache : folder with all cached data, where a compressed archive is unpacked once; None for `cache_folder`

    Returns
    -------
    Dataset of images uint8 (N, 32, 32, 3), RGB

    Raises
    ------
    DataError
        When there are no such files, several archives, a file is missing or damaged, or a pickle holds anything but
        plain data.
    """
    source = _find_source(path, cache)
    binary = f"{_STEMS[0]}.bin" in source.names  # it takes precedence where a folder holds both
    ending, meta = (".bin", "batches.meta.txt") if binary else ("", "batches.meta")
    files = [stem + ending for stem in _STEMS]
    missing = [name for name in files if name not in source.names]  # half a data set would train without notice
    if missing:
        raise DataError(f"expected the CIFAR-10 files {', '.join(files)} in {source.path}, but {missing[0]} is missing")
    contents = source.read([*files, meta])
    parse, parse_names = (batch_from_binary, _names_from_text) if binary else (batch_from_pickle, names_from_pickle)
    batches = [_parse(parse, contents[name], f"{source.path}/{name}") for name in files]
    class_names = parse_names(contents[meta], f"{source.path}/{meta}") if meta in contents else CLASS_NAMES
    if len(class_names) != len(CLASS_NAMES):
        raise DataError(f"expected 10 class names in {source.path}/{meta}, but got {len(class_names)}")
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches[:-1], strict=True))
    return Dataset("cifar10", Split(images, labels), Split(*batches[-1]), class_names)


def batch_from_binary(content: bytes, where: str) -> Batch:
    """Split records of 3,073 bytes into labels int64 (N,) and planes uint8 (N, 3072)."""
    if not content or len(content) % _RECORD:
        raise DataError(f"expected records of {_RECORD} bytes in {where}, but it has {len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _parse(parse: Callable[[bytes, str], Batch], content: bytes, where: str) -> Batch:
    """Parse one batch, check its labels and turn its planes into images uint8 (N, 32, 32, 3)."""
    planes, labels = parse(content, where)
    if labels.min() < 0 or labels.max() >= len(CLASS_NAMES):
        raise DataError(f"expected labels 0..9 in {where}, but got {labels.min()}..{labels.max()}")
    # Channels last, as everywhere.
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def _names_from_text(content: bytes, where: str) -> tuple[str, ...]:
    """Read one class name a line."""
    try:
        return tuple(content.decode("utf-8").split())
    except UnicodeDecodeError as error:
        raise DataError(f"expected one class name a line in {where}, but it is no text: {error}") from error


def _find_source(path: Path, cache: Path | None) -> Source:
    """Return the source of the batch files: ``path`` itself, a usual subfolder or the one archive in it."""
    if path.is_file():
        return archive_source(path, cache)
    for folder in (path, *(path / name for name in SUBFOLDERS)):
        source = folder_source(folder)
        if any(stem in source.names or f"{stem}.bin" in source.names for stem in _STEMS):
            return source
    archives = sorted(name for name in folder_source(path).names if _ARCHIVE.match(name) and is_archive(name))
    if len(archives) == 1:
        return archive_source(path / archives[0], cache)
    if archives:  # they may hold different images
        raise DataError(f"expected one archive of CIFAR-10 in {path}, but there are {', '.join(archives)}: name one")
    looked = ", ".join(("data_batch_1.bin", "data_batch_1", *(f"{name}/" for name in SUBFOLDERS)))
    came = "none of them is there" if path.is_dir() else "there is no such folder"
    raise DataError(f"expected CIFAR-10 in {path} as one of {looked} or an archive cifar-10*.tar*, but {came}")
