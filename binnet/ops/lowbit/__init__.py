"""Beside the paper's layer: weights and inputs of several bits, and gradients that are rounded.

They plug in as the binarisers of :func:`binnet.ops.xnor_conv2d`; nothing outside this folder knows of them.
"""

from .levels import InputQuantiser, WeightQuantiser
from .quantise import quantise
from .rounding import RoundedGradient

__all__ = ["InputQuantiser", "RoundedGradient", "WeightQuantiser", "quantise"]
