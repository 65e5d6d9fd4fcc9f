"""Single images as a model saw those it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import binnet_datasets
from binnet_datasets import Dataset
from binnet_datasets.windows import SHOWN, STORED

from .info import DataInfo, Preprocessing
from .models import ModelSpec


def preprocessing_of(dataset: Dataset, image_size: tuple[int, int]) -> Preprocessing:
    """How the validation images of a data set become images of a size, see :class:`binnet_datasets.Loader`.

    Those of a store are resized as the store did; those of a data set by name are taken whole.
    """
    test = dataset.test
    if isinstance(test.images, np.ndarray):
        return Preprocessing()
    stored, least = int(test.sizes.min(initial=1 << 16)), max(image_size)
    return Preprocessing(stored, min(max(stored, least), round(least * STORED / SHOWN)))


def read_for(
    spec: ModelSpec, info: DataInfo, path: str | Path, image_size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Read an image, whole for the data sets by name, else its centre as out of a store; not yet normalised.

    Parameters
    ----------
    spec, info
        Of the model.
    path
        An image file.
    image_size
        Rows and columns; None for the model's.

    Returns
    -------
    uint8 (*image_size, in_channels)

    Raises
    ------
    DataError
        As :func:`binnet_datasets.read_image`.
    """
    size = image_size or spec.image_size
    if info.dataset in ("", *binnet_datasets.names()):
        return binnet_datasets.read_image(path, size, spec.in_channels)
    config = info.provenance.get("config")
    margin = isinstance(config, dict) and config.get("image_size") is not None
    return binnet_datasets.read_centre(path, size, spec.in_channels, margin)
