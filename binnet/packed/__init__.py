"""Packed models: one-bit weights, no autograd."""

from .engine import Timing
from .model import PackedModel, from_parts, load, pack
from .summary import Row, Summary, summarise

__all__ = ["PackedModel", "Row", "Summary", "Timing", "from_parts", "load", "pack", "summarise"]
