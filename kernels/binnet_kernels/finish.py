"""What a fused layer does to its sums, described once: scale, bias, a tail of steps, and the limits of its bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .bit_map import check_bits
from .checks import Float

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


def check_map(x: Any, name: str = "x") -> Float:
    """A map to bind to: float32 (N, H, W, C), C-contiguous and writeable; ValueError for anything else."""
    fits = isinstance(x, np.ndarray) and x.dtype == np.float32 and x.ndim == 4 and x.flags.carray
    if not fits:
        raise ValueError(f"{name} must be a writeable, C-contiguous float32 map (N, H, W, C), got {checks.kind(x)}")
    fitting: Float = x
    return fitting


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
    target = check_bits(bits, "bits", shape)
    return floats, target.words.view(np.uint8).ravel(), target.places(), addend, out is not None, True
