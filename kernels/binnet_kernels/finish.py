"""What a fused layer does to its sums, described once: scale, bias, a tail of steps, and the limits of its bits.

A *map of bits* is uint32 (N, H + 2 ph, W + 2 pw, ceil(C / 32)): the signs of images with the border that the next
layer wants, bit 1 for negative, unused bits 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .checks import Float

Bits = npt.NDArray[np.uint32]
Codes = npt.NDArray[np.int64]
Limits = tuple[Float, Float]
Run = Callable[[], Any]  # what binding gives

NORM, RELU, SIGN, ADD, PRELU = range(5)  # the codes of a tail
NORM_ROWS = 3  # of the table: mean, factor, shift
WORDS = {"norm": NORM, "relu": RELU, "prelu": PRELU, "sign": SIGN, "add": ADD}
VECTORS = {"norm": NORM_ROWS, "prelu": 1}  # those after a word, each a row of the table
NONE = np.zeros(1, np.float32)  # what kernels are given in the place of arrays that they do not use
NO_BITS, NO_PLACES = np.zeros(1, np.uint8), np.zeros(1, np.int64)


@dataclass(frozen=True, eq=False)
class Finish:
    """Steps after a sum, in order, and what is written as bits.

    Attributes
    ----------
    steps : sequence of tuples
        ``("norm", mean, factor, shift)`` with arrays (C,): ``(y - mean) * factor + shift``; ``("relu",)``;
        ``("prelu", slope)``: ``slope * y`` where ``y < 0``; ``("sign",)``; ``("add",)``, once at most: plus the
        residual.
    limits : (low, high), each (C,), optional
        A bit is 1 where ``low <= y <= high``, never for NaN.

    Raises
    ------
    ValueError
        For unknown steps and a second ``("add",)``.
    """

    steps: Sequence[tuple[Any, ...]] = ()
    limits: Limits | None = None
    codes: Codes = field(init=False)

    def __post_init__(self) -> None:
        for step in self.steps:
            if step[0] not in WORDS or len(step) != 1 + VECTORS.get(step[0], 0):
                forms = "(norm, mean, factor, shift), (relu,), (prelu, slope), (sign,) or (add,)"
                raise ValueError(f"a step must be {forms}, got {step}")
        codes = np.array([WORDS[step[0]] for step in self.steps], np.int64)
        if (codes == ADD).sum() > 1:
            raise ValueError("a residual can be added once")
        object.__setattr__(self, "codes", codes)

    @property
    def adds(self) -> bool:
        """Whether there is a residual."""
        return ADD in self.codes

    def table(self, c: int, columns: int, *first: Float) -> tuple[Float, int]:
        """All vectors (c,) as rows of ``columns``: ``first``, then those of the steps, then the limits.

        Returns
        -------
        table : float32, flat
        low : int
            Where the row of the lower limits begins, that of the upper ones follows. Between those of the columns from
            ``c`` on there is no number, so that their bits are 0.
        """
        rows = [*first, *(vector for step in self.steps for vector in step[1:])]
        low = len(rows)
        fill = [0.0] * low
        if self.limits is not None:
            rows, fill = [*rows, *self.limits], [*fill, np.inf, -np.inf]
        table = np.empty((len(rows), columns), np.float32)
        for target, row, rest in zip(table, rows, fill):
            target[:c], target[c:] = checks.floats(row, "a vector of a channel", shape=(c,)), rest
        return table.ravel(), low * columns


def bits_shape(shape: tuple[int, ...], padding: tuple[int, int]) -> tuple[int, int, int, int]:
    """The shape of the map of bits of an image (N, H, W, C)."""
    (n, h, w, c), (ph, pw) = shape, padding
    return n, h + 2 * ph, w + 2 * pw, -(-c // 32)


def bits_map(shape: tuple[int, ...], padding: tuple[int, int] = (0, 0), pad_value: int = 0) -> Bits:
    """A map of bits for images (N, H, W, C) whose border is in place; inside all bits are 0.

    A border of 0 is written as +1, which convolutions know how to correct.
    """
    (ph, pw), (_, h, w, c) = padding, shape
    bits = np.zeros(bits_shape(shape, padding), np.uint32)
    if checks.pad_value(pad_value) == -1:
        ones = np.packbits(np.arange(bits.shape[3] * 32) < c, bitorder="little").view("<u4")
        bits[...] = ones
        bits[:, ph : ph + h, pw : pw + w] = 0
    return bits


def check_bits(bits: Any, shape: tuple[int, ...], name: str = "bits") -> tuple[int, int]:
    """The border (ph, pw) of a map of bits of images (N, H, W, C); ValueError when it is none."""
    fits = isinstance(bits, np.ndarray) and bits.dtype == np.uint32 and bits.ndim == 4 and bits.flags.carray
    (n, h, w, c) = shape
    if fits:
        ph, pw = (bits.shape[1] - h) // 2, (bits.shape[2] - w) // 2
        if min(ph, pw) >= 0 and bits.shape == bits_shape((n, h, w, c), (ph, pw)):
            return ph, pw
    got = f"{bits.dtype} {bits.shape}" if isinstance(bits, np.ndarray) else type(bits).__name__
    raise ValueError(f"{name} must be a map of bits of an image {tuple(shape)}, got {got}")


def check_map(x: Any, name: str = "x") -> Float:
    """A map to bind to: float32 (N, H, W, C), C-contiguous and writeable; ValueError for anything else."""
    fits = isinstance(x, np.ndarray) and x.dtype == np.float32 and x.ndim == 4 and x.flags.carray
    if not fits:
        got = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise ValueError(f"{name} must be a writeable, C-contiguous float32 map (N, H, W, C), got {got}")
    fitting: Float = x
    return fitting


def places(shape: tuple[int, ...], border: tuple[int, int]) -> npt.NDArray[np.int64]:
    """The first byte of each pixel of images (N, H, W, C), one after the other, in their map of bits."""
    (n, h, w, _), (ph, pw) = shape, border
    _, high, wide, halves = bits_shape(shape, border)
    image, row, col = np.arange(n) * high, np.arange(h) + ph, np.arange(w) + pw
    return (((image[:, None, None] + row[:, None]) * wide + col) * (4 * halves)).ravel()


def interior(bits: Bits, border: tuple[int, int]) -> Bits:
    """A view without the border."""
    ph, pw = border
    return bits[:, ph : bits.shape[1] - ph, pw : bits.shape[2] - pw]


def outputs(
    finish: Finish, shape: tuple[int, ...], out: Any, bits: Any, residual: Any
) -> tuple[Float, npt.NDArray[np.uint8], npt.NDArray[np.int64], Float, bool, bool]:
    """Flat forms of what a fused layer of this output shape writes and adds, checked."""
    if (bits is None) != (finish.limits is None):
        raise ValueError("a map of bits is written exactly where there are limits")
    if finish.adds != (residual is not None):
        raise ValueError("a residual is needed exactly where one is added")
    floats = NONE if out is None else checks.output(out, shape).ravel()
    addend = NONE if residual is None else checks.floats(residual, "residual", shape=shape).ravel()
    if bits is None:
        return floats, NO_BITS, NO_PLACES, addend, out is not None, False
    border = check_bits(bits, shape)
    return floats, bits.view(np.uint8).ravel(), places(shape, border), addend, out is not None, True
