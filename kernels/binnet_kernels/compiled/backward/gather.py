"""Panels: the factors of the weight gradient, gathered side by side for a chunk of pixels.

A *strip* is what one place of the filter sees: the channels under it, at the output pixels whose window has that place
on the image. So a border of zeros is neither stored nor multiplied, which on a map of 2x2 saves more than half.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ...checks import Float, Window
from ...simd.geometry import Indices
from ...simd.jit import helper
from ...simd.tile import CHANNELS, add_signs, expand_signs
from ...simd.vector import LANES, load_first, store_first

PIXELS = 192  # at most, in a panel
FIELDS = 6  # of a strip


@dataclass(frozen=True, eq=False)
class Source:
    """What lies under the windows: floats, or the bits of signs, or planes of bits of levels.

    Attributes
    ----------
    steps
        From an image, a row and a pixel to the next: floats, or blocks of CHANNELS bits.
    walk : rows, span, pitch
        The taps of a strip lie side by side in rows of ``span``, the rows ``pitch`` apart.
    planes : number, step, L
        Of bits: from one plane to the next, and what levels are divided by.
    """

    floats: Float
    bits: npt.NDArray[np.uint8]
    strips: Indices
    steps: tuple[int, int, int]
    walk: tuple[int, int, int]
    planes: tuple[int, int, int] = (1, 0, 1)

    @property
    def taps(self) -> int:
        """Number of taps in a strip."""
        return self.walk[0] * self.walk[1]

    def since(self, image: int) -> Source:
        """Without the images before this one."""
        skipped = image * self.steps[0]
        return replace(self, floats=self.floats[skipped:], bits=self.bits[skipped * CHANNELS // 8 :])


@lru_cache(maxsize=64)
def strips(h: int, w: int, window: Window, corner: tuple[int, int], zero: bool) -> Indices:
    """A row for each place of a filter over images (h, w): int64 (KH · KW · FIELDS,).

    Output rows from ``top`` on, so many ``rows``, columns from ``left`` on, so many ``cols``; and the row and column of
    the image that the place meets at output pixel (0, 0).

    Parameters
    ----------
    corner
        Row and column, in the image as it is stored, of the very first place of the filter.
    zero
        Whether pixels where the place is on the border are left out.
    """
    sizes = window.output_size(h, w)
    axes = [
        [(*_inside(size, out, i - p, s, zero), i + first) for i in range(k)]
        for size, out, k, s, p, first in zip((h, w), sizes, window.size, window.stride, window.padding, corner)
    ]
    table = [(*y[:2], *x[:2], y[2], x[2]) for y in axes[0] for x in axes[1]]
    return np.array(table, np.int64).ravel()


def _inside(size: int, output: int, start: int, stride: int, zero: bool) -> tuple[int, int]:
    """The first output i with ``0 <= i * stride + start < size``, and how many there are; all, unless ``zero``."""
    if not zero:
        return 0, output
    first = max(-(start // stride), 0)
    return first, max(min(-((start - size) // stride), output) - first, 0)


@helper
def find_pixels(strips, strip, shape, first, count, table):
    """Where ``count`` pixels of a strip lie, from the ``first`` on, in x and in the gradient.

    The shape: steps from an image, a row and a pixel of x to the next; images; the strides; rows, columns and channels
    of the output. The table gets the places in x from ``table[1]`` on, PIXELS later the numbers of the output pixels.
    """
    (image, row, pixel, _, sh, sw, oh, ow, _), (values, at), place = shape, table, strip * FIELDS
    top, rows, left, cols = strips[place], strips[place + 1], strips[place + 2], strips[place + 3]
    corner = (top * sh + strips[place + 4]) * row + (left * sw + strips[place + 5]) * pixel
    y, x = first // max(cols, 1), first % max(cols, 1)
    i, y = y // max(rows, 1), y % max(rows, 1)
    for k in range(count):
        values[at + k] = i * image + y * sh * row + x * sw * pixel + corner
        values[at + PIXELS + k] = (i * oh + top + y) * ow + left + x
        # Counted like digits, in place of three divisions a pixel.
        x += 1
        if x == cols:
            x, y = 0, y + 1
            if y == rows:
                y, i = 0, i + 1


@helper
def gather_gradients(grad, table, count, o, channels, panel, place):
    """Gradients of ``count`` pixels as (block of LANES channels, pixel, channel); zeros past the last channel."""
    values, at = table
    for channel in range(channels[0], channels[1], LANES):
        for k in range(count):
            value = load_first(grad, values[at + PIXELS + k] * o + channel, o - channel)
            store_first(panel, place + k * LANES, value, LANES)
        place += count * LANES


@helper
def _gather_floats(x, table, count, tap, walk, panel, place):
    """CHANNELS taps of ``count`` pixels, run by run of neighbours in x; zeros past the last tap.

    ``walk``: taps lie side by side in ``rows`` of ``span``, ``pitch`` values apart.
    """
    (values, at), (rows, span, pitch), lane = table, walk, 0
    while lane < CHANNELS:
        row, i = (tap + lane) // span, (tap + lane) % span
        run = min(span - i, CHANNELS - lane)
        # Past the last row of taps nothing is read, and zeros fill the lanes.
        real = run if row < rows else 0
        for v in range(0, run, LANES):
            source, target = row * pitch + i + v, place + lane + v
            for k in range(count):
                value = load_first(x, values[at + k] + source, real - v)
                store_first(panel, target + k * CHANNELS, value, run - v)
        lane += run


@helper
def _gather_signs(bits, table, count, block, planes, panel, place):
    """A block of CHANNELS signs of ``count`` pixels as ±1, or of levels; x is counted in such blocks.

    ``planes``: how many, from one to the next, and the largest level as a whole number, L.
    """
    (values, at), (number, step, most) = table, planes
    # Signs have one plane and L = 1: the same code gives ±1.
    unit = np.float32(1) / np.float32(most)
    for k in range(count):
        expand_signs(panel, place + k * CHANNELS, bits, values[at + k] + block, unit)
        # A level is a sum of signs, those of plane i times 2^i: here they become one float again.
        for plane in range(1, number):
            source = values[at + k] + block + plane * step
            add_signs(panel, place + k * CHANNELS, bits, source, unit * np.float32(1 << plane))


@helper
def gather(x, bits, table, count, block, walk, panel, place):
    """A block of CHANNELS taps of ``count`` pixels; signs where there are bits."""
    if len(bits) > 0:
        _gather_signs(bits, table, count, block, walk[3:], panel, place)
    else:
        _gather_floats(x, table, count, block * CHANNELS, walk[:3], panel, place)
