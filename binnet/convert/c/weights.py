"""Weights in the order in which the tile functions read them: blocks of filters side by side (``runtime/*_tile.c``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph.graph import Array


@dataclass(frozen=True)
class Sizes:
    """Bits of a word, and the numbers of filters in a block of one-bit and of other weights, as in ``words.c``."""

    word_bits: int

    @property
    def one_bit(self) -> int:
        """BN_XF."""
        return 8 if self.word_bits == 64 else 2

    @property
    def real(self) -> int:
        """BN_FF and BN_IF."""
        return 16 if self.word_bits == 64 else 2

    def words(self, channels: int) -> int:
        """Words that hold the bits of a pixel."""
        return -(-channels // self.word_bits)


def in_blocks(values: Array, block: int) -> Array:
    """Filters (O, KH, values) as (blocks, KH, values, block); missing filters are 0."""
    o, rows, width = values.shape
    padded = np.zeros((-(-o // block) * block, rows, width), values.dtype)
    padded[:o] = values
    return np.ascontiguousarray(padded.reshape(-1, block, rows, width).transpose(0, 2, 3, 1))


def sign_words(negative: Array, sizes: Sizes) -> Array:
    """Boolean (O, KH, KW, C) as words in blocks; the words of a pixel are padded with zeros."""
    o, kh, kw, c = negative.shape
    return in_blocks(to_words(negative, sizes.word_bits).reshape(o, kh, kw * sizes.words(c)), sizes.one_bit)


def to_words(bits: Array, word_bits: int) -> Array:
    """Boolean (..., C) as words (..., ceil(C / word_bits)), the lowest bit first."""
    words = -(-bits.shape[-1] // word_bits)
    padded = np.zeros((*bits.shape[:-1], words * word_bits), bool)
    padded[..., : bits.shape[-1]] = bits
    packed: Any = np.packbits(padded, axis=-1, bitorder="little").view(f"<u{word_bits // 8}")
    return np.asarray(packed, f"u{word_bits // 8}")


def real_values(weight: Array, sizes: Sizes) -> Array:
    """Floats (O, KH, KW, C) in blocks."""
    return in_blocks(weight.reshape(*weight.shape[:2], -1), sizes.real)


def sign_bytes(negative: Array, sizes: Sizes) -> Array:
    """Boolean (O, KH, KW, C) as bytes, one bit a filter of a block."""
    blocks = in_blocks(negative.reshape(*negative.shape[:2], -1), sizes.real)
    return np.packbits(blocks, axis=-1, bitorder="little")


def whole_values(weight: Array, sizes: Sizes) -> Array:
    """int8 (O, KH, KW, C) in blocks of four values by block: (blocks, KH, values / 4, block, 4)."""
    flat = weight.reshape(*weight.shape[:2], -1)
    fours = np.zeros((*flat.shape[:2], -(-flat.shape[2] // 4) * 4), np.int8)
    fours[..., : flat.shape[2]] = flat
    blocks = in_blocks(fours, sizes.real)  # (blocks, KH, values, block)
    b, rows, width, f = blocks.shape
    return np.ascontiguousarray(blocks.reshape(b, rows, width // 4, 4, f).transpose(0, 1, 2, 4, 3))
