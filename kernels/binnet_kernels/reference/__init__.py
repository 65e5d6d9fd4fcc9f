"""Every public kernel again in plain NumPy, a few lines each, to read beside the paper (arXiv:1603.05279).

The functions and classes here have the names, arguments, results and errors of the fast ones in ``binnet_kernels``,
and are the second of the three forms each kernel has (naive loops stand in the tests). Integers agree exactly between
the backends; floating-point sums agree up to the order of summation.
"""

from __future__ import annotations

from typing import Any

from ..backend import reference_of
from ..fused.bit_map import BitMap
from ..fused.epilogue import Epilogue
from ..lowbit.rounding import QuantisedGradient

__all__ = [
    "BitMap",
    "BwnConv2d",
    "BwnLinear",
    "Conv2d",
    "Epilogue",
    "FusedConv2d",
    "FusedKbitConv2d",
    "FusedXnorConv2d",
    "KbitConv2d",
    "KbitLinear",
    "QuantisedGradient",
    "XnorConv2d",
    "XnorLinear",
    "adam_update",
    "add",
    "avg_pool2d",
    "avg_pool2d_grad",
    "batch_norm",
    "batch_norm_grad",
    "batch_norm_inference",
    "batch_statistics",
    "bind_map",
    "bind_pack_with_k",
    "bind_pool_bits",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "grad_alpha",
    "level_grad_alpha",
    "level_grad_weight",
    "level_planes",
    "level_weight_gradient",
    "level_weight_hat",
    "max_pool2d",
    "max_pool2d_grad",
    "max_pool2d_grad_winners",
    "max_pool2d_winners",
    "norm_level_planes",
    "norm_relu",
    "norm_signs",
    "norm_signs_grad",
    "pack_planes",
    "pack_signs",
    "quantise_gradient",
    "quantise_input",
    "quantise_weight",
    "quantised_grad_input",
    "quantised_grad_weight",
    "relu",
    "relu_grad",
    "scale_map",
    "sgd_update",
    "sign",
    "sign_grad_input",
    "sign_grad_weight",
    "signs",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "unpack_signs",
    "weight_alpha",
    "weight_gradient",
    "weight_hat",
    "weight_planes",
    "weight_range",
    "xnor_gemm",
]


def __getattr__(name: str) -> Any:
    """What has a front door: that, always in the NumPy form."""
    try:
        return reference_of(name)
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
