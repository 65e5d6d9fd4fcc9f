"""Post-training quantisation: the real layers of a packed model in eight bits (ADR 0034)."""

from .layers import LayerReport
from .quantise import Calibration, Quantised, quantise

__all__ = ["Calibration", "LayerReport", "Quantised", "quantise"]
