"""The levels in planes of bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...checks import Halves, Window
from ..xnor import signs_of_map


def whole_of_map(planes: Halves, x_shape: tuple[int, ...], window: Window, pad_value: int) -> npt.NDArray[np.float64]:
    """The levels in planes of bits as whole numbers, L q, with their border."""
    maps = np.stack([signs_of_map(plane, x_shape, window, pad_value) for plane in planes])
    # float64 holds all of these whole numbers exactly.
    whole: npt.NDArray[np.float64] = np.einsum("i,inhwc->nhwc", 2.0 ** np.arange(len(maps)), maps)
    return whole
