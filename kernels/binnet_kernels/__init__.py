"""The arithmetic of binnet: NumPy arrays in, NumPy arrays out, compiled by Numba when first called.

Images are float32 (N, H, W, C), filters (O, KH, KW, C), packed signs uint64. Every function and class here exists
again, under the same name and in plain NumPy, in :mod:`binnet_kernels.reference`.
"""

from . import reference
from .bits import pack_signs, sign, unpack_signs
from .bwn import BwnConv2d, BwnLinear
from .conv import Conv2d, conv2d, conv2d_grad_input, conv2d_grad_weight
from .loss import softmax_cross_entropy, softmax_cross_entropy_grad
from .norm import batch_norm, batch_norm_grad, batch_norm_inference
from .pool import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from .scale import scale_map, weight_alpha
from .threads import get_num_threads, set_num_threads
from .xnor import XnorConv2d, XnorLinear, xnor_gemm

__all__ = [
    "BwnConv2d",
    "BwnLinear",
    "Conv2d",
    "XnorConv2d",
    "XnorLinear",
    "avg_pool2d",
    "avg_pool2d_grad",
    "batch_norm",
    "batch_norm_grad",
    "batch_norm_inference",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "get_num_threads",
    "max_pool2d",
    "max_pool2d_grad",
    "pack_signs",
    "reference",
    "scale_map",
    "set_num_threads",
    "sign",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "unpack_signs",
    "weight_alpha",
    "xnor_gemm",
]
