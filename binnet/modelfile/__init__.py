"""Model files: named arrays and a description in HDF5, and how a graph is one (``docs/format.md``)."""

from .container import CHECKPOINT, PACKED, StorageError

__all__ = ["CHECKPOINT", "PACKED", "StorageError"]
