"""Preprocessing as in training: a file, a folder and a store give the same pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import binnet_datasets
from binnet_datasets import Dataset, Split, View
from binnet_datasets.images.windows import resized_to

from ..modelfile.info import DataInfo, Preprocessing


class Prepared(Protocol):
    """Interface of models that state how their images are prepared: packed models, and models from any file."""

    @property
    def image_size(self) -> tuple[int, int]: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def takes_pixels(self) -> bool: ...
    @property
    def info(self) -> DataInfo: ...


def read_for(
    model: Prepared,
    source: str | Path | bytes,
    image_size: tuple[int, int] | None = None,
    where: object = None,
) -> NDArray[np.uint8]:
    """Read an image as the model's ``info.preprocessing`` says; not yet normalised.

    Parameters
    ----------
    model
    source
        An image file, or its contents.
    image_size
        Rows and columns; None for the model's. The part of the image that is shown stays about the same.
    where
        What messages call the image; None for the file's name.

    Returns
    -------
    uint8 (*image_size, in_channels)

    Raises
    ------
    DataError
        As :func:`binnet_datasets.read_image`.
    """
    size, how = image_size or model.image_size, model.info.preprocessing
    if how.stored_size is None or how.short_side is None:
        return binnet_datasets.read_image(source, size, model.in_channels, where)
    ratio = min(size) / min(model.image_size)
    stored, short = (max(1, round(ratio * side)) for side in (how.stored_size, how.short_side))
    return binnet_datasets.read_centre(source, size, model.in_channels, stored, short, where)


def view_of(info: DataInfo, split: Split, image_size: tuple[int, int] | None = None) -> View:
    """The part of each image of a split that a model is shown.

    Arrays have the model's size already. Other images are shown whole or as a window, as those of the model were.
    """
    if isinstance(split.images, np.ndarray):
        return View(image_size)
    short = info.preprocessing.short_side
    return View(image_size, short, whole=short is None)


def preprocessing_of(dataset: Dataset, image_size: tuple[int, int]) -> Preprocessing:
    """The preprocessing that turns the images of a data set into those of a network trained on it.

    Parameters
    ----------
    dataset
        Arrays, which are shown as they are, or images of a store, whose short sides are the stored size.
    image_size
        Rows and columns of the network's images.
    """
    if isinstance(dataset.train.images, np.ndarray):
        return Preprocessing()
    sizes = np.concatenate([dataset.train.sizes, dataset.test.sizes])
    return Preprocessing(int(sizes.min()), int(resized_to(sizes, image_size).min()))
