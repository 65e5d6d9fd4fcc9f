"""The part of :mod:`binnet_kernels.reference` that goes over maps element by element; import it from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .checks import Float, Pair
from .finish import Bits, bits_map, bits_shape, interior
from .reference_training import batch_norm_grad, batch_norm_inference


def relu(x: Any, out: Any = None) -> Float:
    """See :func:`binnet_kernels.relu`."""
    x = checks.floats(x, "x")
    y = checks.output(out, x.shape)
    y[...] = np.where(x < 0, np.float32(0), x)
    return y


def relu_grad(grad: Any, y: Any, out: Any = None) -> Float:
    """See :func:`binnet_kernels.relu_grad`."""
    y = checks.floats(y, "y")
    grad, grad_x = checks.floats(grad, "grad", shape=y.shape), checks.output(out, y.shape)
    grad_x[...] = np.where(y > 0, grad, np.float32(0))
    return grad_x


def add(x: Any, y: Any, out: Any = None) -> Float:
    """See :func:`binnet_kernels.add`."""
    x = checks.floats(x, "x")
    total = checks.output(out, x.shape)
    total[...] = x + checks.floats(y, "y", shape=x.shape)
    return total


# ---------------------------------------------------------------------------------------------- signs as bits


def signs(x: Any, padding: Pair = 0, pad_value: int = 0) -> tuple[Bits, Bits]:
    """See :func:`binnet_kernels.signs`."""
    x, border = checks.floats(x, "x", 4), checks.pair(padding, "padding", 0)
    bits = bits_map(x.shape, border, pad_value)
    interior(bits, border)[...] = _packed(x < 0)
    return bits, _packed(np.abs(x) <= 1)


def norm_signs(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    eps: float = 1e-5,
    padding: Pair = 0,
    pad_value: int = 0,
) -> tuple[Bits, Bits]:
    """See :func:`binnet_kernels.norm_signs`."""
    x = checks.floats(x, "x", 4)
    return signs(batch_norm_inference(x, gamma, beta, mean, var, eps), padding, pad_value)


def norm_signs_grad(
    grad: Any, within: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> tuple[Float, Float, Float]:
    """See :func:`binnet_kernels.norm_signs_grad`."""
    x = checks.floats(x, "x", 4)
    grad = checks.floats(grad, "grad", shape=x.shape)
    within = checks.half_words(within, "within", bits_shape(x.shape, (0, 0)))
    passed = np.unpackbits(within.view(np.uint8), axis=-1, bitorder="little")[..., : x.shape[3]]
    return batch_norm_grad(np.where(passed == 1, grad, np.float32(0)), x, gamma, mean, var, eps, out)


def _packed(truth: npt.NDArray[np.bool_]) -> Bits:
    """Bits (..., C) as half words (..., ceil(C / 32)), the unused ones 0."""
    whole = np.zeros((*truth.shape[:-1], -(-truth.shape[-1] // 32) * 32), bool)
    whole[..., : truth.shape[-1]] = truth
    return np.packbits(whole, axis=-1, bitorder="little").view("<u4").astype(np.uint32, copy=False)
