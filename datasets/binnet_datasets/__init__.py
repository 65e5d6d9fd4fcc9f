"""Data for binary networks: files -> arrays -> batches. Depends on NumPy; imports readers only when they are needed."""

from __future__ import annotations

from .augment import Augment
from .build import build_store
from .contact_sheet import contact_sheet
from .dataset import Dataset, Images, Split
from .download import fetch
from .errors import DataError
from .evaluation import load_evaluation
from .idx import read_idx
from .image import read_centre, read_image
from .layouts import is_image
from .loader import Loader, batches, num_batches
from .plan import BuildOptions
from .registry import load, names
from .sources import cache_folder
from .store import is_store, open_store, read_store
from .store_cache import holds_images
from .store_images import StoreImages
from .system_names import is_system_name
from .transforms import flip, normalise, pad_and_crop, resize_to

__all__ = [
    "Augment",
    "BuildOptions",
    "DataError",
    "Dataset",
    "Images",
    "Loader",
    "Split",
    "StoreImages",
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
