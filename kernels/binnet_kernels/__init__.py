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
from .binarize import pack_signs, scale_map, sign, signs, unpack_signs, weight_alpha
from .bwn import BwnConv2d, BwnLinear
from .elementwise import add, relu, relu_grad
from .loss import softmax_cross_entropy, softmax_cross_entropy_grad
from .lowbit.planes import level_grad_weight, level_planes, norm_level_planes
from .lowbit.weights import level_grad_alpha, level_weight_gradient, level_weight_hat
from .norm import (
    batch_norm,
    batch_norm_grad,
    batch_norm_inference,
    batch_statistics,
    norm_relu,
    norm_signs,
    norm_signs_grad,
)
from .pool import (
    avg_pool2d,
    avg_pool2d_grad,
    max_pool2d,
    max_pool2d_grad,
    max_pool2d_grad_winners,
    max_pool2d_winners,
)
from .sign_grad import sign_grad_input, sign_grad_weight
from .threads import get_num_threads, set_num_threads
from .update import adam_update, sgd_update
from .weights import grad_alpha, weight_gradient, weight_hat
from .xnor import XnorConv2d, XnorLinear, xnor_gemm

if TYPE_CHECKING:
    from .bit_map import BitMap
    from .compiled.conv import Conv2d, conv2d, conv2d_grad_input, conv2d_grad_weight
    from .compiled.forward.fused import FusedXnorConv2d
    from .compiled.forward.fused_real import FusedConv2d
    from .compiled.forward.packed import bind_map, bind_pack_with_k, bind_pool_bits
    from .compiled.grouped import grouped_conv2d, grouped_conv2d_grad_input, grouped_conv2d_grad_weight
    from .compiled.lowbit.fused_kbit import FusedKbitConv2d
    from .compiled.lowbit.kbit import KbitConv2d, KbitLinear
    from .compiled.lowbit.kbit_levels import pack_planes, quantise_input, quantise_weight, weight_planes, weight_range
    from .compiled.lowbit.quantise import QuantisedGradient, quantise_gradient
    from .compiled.lowbit.quantised_input import quantised_grad_input
    from .compiled.lowbit.quantised_weight import quantised_grad_weight
    from .finish import Finish

_NAMES_IN = {
    "bit_map": ("BitMap",),
    "compiled.conv": ("Conv2d", "conv2d", "conv2d_grad_input", "conv2d_grad_weight"),
    "finish": ("Finish",),
    "compiled.forward.fused": ("FusedXnorConv2d",),
    "compiled.forward.fused_real": ("FusedConv2d",),
    "compiled.grouped": ("grouped_conv2d", "grouped_conv2d_grad_input", "grouped_conv2d_grad_weight"),
    "compiled.lowbit.fused_kbit": ("FusedKbitConv2d",),
    "compiled.lowbit.kbit": ("KbitConv2d", "KbitLinear"),
    "compiled.lowbit.kbit_levels": (
        "pack_planes",
        "quantise_input",
        "quantise_weight",
        "weight_planes",
        "weight_range",
    ),
    "compiled.forward.packed": ("bind_map", "bind_pack_with_k", "bind_pool_bits"),
    "compiled.lowbit.quantise": ("QuantisedGradient", "quantise_gradient"),
    "compiled.lowbit.quantised_input": ("quantised_grad_input",),
    "compiled.lowbit.quantised_weight": ("quantised_grad_weight",),
}
_MODULE_OF = {name: module for module, names in _NAMES_IN.items() for name in names}

__all__ = [
    "BitMap",
    "BwnConv2d",
    "BwnLinear",
    "Conv2d",
    "Finish",
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
    "grouped_conv2d",
    "grouped_conv2d_grad_input",
    "grouped_conv2d_grad_weight",
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
