"""Products of signs with signs: matrices, convolutions and dense layers of bits, and the gradients of convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .backend import FLOAT_GRADIENTS, POPCOUNT, WEIGHTS, Late, Work, front_door, in_numpy
from .binarize import pack_signs, weight_alpha
from .checks import Float, Ints, Pair, Window

if TYPE_CHECKING:
    from .compiled.backward import sign_grad as compiled_gradients
    from .compiled.forward import gemm
    from .compiled.forward import xnor as compiled
    from .reference import conv as gradients
    from .reference import xnor as reference
else:
    reference = Late("binnet_kernels.reference.xnor")
    gradients = Late("binnet_kernels.reference.conv")
    compiled_gradients = Late("binnet_kernels.compiled.backward.sign_grad")
    gemm = Late("binnet_kernels.compiled.forward.gemm")
    compiled = Late("binnet_kernels.compiled.forward.xnor")


@front_door(POPCOUNT, lambda dots, a, b, n: dots.size * n)
def xnor_gemm(a: Any, b: Any, n: int) -> Ints:
    """Dot products of rows of packed signs: ``n - 2 * popcount(a ^ b)``.

    Parameters
    ----------
    a : uint64 (M, ceil(n / 64)),  b : uint64 (N, ceil(n / 64))
        Signs from :func:`pack_signs`; unused bits of the last word must be equal in both (0 there).
    n : int
        Number of signs in a row, at least 0.

    Returns
    -------
    int32 (M, N)
        Exact; in [-n, n].

    Raises
    ------
    TypeError, ValueError
        When an argument is not uint64, not two-dimensional, or its rows are not ceil(n / 64) words.

    Examples
    --------
    >>> x, w = np.array([[1.0, -2.0, 3.0]]), np.array([[4.0, 5.0, -6.0], [1.0, -1.0, 1.0]])
    >>> bk.xnor_gemm(bk.pack_signs(x), bk.pack_signs(w), n=3)
    array([[-1,  3]], dtype=int32)
    """
    a, b = checks.packed(a, n, "a", 2), checks.packed(b, n, "b", 2)
    dots = np.empty((len(a), len(b)), np.int32)
    (reference.xnor_gemm if in_numpy() else gemm.xnor_gemm)(a, b, int(n), dots)
    return dots


def multiply_adds(y: Float, plan: Any, *_: Any, **__: Any) -> int:
    """How many multiply-adds a call of the layer ``plan`` with result ``y`` makes."""
    products: int = y.size * math.prod(plan.shape[1:])
    return products


@front_door(WEIGHTS, __call__=Work(POPCOUNT, multiply_adds), convolve_bits=Work(POPCOUNT, multiply_adds))
class XnorConv2d:
    """A convolution of signs with signs, prepared for one set of weights (arXiv:1603.05279, Eq. 11).

    ``y = (sign(x) * sign(W)) . K . alpha``, computed with XOR and popcount; the weights are kept as bits only.

    Parameters
    ----------
    weight : array (O, KH, KW, C) of real numbers
    stride, padding : int or pair of ints
        Vertical and horizontal; stride at least 1, padding at least 0.
    pad_value : 0, +1 or -1
        What the border holds. The paper does not say. 0, as in a float convolution, is exact: the border is packed as
        +1 and what that adds is subtracted (ADR 0004).
    alpha : bool or array (O,)
        True: mean of |W| for each filter (Eq. 6). False: 1. An array: these scales.
    use_k : bool
        Multiply by the map K of Eq. 11.
    bias : array (O,), optional
        Added at the end; the paper has none.

    Attributes
    ----------
    alpha : float32 (O,)
    weight_signs : uint64 (O, KH, KW, ceil(C / 64))
        sign(W) as from :func:`pack_signs`, for the gradient.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(
        self,
        weight: Any,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = True,
        use_k: bool = False,
        bias: Any = None,
    ) -> None:
        weight = checks.filters(weight, 4)
        self.window = Window.of(weight.shape[1:3], stride, padding)
        self.pad_value, self.use_k, self.shape = checks.pad_value(pad_value), bool(use_k), weight.shape
        self.alpha, self.bias = checks.alpha(alpha, weight, weight_alpha), checks.bias(bias, len(weight))
        self.weight_signs = pack_signs(weight)
        options = self.window, self.pad_value, self.alpha, self.use_k, self.bias
        form = reference.XnorConv2d if in_numpy() else compiled.XnorConv2d
        self._form = form(self.weight_signs, self.shape, *options)

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Convolve images.

        Parameters
        ----------
        x : array (N, H, W, C) of real numbers
        out : float32 (N, OH, OW, O), C-contiguous, optional
            Where to write.

        Returns
        -------
        float32 (N, OH, OW, O)
            NaN in ``x`` counts as +1; with ``use_k`` it reaches K and so every output that sees it.

        Raises
        ------
        TypeError, ValueError
            When ``x`` or ``out`` has the wrong type or shape.
        """
        x = checks.floats(x, "x", 4)
        checks.same_channels(x.shape, self.shape)
        y = checks.output(out, (len(x), *self.window.output_size(*x.shape[1:3]), self.shape[0]))
        self._form(x, y)
        return y

    def convolve_bits(self, bits: Any, x_shape: tuple[int, ...], relu: bool = False, out: Any = None) -> Float:
        """Convolve the signs of images that are packed already.

        Parameters
        ----------
        bits : uint32 (N, H + 2 ph, W + 2 pw, ceil(C / 32))
            Half words of signs, with the border of this plan, from :func:`signs`.
        x_shape : (N, H, W, C)
        relu : bool
            Whether results below 0 become 0.
        out : float32 (N, OH, OW, O), C-contiguous, optional
            Where to write.

        Returns
        -------
        float32 (N, OH, OW, O)
            The same floats, bit for bit, as ``plan(x)``, with the ReLU if asked.

        Raises
        ------
        TypeError, ValueError
            When an argument has the wrong type or shape, or the plan multiplies by K.
        """
        # K is a mean of |x|, and the signs hold no magnitudes.
        if self.use_k:
            raise ValueError("K cannot be computed from signs: with use_k=True call the layer on real images")
        bits = checks.map_of_bits(bits, x_shape, self.window.border)
        checks.same_channels(x_shape, self.shape)
        y = checks.output(out, (x_shape[0], *self.window.output_size(*x_shape[1:3]), self.shape[0]))
        self._form.convolve_bits(bits, tuple(x_shape), bool(relu), y)
        return y


@front_door(WEIGHTS)
class XnorLinear:
    """A dense layer of signs: ``y = sign(x) · sign(W) . beta . alpha`` (arXiv:1603.05279, Eq. 10).

    Parameters
    ----------
    weight : array (O, I) of real numbers
    alpha : bool or array (O,)
        As in :class:`XnorConv2d`.
    use_k : bool
        Multiply each row by beta, the mean of |x| over it.
    bias : array (O,), optional
        Added at the end.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(self, weight: Any, alpha: Any = True, use_k: bool = False, bias: Any = None) -> None:
        weight = checks.filters(weight, 2)
        conv = XnorConv2d(weight[:, None, None], alpha=alpha, use_k=use_k, bias=bias)
        self.shape, self.alpha, self.use_k, self._form = weight.shape, conv.alpha, conv.use_k, conv._form

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Rows (N, I) of real numbers to float32 (N, O); errors and ``out`` as in :class:`XnorConv2d`."""
        return rows_as_pixels(self._form, x, self.shape, out)


def rows_as_pixels(convolve: Callable[[Float, Float], Any], x: Any, shape: tuple[int, ...], out: Any) -> Float:
    """A dense layer with weights of ``shape`` (O, I) is a 1x1 convolution over images of one pixel."""
    x = checks.floats(x, "x", 2)
    checks.same_channels(x.shape, shape)
    y = checks.output(out, (len(x), shape[0]))
    convolve(x[:, None, None], y[:, None, None])
    return y


# ---------------------------------------------------------------------------------------------- gradients


@front_door(FLOAT_GRADIENTS, lambda grad_weight, bits, grad, *_, **__: grad.size * grad_weight[:1].size)
def sign_grad_weight(
    bits: Any,
    grad: Any,
    weight_shape: tuple[int, ...],
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    out: Any = None,
    cuts: Sequence[int] | None = None,
) -> Float:
    """Gradient of a convolution of sign(x) with respect to its weights W̃ (arXiv:1603.05279, section 3.1).

    Parameters
    ----------
    bits : uint32 (N, H + 2 ph, W + 2 pw, ceil(C / 32))
        sign(x) with its border, from :func:`signs`.
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight_shape : (O, KH, KW, C)
    x_shape : (N, H, W, C)
    stride, padding : int or pair of ints
        Those of the convolution.
    pad_value : 0, +1 or -1
        What the border counts as. With 0 its bits are not read.
    out : float32 (O, KH, KW, C), C-contiguous, optional
        Where to write.
    cuts : sequence of ints, optional
        Where micro-batches end, as in :func:`conv2d_grad_weight`.

    Returns
    -------
    float32 (O, KH, KW, C)
        Summed as by :func:`conv2d_grad_weight`: the same bits for any number of threads. If ``grad`` is not finite at
        a place, the gradient of its filter is not finite or unreliable; whether taps on a border of 0 are affected too
        is unspecified.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others, or ``cuts`` fall or lie outside of
        0 ... N.
    """
    window, pad_value = Window.of(weight_shape[1:3], stride, padding), checks.pad_value(pad_value)
    bits = checks.map_of_bits(bits, x_shape, window.border)
    grad = checks.conv_grad(grad, x_shape, weight_shape, window)
    result = checks.output(out, tuple(weight_shape))
    form = gradients.sign_grad_weight if in_numpy() else compiled_gradients.sign_grad_weight
    form(bits, grad, tuple(x_shape), window, pad_value, checks.cuts(cuts, len(grad)), result)
    return result


@front_door(
    FLOAT_GRADIENTS,
    lambda grad_x, grad, signs, *_, **__: grad.size * math.prod(signs.shape[1:3]) * grad_x.shape[3],
)
def sign_grad_input(
    grad: Any,
    weight_signs: Any,
    alpha: Any,
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """Gradient of a convolution with alpha sign(W) with respect to its input sign(x).

    Parameters
    ----------
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight_signs : uint64 (O, KH, KW, ceil(C / 64))
        sign(W) from :func:`pack_signs`.
    alpha : array (O,) of real numbers
        Scales of the filters.
    x_shape : (N, H, W, C)
    stride, padding : int or pair of ints
        Those of the convolution.
    out : float32 (N, H, W, C), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (N, H, W, C)
        The same bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others.
    """
    signs = checks.words(weight_signs, "weight_signs", 4)
    window = Window.of(signs.shape[1:3], stride, padding)
    signs = checks.packed(signs, checks.image_shape(x_shape)[3], "weight_signs")
    grad = checks.conv_grad(grad, x_shape, (*signs.shape[:3], x_shape[3]), window)
    alpha = checks.floats(alpha, "alpha", shape=signs.shape[:1])
    result = checks.output(out, tuple(x_shape))
    form = gradients.sign_grad_input if in_numpy() else compiled_gradients.sign_grad_input
    form(grad, signs, alpha, window, result)
    return result
