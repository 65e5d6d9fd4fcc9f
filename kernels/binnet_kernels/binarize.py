"""What turns real numbers into binary ones: signs and their bits, and the scales alpha and K."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .backend import PACKING, WEIGHTS, Late, front_door, in_numpy
from .checks import Float, Halves, Pair, Window, Words

if TYPE_CHECKING:
    from .compiled import sign_maps
    from .compiled.forward import binary_weights as weights
    from .compiled.forward import bits as packing
    from .compiled.forward import scale
    from .reference import xnor as reference
else:
    reference = Late("binnet_kernels.reference.xnor")
    weights = Late("binnet_kernels.compiled.forward.binary_weights")
    packing = Late("binnet_kernels.compiled.forward.bits")
    scale = Late("binnet_kernels.compiled.forward.scale")
    sign_maps = Late("binnet_kernels.compiled.sign_maps")

_SMALLEST = np.float32(2.0**-149)  # above 0


@front_door(PACKING)
def sign(x: Any) -> Float:
    """The signs of real values (arXiv:1603.05279, Eq. 4, with sign(0) = +1).

    Parameters
    ----------
    x : array of real numbers, any shape

    Returns
    -------
    float32, the shape of ``x``
        -1 where x < 0, else +1.

    Raises
    ------
    TypeError
        When ``x`` does not hold real numbers.

    Examples
    --------
    >>> bk.sign([-0.5, 0.0, -0.0, 2.0])
    array([-1.,  1.,  1.,  1.], dtype=float32)
    """
    x = checks.floats(x, "x")
    y: Float = np.empty_like(x)
    (reference.sign if in_numpy() else packing.sign)(x, y)
    return y


@front_door(PACKING)
def pack_signs(x: Any) -> Words:
    """Pack the signs of real values, 64 to a word.

    Parameters
    ----------
    x : array (..., n) of real numbers
        Any shape; the last axis is packed.

    Returns
    -------
    uint64 (..., ceil(n / 64))
        sign(x) of Eq. 4 (arXiv:1603.05279) as bits: 1 where x < 0.

    Raises
    ------
    TypeError
        When ``x`` does not hold real numbers.

    Examples
    --------
    >>> bk.pack_signs([-0.5, 0.0, -3.0, 2.0])  # bits 0 and 2
    array([5], dtype=uint64)
    >>> bk.pack_signs(np.zeros((10, 100))).shape
    (10, 2)
    """
    x = checks.floats(x, "x")
    x = x if x.ndim else x.reshape(1)
    words = np.empty((*x.shape[:-1], -(-x.shape[-1] // 64)), np.uint64)
    (reference.pack_signs if in_numpy() else packing.pack_signs)(x, words)
    return words


@front_door(PACKING)
def unpack_signs(words: Any, n: int) -> Float:
    """The signs in packed words, as floats.

    Parameters
    ----------
    words : uint64 (..., ceil(n / 64))
        As made by :func:`pack_signs`.
    n : int
        How many signs each row holds, at least 0.

    Returns
    -------
    float32 (..., n)
        +1 where the bit is 0, -1 where it is 1.

    Raises
    ------
    TypeError, ValueError
        When ``words`` is not uint64, or its last axis is not ceil(n / 64).

    Examples
    --------
    >>> bk.unpack_signs(np.array([5], np.uint64), 4)
    array([-1.,  1., -1.,  1.], dtype=float32)
    """
    words = checks.packed(words, n)
    x = np.empty((*words.shape[:-1], int(n)), np.float32)
    (reference.unpack_signs if in_numpy() else packing.unpack_signs)(words, x)
    return x


@front_door(PACKING)
def signs(x: Any, padding: Pair = 0, pad_value: int = 0) -> tuple[Halves, Halves]:
    """The signs of images, and where the straight-through gradient passes, as bits.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    padding : int or pair of ints
        The border (ph, pw) of the map of signs.
    pad_value : 0, +1 or -1
        The value of the border. 0 is packed as +1; the convolution subtracts what that adds.

    Returns
    -------
    bits : uint32 (N, H + 2 ph, W + 2 pw, ceil(C / 32))
        1 where x < 0 (Eq. 4 of arXiv:1603.05279, sign(0) = +1, NaN counts as +1), the least significant bit first;
        unused bits are 0.
    within : uint32 (N, H, W, ceil(C / 32))
        1 where |x| <= 1, never for NaN: the straight-through estimator of section 3.1; unused bits are 0.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    x, border, pad_value = checks.floats(x, "x", 4), checks.pair(padding, "padding", 0), checks.pad_value(pad_value)
    bits, within = checks.sign_maps(x.shape, border)
    (reference.signs if in_numpy() else sign_maps.signs)(x, border, pad_value, bits, within)
    return bits, within


@front_door(WEIGHTS)
def weight_alpha(weight: Any) -> Float:
    """The optimal scale of each filter, arXiv:1603.05279, Eq. 6: alpha = ‖W‖₁ / n.

    Parameters
    ----------
    weight : array (O, KH, KW, C) or (O, I) of real numbers

    Returns
    -------
    float32 (O,)
        Mean of |W| over everything but the first axis, at least 0.

    Raises
    ------
    TypeError, ValueError
        When ``weight`` is not real, has fewer than two axes, or no taps.

    Examples
    --------
    >>> bk.weight_alpha([[1.0, -2.0, 3.0], [0.5, 0.5, -0.5]])
    array([2. , 0.5], dtype=float32)
    """
    weight = checks.filters(weight)
    alpha = np.empty(len(weight), np.float32)
    (reference.weight_alpha if in_numpy() else scale.weight_alpha)(weight, alpha)
    return alpha


@front_door(WEIGHTS)
def binary_weights(weight: Any) -> tuple[Words, Float]:
    """All that a binary layer takes from its real weights, in one pass: a bit for each weight, and a scale a filter.

    Parameters
    ----------
    weight : array (O, KH, KW, C) or (O, I) of real numbers
        n weights in each filter.

    Returns
    -------
    signs : uint64 (O, ceil(n / 64))
        Of whole filters, in the order of memory, as :func:`pack_signs` packs rows.
    alpha : float32 (O,)
        The bits of :func:`weight_alpha`.

    Raises
    ------
    TypeError, ValueError
        As :func:`weight_alpha`.
    """
    weight = checks.filters(weight)
    flat = weight.reshape(len(weight), math.prod(weight.shape[1:]))
    signs, alpha = np.empty((len(flat), -(-flat.shape[1] // 64)), np.uint64), np.empty(len(flat), np.float32)
    (reference.binary_weights if in_numpy() else weights.binary_weights)(flat, signs, alpha)
    return signs, alpha


@front_door(WEIGHTS)
def stand_in(signs: Any, alpha: Any, out: Float) -> Float:
    """Real weights that a binary layer cannot tell from those that ``signs`` and ``alpha`` were taken from.

    :func:`binary_weights` of the result is (``signs``, ``alpha``) again, bit for bit: the mean of n times one number,
    summed in float64, is that number.

    Parameters
    ----------
    signs : uint64 (O, ceil(n / 64))
    alpha : array (O,) of real numbers
        From :func:`binary_weights`.
    out : float32 (O, ...), C-contiguous, n weights a filter
        Where to write: ``alpha sign``. A scale of 0 and NaN have their own values for negative signs: the smallest
        subnormal number, whose mean is 0 wherever that of the real weights was, and -1, which leaves a mean of NaN.

    Returns
    -------
    float32 (O, ...)
        ``out``.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    real = checks.filters(out)
    out = checks.output(out, real.shape)
    flat = out.reshape(len(out), math.prod(out.shape[1:]))
    signs = checks.packed(signs, flat.shape[1], "signs", 2)
    if len(signs) != len(flat):
        raise ValueError(f"signs must have {len(flat)} rows, one for each filter of out, got {len(signs)}")
    alpha = checks.floats(alpha, "alpha", shape=(len(flat),))
    below = np.where(np.isnan(alpha), np.float32(-1), np.where(alpha == 0, -_SMALLEST, -alpha))
    (reference.stand_in if in_numpy() else weights.stand_in)(signs, alpha, below, flat)
    return out


@front_door(PACKING)
def scale_map(x: Any, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0) -> Float:
    """The map K of Eq. 11 (arXiv:1603.05279): K = A * k, with A the mean of |x| over channels, k a box filter.

    ``A`` is padded with zeros and divided by ``kh * kw`` everywhere, the border included, as the equation stands.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    kernel_size, stride : int or pair of ints
    padding : int, pair of ints, or four ints (top, bottom, left, right)
        Those of the convolution that K belongs to.

    Returns
    -------
    float32 (N, OH, OW, 1)
        beta of the window at each output pixel; NaN where the window holds one.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or the padded image is smaller than the window.

    Examples
    --------
    >>> bk.scale_map(-np.ones((1, 3, 3, 8)), kernel_size=3, padding=1)[0, :, :, 0]
    array([[0.44444445, 0.6666667 , 0.44444445],
           [0.6666667 , 1.        , 0.6666667 ],
           [0.44444445, 0.6666667 , 0.44444445]], dtype=float32)
    """
    x, window = checks.floats(x, "x", 4), Window.with_border(kernel_size, stride, padding)
    K = np.empty((len(x), *window.output_size(*x.shape[1:3]), 1), np.float32)
    (reference.scale_map if in_numpy() else scale.scale_map)(x, window, K)
    return K
