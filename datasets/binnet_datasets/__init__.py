"""Data sets for binary networks: files are decoded to arrays, and arrays are made into batches.

Importing the package needs only NumPy; Pillow, h5py and platformdirs are imported when a function needs them.
"""

from __future__ import annotations

from .batching.augment import Augment, Sampling
from .batching.loader import Loader, View, batches, num_batches
from .cache import cache_folder
from .contact_sheet import contact_sheet
from .dataset import Dataset, Images, Split
from .errors import DataError
from .evaluation import load_evaluation
from .images.decoding import read_centre, read_image
from .images.transforms import flip, normalise, pad_and_crop, resize_to
from .named.download import fetch
from .named.idx import read_idx
from .registry import load, names
from .sources.file_names import is_image, is_system_name
from .store.build import build_store
from .store.cached import holds_images
from .store.images import StoreImages
from .store.plan import BuildOptions
from .store.reading import is_store, open_store, read_store

__all__ = [
    "Augment",
    "BuildOptions",
    "DataError",
    "Dataset",
    "Images",
    "Loader",
    "Sampling",
    "Split",
    "StoreImages",
    "View",
    "batches",
    "build_store",
    "cache_folder",
    "contact_sheet",
    "fetch",
    "flip",
    "holds_images",
    "is_image",
    "is_store",
    "is_system_name",
    "load",
    "load_evaluation",
    "names",
    "normalise",
    "num_batches",
    "open_store",
    "pad_and_crop",
    "read_centre",
    "read_idx",
    "read_image",
    "read_store",
    "resize_to",
]
