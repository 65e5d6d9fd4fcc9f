"""Model files: named arrays and a JSON description in HDF5, and the graph stored in them (``docs/format.md``)."""

from .container import CHECKPOINT, PACKED, StorageError

__all__ = ["CHECKPOINT", "PACKED", "StorageError"]
