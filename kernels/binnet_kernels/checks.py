"""What a public function asks of its arguments, checked once, in one sentence when it fails.

Both backends call these, so they accept and refuse the same input. Compiled code behind them checks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .window import NO_BORDER as NO_BORDER
from .window import Border as Border
from .window import Pair as Pair
from .window import Window as Window
from .window import pair as pair

Float = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]
Halves = npt.NDArray[np.uint32]
Winners = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int32]

WEIGHT_GRADIENTS = ("exact", "paper", "plain")


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
    return _plain(array, np.dtype(np.float32))


def words(value: Any, name: str, ndim: int | None = None) -> Words:
    """``value`` as a C-contiguous, writeable uint64 array; TypeError for any other dtype."""
    array = np.asarray(value)
    if array.dtype != np.uint64:
        raise TypeError(f"{name} must be an array of uint64 words, got dtype {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {array.shape}")
    return _plain(array, np.dtype(np.uint64))


def half_words(value: Any, name: str, shape: tuple[int, ...]) -> Halves:
    """``value`` as a C-contiguous, writeable uint32 array of that shape; TypeError for any other dtype."""
    array = np.asarray(value)
    if array.dtype != np.uint32:
        raise TypeError(f"{name} must be an array of uint32 half words, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return _plain(array, np.dtype(np.uint32))


def halves_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the bits of an array (..., C), 32 channels to a half word."""
    return *shape[:-1], -(-shape[-1] // 32)


def labels(value: Any, n: int, classes: int) -> npt.NDArray[np.int64]:
    """Class numbers (n,) in [0, classes), as int64."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got dtype {array.dtype}")
    if array.shape != (n,):
        raise ValueError(f"labels must have shape {(n,)}, got {array.shape}")
    if n and not (0 <= array.min() and array.max() < classes):
        raise ValueError(f"labels must lie in 0…{classes - 1}, got {array.min()}…{array.max()}")
    return np.array(array, np.int64)


def output(out: Any, shape: tuple[int, ...]) -> Float:
    """The array to write to: a new one, or the caller's when it is exactly what is needed."""
    if out is None:
        return fresh(shape)
    fits = isinstance(out, np.ndarray) and out.shape == shape and out.dtype == np.float32
    if not (fits and out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(f"out must be a writeable, C-contiguous float32 array of shape {shape}, got {kind(out)}")
    fitting: Float = out
    return fitting


def fresh(shape: tuple[int, ...]) -> Float:
    """A new array from the start of a cache line on, so that no vector lies in two of them."""
    size = math.prod(shape)
    buffer = np.empty(size + 16, np.float32)
    # A cache line has 64 bytes; at most 15 floats are skipped to begin at one.
    first = -buffer.ctypes.data % 64 // 4
    return buffer[first : first + size].reshape(shape)


def in_place(array: Any, name: str, shape: tuple[int, ...]) -> Float:
    """An array that a kernel may change: float32 of that shape, C-contiguous and writeable."""
    if not (isinstance(array, np.ndarray) and array.dtype == np.float32):
        raise TypeError(f"{name} is changed in place and must be a float32 array, got {kind(array)}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise ValueError(f"{name} is changed in place and must be C-contiguous and writeable")
    return array


def kind(value: Any) -> str:
    """What an error message says that it got."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def pad_value(value: float) -> int:
    """The value of the border of a binary convolution: 0, +1 or -1."""
    if value not in (0, 1, -1):
        raise ValueError(f"pad_value must be 0, +1 or -1, got {value!r}")
    return int(value)


def levels(bits: Any, name: str) -> int:
    """L = 2^k - 1 of a number of bits k, from 1 to 8: steps between the lowest and the highest level."""
    whole = isinstance(bits, (int, np.integer)) and not isinstance(bits, bool)
    if not (whole and 1 <= bits <= 8):
        raise ValueError(f"{name} must be a whole number from 1 to 8, got {bits!r}")
    return int((1 << int(bits)) - 1)


def image_shape(x_shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape (N, H, W, C)."""
    if len(x_shape) != 4:
        raise ValueError(f"x_shape must be (N, H, W, C), got {tuple(x_shape)}")
    return tuple(x_shape)


def bits_shape(shape: tuple[int, ...], border: Border) -> tuple[int, ...]:
    """The shape of the bits of images (N, H, W, C) with a border, 32 channels to a half word."""
    (n, h, w, c), (top, bottom, left, right) = shape, border
    return halves_shape((n, top + h + bottom, left + w + right, c))


def map_of_bits(bits: Any, x_shape: tuple[int, ...], border: Border, *planes: int) -> Halves:
    """The signs of images (N, H, W, C) with their border: uint32 (*planes, N, H + 2 ph, W + 2 pw, ceil(C / 32))."""
    for number in planes:
        levels(number, "number of planes")
    return half_words(bits, "bits", (*planes, *bits_shape(image_shape(x_shape), border)))


def same_channels(x: npt.NDArray[Any], weight_shape: tuple[int, ...]) -> None:
    """The last axis of the input must be the last axis of the weights."""
    same_depth(x.shape, weight_shape)


def same_depth(x_shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> None:
    """The same of an input that is known by its shape."""
    if x_shape[-1] != weight_shape[-1]:
        raise ValueError(
            f"x has {x_shape[-1]} channels (shape {tuple(x_shape)}), the weights expect {weight_shape[-1]}"
        )


def _plain(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
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


def rule(value: str) -> str:
    """The name of a rule for the gradient of a binary weight."""
    if value not in WEIGHT_GRADIENTS:
        raise ValueError(f"unknown weight_gradient {value!r}; there are: {', '.join(WEIGHT_GRADIENTS)}")
    return value


def bias(value: Any, o: int) -> Float | None:
    """What is added to each output channel (O,), or None."""
    return None if value is None else floats(value, "bias", shape=(o,)).copy()


def conv_grad(grad: Any, x_shape: tuple[int, ...], weight_shape: tuple[int, ...], window: Window) -> Float:
    """The gradient of a convolution's output: (N, OH, OW, O)."""
    if len(x_shape) != 4 or len(weight_shape) != 4 or x_shape[3] != weight_shape[3]:
        raise ValueError(f"x {tuple(x_shape)} and weight {tuple(weight_shape)} must be (N, H, W, C) and (O, KH, KW, C)")
    return floats(grad, "grad", shape=(x_shape[0], *window.output_size(*x_shape[1:3]), weight_shape[0]))


def pool_window(kernel_size: Pair, stride: Pair | None, padding: Pair) -> Window:
    """A pooling window; the stride is the window itself unless given, the padding less than the window."""
    window = Window.of(kernel_size, kernel_size if stride is None else stride, padding)
    if window.padding[0] >= window.size[0] or window.padding[1] >= window.size[1]:
        raise ValueError(f"padding must be smaller than the pooling window {window.size}, got {window.padding}")
    return window


def pool_grad(grad: Any, x_shape: tuple[int, ...], window: Window) -> Float:
    """The gradient of a pooling's output: (N, OH, OW, C)."""
    if len(x_shape) != 4:
        raise ValueError(f"x must be (N, H, W, C), got {tuple(x_shape)}")
    return floats(grad, "grad", shape=(x_shape[0], *window.output_size(*x_shape[1:3]), x_shape[3]))


def winners_shape(x_shape: tuple[int, ...], window: Window) -> tuple[int, int, int, int]:
    """The shape of the numbers of the winning taps of images (N, H, W, C), which must fit 16 bits."""
    if window.size[0] * window.size[1] > 1 << 16:
        raise ValueError(f"a pooling window has at most 65,536 taps, got {window.size[0]}x{window.size[1]}")
    oh, ow = window.output_size(*x_shape[1:3])
    return x_shape[0], oh, ow, -(-x_shape[3] // 32) * 32


def winners(value: Any, x_shape: tuple[int, ...], window: Window) -> Winners:
    """Winners as a max-pooling has given them."""
    array, shape = np.asarray(value), winners_shape(x_shape, window)
    if array.dtype != np.uint16:
        raise TypeError(f"winners must be an array of uint16, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"winners must have shape {shape}, got {array.shape}")
    return _plain(array, np.dtype(np.uint16))


def channels(x: Any, **vectors: Any) -> tuple[Float, ...]:
    """``x`` (..., C) and vectors (C,) that belong to its last axis."""
    x = floats(x, "x")
    if x.ndim < 2:
        raise ValueError(f"x must be (..., C) with at least 2 dimensions, got shape {x.shape}")
    return x, *(floats(v, name, shape=(x.shape[-1],)) for name, v in vectors.items())


def smoothing(value: float) -> np.float32:
    """The share of the target that label smoothing spreads over all classes, in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"label_smoothing must lie in [0, 1), got {value!r}")
    return np.float32(value)


def rows(x: Float) -> tuple[int, int]:
    """Rows and channels of ``x`` (..., C), of which there must be some to take a mean."""
    if x.size == 0:
        raise ValueError(f"x must hold at least one row and one channel, got shape {x.shape}")
    return x.size // x.shape[-1], x.shape[-1]
