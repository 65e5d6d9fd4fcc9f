"""The exception that this package raises."""

from __future__ import annotations


class DataError(ValueError):
    """Data cannot be used: a file is missing, damaged or unexpected, a download failed, or a name is unknown.

    The message is one sentence that states what was expected and what was found, with the path or address.
    """
