"""Initialise a trainable network from the arrays of a packed model.

A packed model has no real weights for binary layers. They are initialised with α sign(W), which binarises to the same α
and signs. For batch normalisation it has the mean μ, the factor γ / √(var + ε) and β, but not the variance. With
var = 1 − ε and γ = factor, evaluation computes the same function. Training divides by the deviation of the batch and
would compute another one; therefore :func:`calibrate` measures the variance.
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

from ...autograd import Tensor
from ...context import no_grad
from ...modelfile import StorageError
from ...nn import BatchNorm, Module, SpatialScale

Array = npt.NDArray[Any]
_PACKED = {"gamma": "factor", "beta": "shift", "running_mean": "mean"}  # names of a packed normalisation's arrays
_MEASURED = 256  # minimum number of images for the variance, rounded up to whole batches


def stored(arrays: Mapping[str, Array], prefix: str, name: str, module: Module) -> Array | None:
    """The floating-point array ``prefix + name`` of a checkpoint; None when it has no such array.

    ``module`` means nothing here; :func:`unpacked` needs it.
    """
    found = arrays.get(prefix + name)
    return found if found is not None and found.dtype.kind == "f" else None


def unpacked(arrays: Mapping[str, Array], prefix: str, name: str, module: Module) -> Array | None:
    """The value of a layer's array, computed from the arrays of a packed model.

    Parameters
    ----------
    arrays
        Arrays of the packed model by name.
    prefix, name
        Path of the layer with a final dot, and name of the array in it.
    module
        The layer, which gives ε and the shape of the weights.

    Returns
    -------
    float32 array or None
        Of the shape of the layer's array; None when the packed model has nothing for it.
    """
    if name == "running_var" and isinstance(module, BatchNorm):
        mean = arrays.get(f"{prefix}mean")
        return None if mean is None else np.full_like(mean, 1 - module.eps, np.float32)
    if isinstance(module, SpatialScale):
        return _factors(arrays.get(f"{prefix}array"), name)
    if name == "weight":
        return _weight(arrays, prefix, module)
    if name == "alpha" and f"{prefix}alpha" not in arrays:
        prefix = _of_product(arrays, prefix)
    return stored(arrays, prefix, _PACKED.get(name, name), module)


def _factors(product: Array | None, name: str) -> Array | None:
    """The ``rows``, ``columns`` or ``channels`` of a spatial scale, from their product (rows, columns, channels).

    Up to rounding they have this product; rows and columns are 1 where it is largest.
    """
    if product is None or product.ndim != 3 or not product.any():
        return None
    i, j, c = np.unravel_index(np.abs(product).argmax(), product.shape)
    largest = product[i, j, c]
    factors: dict[str, Array] = {
        "rows": product[:, j, c].reshape(-1, 1, 1) / largest,
        "columns": product[i, :, c].reshape(-1, 1) / largest,
        "channels": product[i, j],
    }
    return factors[name]


def _weight(arrays: Mapping[str, Array], prefix: str, module: Module) -> Array | None:
    """The weights of a layer, whatever the packed layer is: real, real behind a sign, or binary."""
    found = _stored_weight(arrays, prefix, module)
    return _latent(arrays, prefix, module) if found is None else found


def _stored_weight(arrays: Mapping[str, Array], prefix: str, module: Module) -> Array | None:
    """The real weights of a packed layer, None for a binary one.

    Real weights behind a sign belong to the product; the other nodes of such a layer are the sign and a border.
    """
    found = stored(arrays, prefix, "weight", module)
    return stored(arrays, f"{prefix}conv2d.", "weight", module) if found is None else found


def has_scales(arrays: Mapping[str, Array], prefix: str, module: Module) -> bool:
    """Whether a layer of a packed model has scales, or real weights, which have sizes of their own."""
    return f"{_of_product(arrays, prefix)}alpha" in arrays or _stored_weight(arrays, prefix, module) is not None


def _latent(arrays: Mapping[str, Array], prefix: str, module: Any) -> Array | None:
    """Real weights (O, ...) that binarise to the signs and scales of a packed layer: α sign(W).

    For k bits they are α q in a layer with real weights. In a binary layer they are α (q ± d): each filter's levels q
    are moved by one d, small enough that they quantise to the same levels, and chosen so that the filter's range is the
    one it was quantised with. A packed layer without scales has α = 1; in a layer that is to be binarised without
    scales again, any magnitude computes the same, and it is that of the fresh weights. StorageError where weights of k
    bits are to be centred: their levels do not tell weights with mean 0.
    """
    prefix = _of_product(arrays, prefix)
    shape, planes = module.weight.shape, arrays.get(f"{prefix}planes")
    if planes is None and (signs := arrays.get(f"{prefix}signs")) is not None:
        planes = signs[None]  # one bit is one plane, so one formula serves both
    count = math.prod(shape)
    if planes is None or planes.shape[-1] != -(-count // 64):
        return None
    bits, filters = len(planes), (-1, *(1,) * (len(shape) - 1))
    steps = 2**bits - 1
    q = sum(2**i * bk.unpack_signs(words, count) for i, words in enumerate(planes)).reshape(shape) / steps
    size = np.abs(q).reshape(len(q), -1).mean(axis=1)
    d = np.clip(1 / bk.weight_range(np.ones((1, 1)), bits) - size, -0.9 / steps, 0.9 / steps)
    binariser = getattr(module, "weight_binariser", None)  # None for real weights
    alpha = arrays.get(f"{prefix}alpha")
    if alpha is None:
        unscaled = binariser is not None and binariser.scale == "none"
        alpha = np.abs(module.weight.array).reshape(len(q), -1).mean(axis=1) if unscaled else np.ones(len(q))
    elif getattr(module, "alpha", None) is not None:  # a learned scale keeps its sign in its own parameter
        alpha = np.abs(alpha)
    if alpha.shape != shape[:1]:
        return None
    if binariser is None:
        d = np.zeros_like(d)
    elif binariser.center:
        if bits > 1:
            raise StorageError(
                f"{prefix[:-1]} has weights of {bits} bits, from which those before center cannot be computed: "
                "begin with the checkpoint that the model was packed from, or with --no-center"
            )
        q = _centred(q)
    latent: Array = (alpha.reshape(filters) * (q + np.sign(q) * d.reshape(filters))).astype(np.float32)
    return latent


def _of_product(arrays: Mapping[str, Array], prefix: str) -> str:
    """The path of a binary layer's product, which is not its first node with binary gradients: then a sign is."""
    return prefix if {f"{prefix}planes", f"{prefix}signs"} & set(arrays) else f"{prefix}xnor_conv2d."


def _centred(signs: Array) -> Array:
    """Weights with these signs (O, ..., I), mean 0 over I, and mean magnitude 1 over all axes but O.

    Where the signs of all I are equal, the weights that were packed have been equal, and centred they are 0.
    """
    positive, negative = (signs > 0).sum(-1, keepdims=True), (signs < 0).sum(-1, keepdims=True)
    mixed = (positive > 0) & (negative > 0)
    sizes = signs.shape[-1] / 2 / np.where(signs > 0, positive, negative)
    values = np.where(mixed, signs * sizes, 0.0)
    means = np.abs(values).reshape(len(values), -1).mean(axis=1).reshape(-1, *(1,) * (values.ndim - 1))
    centred: Array = values / np.where(means > 0, means, 1)
    return centred


def calibrate(network: Module, taken: Collection[str], loader: Loader) -> None:
    """Measure the running variances of the batch normalisations that came from a packed model, which has none.

    γ becomes ``factor · √(var + ε)``, so that evaluation computes the same function as before, up to rounding.

    Parameters
    ----------
    network
        Its normalisations are changed in place; it is left in evaluation mode.
    taken
        Names of the arrays that came from the model.
    loader
        Loader of the training images; about the first 256 are measured.
    """
    norms = [m for p, m in network.named_modules() if isinstance(m, BatchNorm) and f"{p}.running_var" in taken]
    variances: dict[int, Float] = {}
    for norm in norms:
        vars(norm)["forward"] = _measuring(norm, variances)  # an instance attribute hides the method
    try:
        with no_grad(), closing(loader.epoch(0)) as batches:
            found = [images for images, _ in islice(batches, -(-_MEASURED // loader.batch_size))]
            # Evaluation mode: each normalisation sees exactly the inputs that the packed model computes.
            network.eval()(Tensor(np.concatenate(found)))
    finally:
        for norm in norms:
            del vars(norm)["forward"]
    for norm in norms:
        before = norm.running_var.copy()
        norm.running_var[...] = variances.get(id(norm), before)  # unchanged where the forward pass does not reach it
        norm.gamma.data[...] *= np.sqrt((norm.running_var + norm.eps) / (before + norm.eps))


def _measuring(norm: BatchNorm, variances: dict[int, Float]) -> Callable[[Tensor], Tensor]:
    forward = norm.forward

    def measuring(x: Tensor) -> Tensor:
        rows = x.array.reshape(-1, x.shape[-1])
        variances[id(norm)] = rows.var(axis=0, dtype=np.float64).astype(np.float32)
        return forward(x)

    return measuring
