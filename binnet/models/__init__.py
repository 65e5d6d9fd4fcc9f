"""The networks of the paper by name."""

from ..nn import MODES
from .registry import REGISTRY, Entry, build, build_spec, names
from .spec import ModelSpec, Network, check_images

__all__ = ["MODES", "REGISTRY", "Entry", "ModelSpec", "Network", "build", "build_spec", "check_images", "names"]
