"""What a public function asks of its arguments, checked once, in one sentence when it fails.

Both backends call these, so they accept and refuse the same input. Compiled code behind them checks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
Halves = npt.NDArray[np.uint32]
Winners = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int32]

Pair = int | Sequence[int]
Border = tuple[int, int, int, int]  # top, bottom, left, right
NO_BORDER = (0, 0, 0, 0)
Affine = tuple[Float, Float, Float]  # mean, factor, shift of a normalisation ``(x - mean) factor + shift``

T = TypeVar("T", bound=np.generic)


# ---------------------------------------------------------------------------------------------- windows


def pair(value: Pair, name: str, least: int) -> tuple[int, int]:
    """An int or a pair of ints (vertical, horizontal), each at least ``least``."""
    both = _several(value, 2)
    if len(both) != 2 or not _are_whole(both, least):
        raise ValueError(f"{name} must be an int or a pair of ints, each at least {least}, got {value!r}")
    return int(both[0]), int(both[1])


def border(padding: Pair) -> Border:
    """(top, bottom, left, right) of an int, a pair (vertical, horizontal), or these four ints."""
    four = _several(padding, 4)
    if len(four) == 2:
        four = (four[0], four[0], four[1], four[1])
    if len(four) != 4 or not _are_whole(four, 0):
        forms = "an int or a pair of ints, each at least 0, or four of them (top, bottom, left, right)"
        raise ValueError(f"padding must be {forms}, got {padding!r}")
    return int(four[0]), int(four[1]), int(four[2]), int(four[3])


def _several(value: Pair, count: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (Sequence, np.ndarray)) else (value,) * count


def _are_whole(values: tuple[Any, ...], least: int) -> bool:
    return all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v >= least for v in values)


@dataclass(frozen=True)
class Window:
    """A filter that slides over an image.

    Attributes
    ----------
    size, stride : (vertical, horizontal)
    border : (top, bottom, left, right)
        Rows and columns around the image.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    border: Border

    @classmethod
    def of(cls, size: Pair, stride: Pair, padding: Pair) -> Window:
        """With as much padding below as above and right as left: an int or a pair (vertical, horizontal)."""
        return cls.with_border(size, stride, pair(padding, "padding", 0))

    @classmethod
    def with_border(cls, size: Pair, stride: Pair, padding: Pair) -> Window:
        """With padding as in :func:`border`: also four ints."""
        return cls(pair(size, "kernel_size", 1), pair(stride, "stride", 1), border(padding))

    @property
    def padding(self) -> tuple[int, int]:
        """Rows above and columns left of the image; with :meth:`of` there are as many below and right."""
        return self.border[0], self.border[2]

    def padded(self, h: int, w: int) -> tuple[int, int]:
        """Rows and columns of an image with its border."""
        top, bottom, left, right = self.border
        return top + h + bottom, left + w + right

    def bordered(self, x: npt.NDArray[T], value: float = 0.0) -> npt.NDArray[T]:
        """Images with this border, which holds ``value``; for the NumPy forms."""
        top, bottom, left, right = self.border
        return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)

    def patches(self, padded: npt.NDArray[T]) -> npt.NDArray[T]:
        """What the filter sees of padded images at each place, as a view (N, OH, OW, C, KH, KW)."""
        view = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=(1, 2))
        return view[:, :: self.stride[0], :: self.stride[1]]

    def sum_over_taps(self, of_tap: Callable[[int, int], Float], x_shape: tuple[int, ...]) -> Float:
        """Images whose pixels sum up what the taps that read them send, ``of_tap(r, s)`` (N, OH, OW, C) of each tap."""
        (n, h, w, c), (top, _, left, _), (sh, sw) = x_shape, self.border, self.stride
        padded, (oh, ow) = np.zeros((n, *self.padded(h, w), c), np.float32), self.output_size(h, w)
        for r in range(self.size[0]):
            for s in range(self.size[1]):
                padded[:, r : r + sh * oh : sh, s : s + sw * ow : sw] += of_tap(r, s)
        return padded[:, top : top + h, left : left + w]

    def output_size(self, h: int, w: int) -> tuple[int, int]:
        """Rows and columns of the result; ValueError when the padded image is smaller than the filter."""
        (kh, kw), (sh, sw), (top, bottom, left, right) = self.size, self.stride, self.border
        high, wide = top + h + bottom, left + w + right  # as `padded`, without the time of a call
        if high < kh or wide < kw:
            around = self.padding if self.padding == self.border[1::2] else self.border
            raise ValueError(f"an image of {h}x{w} with padding {around} is smaller than the filter of {kh}x{kw}")
        return (high - kh) // sh + 1, (wide - kw) // sw + 1


# ---------------------------------------------------------------------------------------------- arrays


def floats(value: Any, name: str, ndim: int | None = None, shape: tuple[int, ...] | None = None) -> Float:
    """``value`` as a C-contiguous, writeable float32 array, copied only when it is something else.

    Real numbers of any width are taken (float64 is rounded). Anything else is a TypeError, a wrong number of
    dimensions or a wrong shape a ValueError.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {array.shape}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return plain(array, np.dtype(np.float32))


def words(value: Any, name: str, ndim: int | None = None) -> Words:
    """``value`` as a C-contiguous, writeable uint64 array; TypeError for any other dtype."""
    array = np.asarray(value)
    if array.dtype != np.uint64:
        raise TypeError(f"{name} must be an array of uint64 words, got dtype {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {array.shape}")
    return plain(array, np.dtype(np.uint64))


def half_words(value: Any, name: str, shape: tuple[int, ...]) -> Halves:
    """``value`` as a C-contiguous, writeable uint32 array of that shape; TypeError for any other dtype."""
    array = np.asarray(value)
    if array.dtype != np.uint32:
        raise TypeError(f"{name} must be an array of uint32 half words, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return plain(array, np.dtype(np.uint32))


def halves_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the bits of an array (..., C), 32 channels to a half word."""
    return *shape[:-1], -(-shape[-1] // 32)


def output(out: Any, shape: tuple[int, ...]) -> Float:
    """The array to write to: a new one, or the caller's when it is exactly what is needed."""
    if out is None:
        return fresh(shape)
    fits = isinstance(out, np.ndarray) and out.shape == shape and out.dtype == np.float32
    if not (fits and out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(f"out must be a writeable, C-contiguous float32 array of shape {shape}, got {kind(out)}")
    fitting: Float = out
    return fitting


def in_place(array: Any, name: str, shape: tuple[int, ...]) -> None:
    """An array that a kernel may change: float32 of that shape, C-contiguous and writeable."""
    if not (isinstance(array, np.ndarray) and array.dtype == np.float32):
        raise TypeError(f"{name} is changed in place and must be a float32 array, got {kind(array)}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise ValueError(f"{name} is changed in place and must be C-contiguous and writeable")


def fresh(shape: tuple[int, ...]) -> Float:
    """A new array from the start of a cache line on, so that no vector lies in two of them."""
    size = math.prod(shape)
    buffer = np.empty(size + 16, np.float32)
    # A cache line has 64 bytes; at most 15 floats are skipped to begin at one.
    first = -buffer.ctypes.data % 64 // 4
    return buffer[first : first + size].reshape(shape)


def kind(value: Any) -> str:
    """What an error message says that it got."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def pad_value(value: float) -> int:
    """The value of the border of a binary convolution: 0, +1 or -1."""
    if value not in (0, 1, -1):
        raise ValueError(f"pad_value must be 0, +1 or -1, got {value!r}")
    return int(value)


def count(value: Any, name: str, least: int = 0) -> int:
    """A whole number of at least ``least``, as a Python int; ValueError for anything else."""
    if not _are_whole((value,), least):
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def whole_bits(bits: Any, name: str) -> int:
    """A number of bits from 1 to 8, as a Python int; ValueError for anything else."""
    whole = isinstance(bits, (int, np.integer)) and not isinstance(bits, bool)
    if not (whole and 1 <= bits <= 8):
        raise ValueError(f"{name} must be a whole number from 1 to 8, got {bits!r}")
    return int(bits)  # NumPy integers of 8 bits would overflow in 1 << bits


def levels(bits: Any, name: str) -> int:
    """L = 2^k - 1 of a number of bits k, from 1 to 8: steps between the lowest and the highest level."""
    return (1 << whole_bits(bits, name)) - 1


def cuts(value: Any, n: int) -> tuple[int, ...]:
    """Where micro-batches of ``n`` images end, from the start of the first on; None: they are a single one."""
    if value is None:
        return 0, n
    ends = tuple(value) if isinstance(value, (Sequence, np.ndarray)) else ()
    if len(ends) < 2 or not _are_whole(ends, 0) or any(a > b for a, b in pairwise((*ends, n))):
        rule = f"at least two whole numbers from 0 to {n} (the images) that never fall"
        raise ValueError(f"cuts must be {rule}, got {value!r}")
    return tuple(int(end) for end in ends)


def image_shape(x_shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape (N, H, W, C)."""
    if len(x_shape) != 4:
        raise ValueError(f"x_shape must be (N, H, W, C), got {tuple(x_shape)}")
    return tuple(x_shape)


def bits_shape(shape: tuple[int, ...], border: Border) -> tuple[int, ...]:
    """The shape of the bits of images (N, H, W, C) with a border, 32 channels to a half word."""
    (n, h, w, c), (top, bottom, left, right) = shape, border
    return halves_shape((n, top + h + bottom, left + w + right, c))


def sign_maps(x_shape: tuple[int, ...], border: tuple[int, int]) -> tuple[Halves, Halves]:
    """Room for the signs of images with a border (vertical, horizontal), and for a bit of each value."""
    (ph, pw), halves = border, np.uint32
    return np.empty(bits_shape(x_shape, (ph, ph, pw, pw)), halves), np.empty(halves_shape(x_shape), halves)


def border_halves(c: int, pad_value: int) -> Halves:
    """The half words of a pixel of the border: all ``c`` signs those of ``pad_value``, +1 for 0."""
    # Unused bits are 0 here and in the weights: they never differ, so counts need no mask.
    negative = np.arange(-(-c // 32) * 32) < (c if pad_value < 0 else 0)
    return np.packbits(negative, bitorder="little").view(np.uint32)


def map_of_bits(bits: Any, x_shape: tuple[int, ...], border: Border, *planes: int) -> Halves:
    """The signs of images (N, H, W, C) with their border: uint32 (*planes, N, H + 2 ph, W + 2 pw, ceil(C / 32))."""
    for number in planes:
        levels(number, "number of planes")
    return half_words(bits, "bits", (*planes, *bits_shape(image_shape(x_shape), border)))


def same_channels(x_shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> None:
    """The last axis of the input must be the last axis of the weights."""
    if x_shape[-1] != weight_shape[-1]:
        raise ValueError(
            f"x has {x_shape[-1]} channels (shape {tuple(x_shape)}), the weights expect {weight_shape[-1]}"
        )


def plain(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """``array`` as compiled code reads it, copied only when it is something else."""
    if array.dtype == dtype and array.flags.carray:  # np.require alone takes 2 µs to find that out
        return array
    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def packed(value: Any, n: int, name: str = "words", ndim: int | None = None) -> Words:
    """Packed signs (..., ceil(n/64)); ValueError when the number of words does not fit ``n``."""
    array = words(np.atleast_1d(value), name, ndim)
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 0:
        raise ValueError(f"n must be a whole number of signs, at least 0, got {n!r}")
    if array.shape[-1] != -(-int(n) // 64):
        raise ValueError(f"{name} must end in ceil({n}/64) = {-(-int(n) // 64)} words, got shape {array.shape}")
    return array


def filters(weight: Any, ndim: int | None = None) -> Float:
    """Real weights (O, KH, KW, C) or (O, I), none of the axes but O empty."""
    real = floats(weight, "weight", ndim)
    if real.ndim < 2 or 0 in real.shape[1:]:
        raise ValueError(f"weight must be (O, KH, KW, C) or (O, I) with at least one tap, got shape {real.shape}")
    return real


def alpha(value: Any, weight: Float, optimal: Callable[[Float], Float]) -> Float:
    """Scales (O,): True is ``optimal(weight)``, the mean of |W| (Eq. 6), False is 1, an array is itself."""
    if isinstance(value, (bool, np.bool_)):
        return optimal(weight) if value else np.ones(len(weight), np.float32)
    # A copy, so that a prepared layer does not change with the caller's array.
    return floats(value, "alpha", shape=(len(weight),)).copy()


def bias(value: Any, o: int) -> Float | None:
    """What is added to each output channel (O,), or None."""
    return None if value is None else floats(value, "bias", shape=(o,)).copy()


def conv_grad(grad: Any, x_shape: tuple[int, ...], weight_shape: tuple[int, ...], window: Window) -> Float:
    """The gradient of a convolution's output: (N, OH, OW, O)."""
    if len(x_shape) != 4 or len(weight_shape) != 4 or x_shape[3] != weight_shape[3]:
        raise ValueError(f"x {tuple(x_shape)} and weight {tuple(weight_shape)} must be (N, H, W, C) and (O, KH, KW, C)")
    return floats(grad, "grad", shape=(x_shape[0], *window.output_size(*x_shape[1:3]), weight_shape[0]))
