"""The compiled forms of the kernels: forward, backward, lowbit, and here what has both directions.

All of them are imported together, so that they are all of the text whose hash names the compile cache.
"""

from . import conv, loss, sign_maps, update, weights  # noqa: F401
from .backward import sign_grad  # noqa: F401
from .forward import bits, bwn, elementwise, gemm, norm, pool, scale, xnor  # noqa: F401
from .fused import maps, real  # noqa: F401
from .lowbit import fused, grad_input, grad_weight, gradient, level_planes, level_weights, levels  # noqa: F401
