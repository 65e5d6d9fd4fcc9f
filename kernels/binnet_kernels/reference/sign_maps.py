"""Signs as maps of bits, and normalisation fused with them or with ReLU, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import Float, Halves, Pair
from ..fused.bit_map import BitMap, Bits
from .elementwise import relu
from .lowbit.levels import level_codes
from .training import batch_norm_grad, batch_norm_inference


def signs(x: Any, padding: Pair = 0, pad_value: int = 0, act_bits: int | None = None) -> tuple[Bits, Bits]:
    """See :func:`binnet_kernels.signs`."""
    x, border = checks.floats(x, "x", 4), checks.pair(padding, "padding", 0)
    planes = (x < 0)[None]
    if act_bits is not None:
        checks.levels(act_bits, "act_bits")
        codes = level_codes(x, act_bits)
        planes = np.stack([(codes >> i & 1) == 1 for i in range(act_bits)])
    maps = [BitMap(x.shape, border, pad_value) for _ in planes]
    for each, truth in zip(maps, planes, strict=True):
        each.inside[...] = _packed(truth)
    bits = np.stack([each.words for each in maps])
    return bits[0] if act_bits is None else bits, _packed(np.abs(x) <= 1)


def norm_signs(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    eps: float = 1e-5,
    padding: Pair = 0,
    pad_value: int = 0,
    act_bits: int | None = None,
) -> tuple[Bits, Bits]:
    """See :func:`binnet_kernels.norm_signs`."""
    x = checks.floats(x, "x", 4)
    return signs(batch_norm_inference(x, gamma, beta, mean, var, eps), padding, pad_value, act_bits)


def norm_signs_grad(
    grad: Any, within: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> tuple[Float, Float, Float]:
    """See :func:`binnet_kernels.norm_signs_grad`."""
    (x,) = checks.channels(x)
    grad = checks.floats(grad, "grad", shape=x.shape)
    within = checks.half_words(within, "within", checks.halves_shape(x.shape))
    passed = np.unpackbits(within.view(np.uint8), axis=-1, bitorder="little")[..., : x.shape[-1]]
    return batch_norm_grad(np.where(passed == 1, grad, np.float32(0)), x, gamma, mean, var, eps, out)


def norm_relu(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> tuple[Float, Halves]:
    """See :func:`binnet_kernels.norm_relu`."""
    z = batch_norm_inference(x, gamma, beta, mean, var, eps)
    y = checks.output(out, z.shape)
    relu(z, y)
    return y, _packed(y > 0)


def _packed(truth: npt.NDArray[np.bool_]) -> Bits:
    """Bits (..., C) as half words (..., ceil(C / 32)), the unused ones 0."""
    whole = np.zeros((*truth.shape[:-1], -(-truth.shape[-1] // 32) * 32), bool)
    whole[..., : truth.shape[-1]] = truth
    return np.packbits(whole, axis=-1, bitorder="little").view("<u4").astype(np.uint32, copy=False)
