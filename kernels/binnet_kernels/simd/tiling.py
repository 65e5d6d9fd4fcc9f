"""How a convolution is divided: the loop nest that all kernels of whole filters share.

An item is one block of CHANNELS filters times a chunk of tiles (a tile is a few pixels). Each output is written by
exactly one item, so the bits do not depend on the threads. All tiles of an item read the same filters, which stay in
the cache; a chunk of pixels goes through all filters before the next, so that it stays there, too.
"""

from __future__ import annotations

from .jit import helper
from .tile import CHANNELS, CHUNK


@helper
def share(part, parts, total):
    """Where one of several even parts of 0 ... total - 1 begins, and where it ends."""
    return part * total // parts, (part + 1) * total // parts


@helper
def items_of(pixels, channels, rows, chunk=CHUNK):
    """How many items there are, with tiles of ``rows`` pixels, at most ``chunk`` of them in an item."""
    tiles = (pixels + rows - 1) // rows
    return (tiles + chunk - 1) // chunk * ((channels + CHANNELS - 1) // CHANNELS)


@helper
def part_of(item, pixels, channels, rows, chunk=CHUNK):
    """The first channel of an item, its first pixel, and the one past its last tile."""
    tiles, blocks = (pixels + rows - 1) // rows, (channels + CHANNELS - 1) // CHANNELS
    begin, end = share(item // blocks, (tiles + chunk - 1) // chunk, tiles)
    return item % blocks * CHANNELS, begin * rows, end * rows
