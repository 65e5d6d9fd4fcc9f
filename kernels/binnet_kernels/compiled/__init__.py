"""The compiled forms of the kernels: forward, backward, fused, lowbit, and here what has both directions.

All of them are imported together, so that they are all of the text whose hash names the compile cache.
"""

# ruff: noqa: F401
from . import conv, loss, sign_maps, update, weights
from .backward import sign_grad
from .forward import bits, bwn, elementwise, gemm, norm, pool, scale, xnor
from .fused import int8, maps, quantise, real
from .lowbit import fused as fused_levels  # not `fused`, which is the folder above
from .lowbit import grad_input, grad_weight, gradient, level_planes, level_weights, levels
