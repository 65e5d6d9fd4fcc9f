"""The arithmetic of binnet: NumPy arrays in, NumPy arrays out, compiled by Numba when first called.

Images are float32 (N, H, W, C), filters (O, KH, KW, C), packed signs uint64. Every function and class here exists
again, under the same name and in plain NumPy, in :mod:`binnet_kernels.reference`.

NaN counts as +1 where only a sign is asked for (it is not below zero), wins every maximum, and spreads through all
sums: convolutions, alpha, K, means, normalisation, losses. Both backends do the same.

Names are looked up when first used, because importing Numba takes longer than everything else: whoever only asks for
help, or builds a network, does not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import reference
from .conv import Conv2d, conv2d, conv2d_grad_input, conv2d_grad_weight
from .elementwise import add, relu, relu_grad
from .fused.bit_map import BitMap
from .fused.epilogue import Epilogue
from .fused.maps import bind_map, bind_pack_with_k, bind_pool_bits
from .fused.real import FusedConv2d
from .fused.xnor import FusedXnorConv2d
from .lowbit.conv import KbitConv2d, KbitLinear
from .lowbit.fused import FusedKbitConv2d
from .lowbit.gradient import quantise_gradient, quantised_grad_input, quantised_grad_weight
from .lowbit.levels import pack_planes, quantise_input, quantise_weight, weight_planes, weight_range
from .lowbit.rounding import QuantisedGradient
from .pool import (
    avg_pool2d,
    avg_pool2d_grad,
    max_pool2d,
    max_pool2d_grad,
    max_pool2d_grad_winners,
    max_pool2d_winners,
)

if TYPE_CHECKING:
    from .compiled.backward.sign_grad import sign_grad_input, sign_grad_weight
    from .compiled.forward.bits import pack_signs, sign, unpack_signs
    from .compiled.forward.bwn import BwnConv2d, BwnLinear
    from .compiled.forward.gemm import xnor_gemm
    from .compiled.forward.norm import batch_norm, batch_norm_grad, batch_norm_inference, batch_statistics, norm_relu
    from .compiled.forward.scale import scale_map, weight_alpha
    from .compiled.forward.xnor import XnorConv2d, XnorLinear
    from .compiled.loss import softmax_cross_entropy, softmax_cross_entropy_grad
    from .compiled.sign_maps import norm_signs, norm_signs_grad, signs
    from .compiled.update import adam_update, sgd_update
    from .compiled.weights import grad_alpha, weight_gradient, weight_hat
    from .simd.threads import get_num_threads, set_num_threads

_NAMES_IN = {
    "compiled.forward.bits": ("pack_signs", "sign", "unpack_signs"),
    "compiled.forward.bwn": ("BwnConv2d", "BwnLinear"),
    "compiled.forward.gemm": ("xnor_gemm",),
    "compiled.loss": ("softmax_cross_entropy", "softmax_cross_entropy_grad"),
    "compiled.forward.norm": ("batch_norm", "batch_norm_grad", "batch_norm_inference", "batch_statistics", "norm_relu"),
    "compiled.forward.scale": ("scale_map", "weight_alpha"),
    "compiled.backward.sign_grad": ("sign_grad_input", "sign_grad_weight"),
    "compiled.sign_maps": ("norm_signs", "norm_signs_grad", "signs"),
    "simd.threads": ("get_num_threads", "set_num_threads"),
    "compiled.update": ("adam_update", "sgd_update"),
    "compiled.weights": ("grad_alpha", "weight_gradient", "weight_hat"),
    "compiled.forward.xnor": ("XnorConv2d", "XnorLinear"),
}
_MODULE_OF = {name: module for module, names in _NAMES_IN.items() for name in names}

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
    "get_num_threads",
    "grad_alpha",
    "max_pool2d",
    "max_pool2d_grad",
    "max_pool2d_grad_winners",
    "max_pool2d_winners",
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
    "reference",
    "relu",
    "relu_grad",
    "scale_map",
    "set_num_threads",
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
    """A public name on its first use."""
    if name in _MODULE_OF:
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
