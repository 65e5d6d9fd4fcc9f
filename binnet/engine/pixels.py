"""Pixels and normalised images: both are accepted by models that read either."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..graph.graph import Array, Float
from ..modelfile.info import DataInfo


class Reading(Protocol):
    """Interface of models that say whether they read pixels or normalised images."""

    @property
    def takes_pixels(self) -> bool: ...
    @property
    def info(self) -> DataInfo: ...


def as_input(model: Reading, pixels: npt.NDArray[np.uint8]) -> Array:
    """Pixels (..., C) as a model reads them: as they are, or normalised as float32; ValueError when that is unknown."""
    if model.takes_pixels:
        return pixels
    import binnet_datasets  # imported here: loading a model must not need the data package

    return binnet_datasets.normalise(pixels, *model.info.normalisation())


def pixels_of(images: Float, mean: tuple[float, ...], std: tuple[float, ...]) -> npt.NDArray[np.uint8]:
    """The nearest pixels of normalised images (..., C), the exact inverse of normalisation.

    Raises
    ------
    ValueError
        When a value lies more than half a pixel outside 0..255, so that the image is not normalised as it should be.
    """
    # In float32 the result is right to a thousandth of a pixel, as means lie between 0 and 1.
    with np.errstate(over="ignore"):  # an infinity is outside, too
        found = images * np.array(std, np.float32)
        found += np.array(mean, np.float32)
        found *= np.float32(255)
    np.rint(found, out=found)
    low, high = found.min(initial=0), found.max(initial=0)
    if low < 0 or high > 255:
        raise ValueError(
            "the model takes pixels, or images normalised as (pixel / 255 - mean) / std with its own mean and std; "
            f"these images would be pixels from {low:.0f} to {high:.0f}"
        )
    return found.astype(np.uint8)
