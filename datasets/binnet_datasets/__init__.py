"""Data for binary networks: files -> arrays -> batches. Depends on NumPy; imports readers only when they are needed."""

from __future__ import annotations

from .dataset import Dataset, Split
from .download import fetch
from .errors import DataError
from .idx import read_idx
from .image import read_image
from .loader import Augment, batches, num_batches
from .registry import load, names
from .sources import cache_folder
from .transforms import flip, normalise, pad_and_crop, resize_to

__all__ = [
    "Augment",
    "DataError",
    "Dataset",
    "Split",
    "batches",
    "cache_folder",
    "fetch",
    "flip",
    "load",
    "names",
    "normalise",
    "num_batches",
    "pad_and_crop",
    "read_idx",
    "read_image",
    "resize_to",
]
