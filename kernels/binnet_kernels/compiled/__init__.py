"""The compiled forms of the kernels: forward, backward, lowbit, and here what has both directions.

All of them are imported together, so that they are all of the text whose hash names the compile cache.
"""

from . import conv, grouped, loss, sign_maps, update, weights  # noqa: F401
from .backward import sign_grad  # noqa: F401
from .forward import bits, bwn, elementwise, fused, fused_real, gemm, norm, packed, pool, scale, xnor  # noqa: F401
from .lowbit import (  # noqa: F401
    fused_kbit,
    kbit,
    kbit_levels,
    level_planes,
    level_weights,
    quantise,
    quantised_input,
    quantised_weight,
)
