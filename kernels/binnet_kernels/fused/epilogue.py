"""The epilogue of a fused layer, that is, what follows a sum while it is in registers, and where its results go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import Float
from .bit_map import BitMap, check_bits

Codes = npt.NDArray[np.int64]
Limits = tuple[Float, Float]
Run = Callable[[], Any]  # what binding gives

NORM, RELU, SIGN, ADD, PRELU = range(5)  # the codes of the steps
NORM_ROWS = 3  # of the table: mean, factor, shift
WORDS = {"norm": NORM, "relu": RELU, "prelu": PRELU, "sign": SIGN, "add": ADD}
VECTORS = {"norm": NORM_ROWS, "prelu": 1}  # those after a word, each a row of the table
NONE = np.zeros(1, np.float32)  # what kernels are given in the place of arrays that they do not use
NO_BITS, NO_PLACES = np.zeros(1, np.uint8), np.zeros(1, np.int64)


@dataclass(frozen=True, eq=False)
class Epilogue:
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
            if not step or step[0] not in WORDS or len(step) != 1 + VECTORS.get(step[0], 0):
                forms = "(norm, mean, factor, shift), (relu,), (prelu, slope), (sign,) or (add,)"
                raise ValueError(f"a step must be {forms}, got {step}")
        codes = np.array([WORDS[step[0]] for step in self.steps], np.int64)
        if (codes == ADD).sum() > 1:
            raise ValueError("a residual can be added once")
        if self.limits is not None and len(self.limits) != 2:
            raise ValueError(f"limits must be two vectors (low, high), got {len(self.limits)}")
        object.__setattr__(self, "codes", codes)

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


@dataclass(frozen=True, eq=False)
class Arrays:
    """The arrays of a fused layer's output (N, OH, OW, O), as :func:`check_arrays` has found them right.

    Attributes
    ----------
    shape : (N, OH, OW, O)
    out : float32 of that shape, optional
        Where floats are written.
    bits : BitMap, optional
        Where bits are written.
    residual : float32 of that shape, optional
        What the step ``("add",)`` adds.
    """

    shape: tuple[int, ...]
    out: Float | None = None
    bits: BitMap | None = None
    residual: Float | None = None

    def flat(self) -> tuple[Float, Float, npt.NDArray[np.uint8], npt.NDArray[np.int64], bool, bool]:
        """The residual, floats, bits and the places of their pixels for a kernel, and which of both it writes."""
        residual, out = (NONE if array is None else array.ravel() for array in (self.residual, self.out))
        if self.bits is None:
            return residual, out, NO_BITS, NO_PLACES, self.out is not None, False
        words = self.bits.words.view(np.uint8).ravel()
        return residual, out, words, self.bits.places(), self.out is not None, True


def check_arrays(epilogue: Epilogue, shape: tuple[int, ...], out: Any, bits: Any, residual: Any) -> Arrays:
    """What a fused layer of this output shape writes and adds; ValueError when an array does not fit."""
    # Kernels check nothing, and would read or write past the empty arrays that stand for a missing one.
    if (bits is None) != (epilogue.limits is None):
        raise ValueError("a map of bits is written exactly where there are limits")
    if (ADD in epilogue.codes) != (residual is not None):
        raise ValueError("a residual is needed exactly where one is added")
    return Arrays(
        shape,
        None if out is None else checks.output(out, shape),
        None if bits is None else check_bits(bits, "bits", shape),
        None if residual is None else checks.floats(residual, "residual", shape=shape),
    )


def check_vector(value: Any, name: str, c: int, kinds: str) -> npt.NDArray[Any]:
    """A vector with a value for each of ``c`` channels, of one of NumPy's ``kinds``; ValueError for anything else."""
    vector = np.asarray(value)
    # The compiled forms read `c` values without looking at the length.
    if vector.shape != (c,) or vector.dtype.kind not in kinds:
        words = "booleans" if kinds == "b" else "whole numbers"
        raise ValueError(f"{name} must be {c} {words}, got {checks.kind(vector)}")
    return vector


def check_map(x: Any, name: str = "x") -> Float:
    """A map to bind to: float32 (N, H, W, C), C-contiguous and writeable; ValueError for anything else."""
    # No conversion: it would make a copy, and later changes of the caller's array would not be seen.
    fits = isinstance(x, np.ndarray) and x.dtype == np.float32 and x.ndim == 4 and x.flags.carray
    if not fits:
        raise ValueError(f"{name} must be a writeable, C-contiguous float32 map (N, H, W, C), got {checks.kind(x)}")
    fitting: Float = x
    return fitting
