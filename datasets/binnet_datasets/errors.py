"""The one exception of this package."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used: a missing, damaged or unexpected file, a failed download, an unknown name.

    The message is one sentence that says what was expected and what came, with the path or address.
    """
