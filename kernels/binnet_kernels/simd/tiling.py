"""How a convolution is divided: the loop nest that all kernels of whole filters share.

An item is one block of CHANNELS filters over a chunk of tiles, each a few pixels. One item writes its outputs and no
other item does, so the bits do not depend on the threads. All tiles of an item read the same filters, which stay in the
cache; a chunk of pixels goes through all filters before the next, so that it stays there, too.
"""

from __future__ import annotations

from .jit import helper
from .tile import CHANNELS, CHUNK


@helper
def items_of(pixels, channels, rows):
    """How many items there are, with tiles of ``rows`` pixels."""
    tiles = (pixels + rows - 1) // rows
    return (tiles + CHUNK - 1) // CHUNK * ((channels + CHANNELS - 1) // CHANNELS)


@helper
def part_of(item, pixels, channels, rows):
    """The first channel of an item, its first pixel, and the one past its last tile."""
    tiles, blocks = (pixels + rows - 1) // rows, (channels + CHANNELS - 1) // CHANNELS
    chunk, chunks = item // blocks, (tiles + CHUNK - 1) // CHUNK
    return item % blocks * CHANNELS, chunk * tiles // chunks * rows, (chunk + 1) * tiles // chunks * rows
