"""The data set that comes with the package: 1,797 handwritten digits of 8 x 8 pixels.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
doi:10.24432/C50P49, CC BY 4.0. See DIGITS.md beside this file for what was changed.
"""

from __future__ import annotations

import io

import numpy as np

from ..dataset import Dataset, Split
from ..errors import DataError


def load_digits() -> Dataset:
    """Load the embedded digits: 1,437 training and 360 test images, uint8 (N, 8, 8, 1), labels 0..9.

    Raises
    ------
    DataError
        When the embedded file is missing or damaged.
    """
    from importlib.resources import files

    import h5py  # not at the top: only data sets in HDF5 need it

    resource = files(__package__) / "digits.h5"
    try:
        with h5py.File(io.BytesIO(resource.read_bytes()), "r") as file:
            splits = {
                part: Split(file[part]["images"][:], file[part]["labels"][:].astype(np.int64))
                for part in ("train", "test")
            }
            class_names = tuple(str(name) for name in file.attrs["class_names"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"expected the embedded digits at {resource}, but reading them failed: {error}") from error
    return Dataset("digits", splits["train"], splits["test"], class_names)
