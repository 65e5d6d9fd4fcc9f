"""The output pixel that a trace shows first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arithmetic import Trace


@dataclass(frozen=True)
class Focus:
    """A place in the output: (row, column) and filter."""

    row: int
    col: int
    filter: int


def strongest(t: Trace, filters: int | None = None) -> Focus:
    """Where the float convolution answers most, among the first ``filters``, away from the border if that can be."""
    strength = np.nan_to_num(np.abs(t.conv[..., :filters]))
    (ph, pw), (sh, sw) = t.layer.window.padding, t.layer.window.stride
    rows, cols = -(-ph // sh), -(-pw // sw)  # of pixels whose window reaches into the border
    oh, ow = t.K.shape
    inner = np.zeros((oh, ow, 1), bool)
    inner[rows : oh - rows, cols : ow - cols] = True
    place = int(np.where(inner, strength, -1.0).argmax()) if inner.any() else int(strength.argmax())
    row, col, filter_ = map(int, np.unravel_index(place, strength.shape))
    return Focus(row, col, filter_)
