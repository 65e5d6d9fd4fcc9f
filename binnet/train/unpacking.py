"""From the arrays of a packed model to those of a network that is to learn.

A packed model has no real weights. Those of a binary layer begin at α sign(W), which binarises to the same α and signs.
Of a batch normalisation it has the mean μ, the factor γ / √(var + ε) and β, but not the variance. With 1 − ε in its
place and the factor as γ, evaluation computes the same. Training, which divides by the deviation of a batch, would not:
hence :func:`calibrate` measures the variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_datasets import Loader
from binnet_kernels.checks import Float

from ..autograd import Tensor, no_grad
from ..nn import BatchNorm, Module

Array = npt.NDArray[Any]
_PACKED = {"gamma": "factor", "beta": "shift", "running_mean": "mean"}  # names of a packed normalisation's arrays
_MEASURED = 256  # images


def stored(arrays: Mapping[str, Array], prefix: str, name: str, module: Module) -> Array | None:
    """An array of a checkpoint."""
    found = arrays.get(prefix + name)
    return found if found is not None and found.dtype.kind == "f" else None


def unpacked(arrays: Mapping[str, Array], prefix: str, name: str, module: Module) -> Array | None:
    """What a packed model has in the place of an array of a layer."""
    if name == "running_var" and isinstance(module, BatchNorm):
        mean = arrays.get(f"{prefix}mean")
        return None if mean is None else np.full_like(mean, 1 - module.eps, np.float32)
    if name == "weight" and f"{prefix}weight" not in arrays:
        return _latent(arrays, prefix, module)
    return stored(arrays, prefix, _PACKED.get(name, name), module)


def _latent(arrays: Mapping[str, Array], prefix: str, module: Any) -> Array | None:
    """Real weights (O, ...) that are binarised to the signs and scales of a packed layer: α sign(W).

    Of k bits they are α (q ± d): levels q moved by the same d in each filter, which stay the same levels and have the
    range that they were made with. Without scales the mean magnitude is that of the fresh weights.
    """
    shape, planes = module.weight.shape, arrays.get(f"{prefix}planes")
    if planes is None and (signs := arrays.get(f"{prefix}signs")) is not None:
        planes = signs[None]
    count = math.prod(shape)
    if planes is None or planes.shape[-1] != -(-count // 64):
        return None
    bits, filters = len(planes), (-1, *(1,) * (len(shape) - 1))
    steps = 2**bits - 1
    q = sum(2**i * bk.unpack_signs(words, count) for i, words in enumerate(planes)).reshape(shape) / steps
    size = np.abs(q).reshape(len(q), -1).mean(axis=1)
    d = np.clip(1 / bk.weight_range(np.ones((1, 1)), bits) - size, -0.9 / steps, 0.9 / steps)
    alpha = arrays.get(f"{prefix}alpha")
    if alpha is None:
        alpha = np.abs(module.weight.array).reshape(len(q), -1).mean(axis=1)
    elif getattr(module, "alpha", None) is not None:  # which keeps the sign of a learned scale
        alpha = np.abs(alpha)
    if alpha.shape != shape[:1]:
        return None
    latent: Array = (alpha.reshape(filters) * (q + np.sign(q) * d.reshape(filters))).astype(np.float32)
    return latent


def calibrate(network: Module, taken: Collection[str], loader: Loader) -> None:
    """Measure the variance in front of the normalisations that came from a packed model, which does not have it.

    γ becomes ``factor · √(var + ε)``, so that evaluation computes what it did before, but for rounding.

    Parameters
    ----------
    network
        Changed, and left in evaluation mode.
    taken
        Names of the arrays that came from the model.
    loader
        Of the images to be trained on; its first 256 or so are measured.
    """
    norms = [m for p, m in network.named_modules() if isinstance(m, BatchNorm) and f"{p}.running_var" in taken]
    variances: dict[int, Float] = {}
    for norm in norms:
        vars(norm)["forward"] = _measuring(norm, variances)  # stands before the class's own
    try:
        with no_grad(), closing(loader.epoch(0)) as batches:
            found = [images for images, _ in islice(batches, -(-_MEASURED // loader.batch_size))]
            network.eval()(Tensor(np.concatenate(found)))
    finally:
        for norm in norms:
            del vars(norm)["forward"]
    for norm in norms:
        before = norm.running_var.copy()
        norm.running_var[...] = variances.get(id(norm), before)
        norm.gamma.data[...] *= np.sqrt((norm.running_var + norm.eps) / (before + norm.eps))


def _measuring(norm: BatchNorm, variances: dict[int, Float]) -> Callable[[Tensor], Tensor]:
    forward = norm.forward

    def measuring(x: Tensor) -> Tensor:
        rows = x.array.reshape(-1, x.shape[-1])
        variances[id(norm)] = rows.var(axis=0, dtype=np.float64).astype(np.float32)
        return forward(x)

    return measuring
