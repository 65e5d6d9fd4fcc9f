"""The arithmetic of binnet: NumPy arrays in, NumPy arrays out, compiled by Numba when first called.

Images are float32 (N, H, W, C), filters (O, KH, KW, C), packed signs uint64. Every function and class here exists
again, under the same name and in plain NumPy, in :mod:`binnet_kernels.reference`.

NaN counts as +1 where only a sign is asked for (it is not below zero), wins every maximum, and spreads through all
sums: convolutions, alpha, K, means, normalisation, losses. Both backends do the same.

Numba is imported when a compiled form first runs, because that takes longer than everything else: whoever only asks for
help, or builds a network, does not wait for it.
"""

from __future__ import annotations

from . import reference
from .binarize import binary_weights, pack_signs, scale_map, sign, signs, stand_in, unpack_signs, weight_alpha
from .bwn import BwnConv2d, BwnLinear
from .channels import channel_sums, rprelu, rprelu_grad
from .conv import Conv2d, conv2d, conv2d_grad_input, conv2d_grad_weight
from .elementwise import add, polynomial_grad, relu, relu_grad
from .fused.bit_map import BitMap
from .fused.byte_map import ByteMap
from .fused.epilogue import Epilogue
from .fused.int8 import FusedInt8Conv2d, bind_quantise
from .fused.maps import bind_average, bind_map, bind_pack_with_k, bind_pool_bits
from .fused.real import FusedConv2d
from .fused.xnor import FusedXnorConv2d
from .loss import softmax_cross_entropy, softmax_cross_entropy_grad
from .lowbit.compress import compress_gradient, expand_gradient
from .lowbit.conv import KbitConv2d, KbitLinear
from .lowbit.fused import FusedKbitConv2d
from .lowbit.gradient import gradient_peaks, quantise_gradient, quantised_grad_input, quantised_grad_weight
from .lowbit.levels import pack_planes, quantise_input, quantise_weight, weight_planes, weight_range
from .lowbit.planes import level_grad_weight, level_planes, norm_level_planes
from .lowbit.rounding import QuantisedGradient
from .lowbit.weights import level_grad_alpha, level_weight_gradient, level_weight_hat
from .norm.forward import (
    batch_moments,
    batch_norm,
    batch_norm_inference,
    batch_statistics,
    norm_relu,
    norm_signs,
)
from .norm.grad import batch_norm_grad, batch_norm_grad_apply, batch_norm_grad_sums, norm_signs_grad
from .pool import (
    avg_pool2d,
    avg_pool2d_grad,
    max_pool2d,
    max_pool2d_grad,
    max_pool2d_grad_winners,
    max_pool2d_winners,
)
from .threads import get_num_threads, set_num_threads
from .update import adam_update, sgd_update
from .weights import grad_alpha, weight_gradient, weight_hat
from .xnor import XnorConv2d, XnorLinear, sign_grad_input, sign_grad_weight, xnor_gemm

__all__ = [
    "BitMap",
    "BwnConv2d",
    "BwnLinear",
    "ByteMap",
    "Conv2d",
    "Epilogue",
    "FusedConv2d",
    "FusedInt8Conv2d",
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
    "batch_moments",
    "batch_norm",
    "batch_norm_grad",
    "batch_norm_grad_apply",
    "batch_norm_grad_sums",
    "batch_norm_inference",
    "batch_statistics",
    "binary_weights",
    "bind_average",
    "bind_map",
    "bind_pack_with_k",
    "bind_pool_bits",
    "bind_quantise",
    "channel_sums",
    "compress_gradient",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "expand_gradient",
    "get_num_threads",
    "grad_alpha",
    "gradient_peaks",
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
    "polynomial_grad",
    "quantise_gradient",
    "quantise_input",
    "quantise_weight",
    "quantised_grad_input",
    "quantised_grad_weight",
    "reference",
    "relu",
    "relu_grad",
    "rprelu",
    "rprelu_grad",
    "scale_map",
    "set_num_threads",
    "sgd_update",
    "sign",
    "sign_grad_input",
    "sign_grad_weight",
    "signs",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "stand_in",
    "unpack_signs",
    "weight_alpha",
    "weight_gradient",
    "weight_hat",
    "weight_planes",
    "weight_range",
    "xnor_gemm",
]
