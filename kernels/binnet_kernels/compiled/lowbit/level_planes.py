"""Maps of levels as planes of bits: what ``sign_maps.py`` does for signs."""

from __future__ import annotations

from numba import prange

from ...checks import Affine, Float, Halves, border_halves
from ...simd.jit import kernel
from ...simd.lanes import WIDTH, fetch_ahead, first_lanes, load_lanes, within_one
from ..backward.grad_weight import grad_weight_signs as level_grad_weight
from ..forward.bits import pack_border
from ..sign_maps import GROUP, WORTH_SHARING, unchanged
from .level_lanes import codes_of, plane_half

__all__ = ["level_grad_weight", "level_planes", "norm_level_planes"]


def level_planes(x: Float, padding: tuple[int, int], pad_value: int, planes: Halves, within: Halves) -> None:
    """``planes`` (m, ...) of the levels q_m(x) with their border; ``within``: where the gradient passes."""
    norm_level_planes(x, unchanged(x.shape[3]), padding, pad_value, planes, within)


def norm_level_planes(
    x: Float, affine: Affine, padding: tuple[int, int], pad_value: int, planes: Halves, within: Halves
) -> None:
    """The same of a normalised ``x``, with the roundings of ``normalise``."""
    if planes.size:
        write = _norm_planes if x.size > WORTH_SHARING else _norm_planes.serial
        fill = border_halves(x.shape[3], pad_value)
        write(x.ravel(), *affine, fill, planes.ravel(), within.ravel(), *x.shape, *padding, len(planes))


# The loops of `sign_maps` again: a choice between signs and levels inside them would put both into the signs' code.
@kernel
def _norm_planes(x, mean, factor, shift, border, bits, within, n, h, w, c, ph, pw, planes):
    halves, high, wide = (c + 31) // 32, h + 2 * ph, w + 2 * pw
    step, levels = n * high * wide * halves, (1 << planes) - 1
    for line in prange(n * high):
        row, target = line % high - ph, line * wide * halves
        inside = 0 <= row < h
        for plane in range(planes):
            pack_border(border, bits, target + plane * step, wide, halves, pw if inside else wide, pw)
        start = (line // high * h + row) * w
        for first in range(0, w if inside else 0, GROUP):
            for i in range(halves):
                lanes = first_lanes(c - i * WIDTH)
                centre, scale = load_lanes(mean, i * WIDTH, lanes), load_lanes(factor, i * WIDTH, lanes)
                base = load_lanes(shift, i * WIDTH, lanes)
                for col in range(first, min(first + GROUP, w)):
                    fetch_ahead(x, (start + col) * c + i * WIDTH)
                    value = (load_lanes(x, (start + col) * c + i * WIDTH, lanes) - centre) * scale + base
                    codes = codes_of(value, levels)
                    for plane in range(planes):
                        place = target + plane * step + (col + pw) * halves + i
                        bits[place] = plane_half(codes, plane) & lanes
                    within[(start + col) * halves + i] = within_one(value) & lanes
