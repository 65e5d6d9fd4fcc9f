"""Choice of the output pixel and filter that a trace shows first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arithmetic import Trace


@dataclass(frozen=True)
class Focus:
    """A place in the output: row, column and filter, from 0 on."""

    row: int
    col: int
    filter: int


def strongest(t: Trace, filters: int | None = None) -> Focus:
    """The place of the largest |float convolution| among the first ``filters``, outside the border if possible."""
    strength = np.nan_to_num(np.abs(t.conv[..., :filters]))
    (ph, pw), (sh, sw) = t.layer.window.padding, t.layer.window.stride
    # A window on the border would show the correction for padding, which is not the first thing to explain.
    rows, cols = -(-ph // sh), -(-pw // sw)  # output rows and columns whose window overlaps the padding
    oh, ow = t.K.shape
    inner = np.zeros((oh, ow, 1), bool)
    inner[rows : oh - rows, cols : ow - cols] = True
    place = int(np.where(inner, strength, -1.0).argmax()) if inner.any() else int(strength.argmax())
    row, col, filter_ = map(int, np.unravel_index(place, strength.shape))
    return Focus(row, col, filter_)
