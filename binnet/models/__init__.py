"""The networks by name."""

from ..nn import MODES
from .registry import REGISTRY, Entry, build, build_spec, names, own_options, written_own_options
from .spec import ModelSpec, Network, check_images

__all__ = [
    "MODES",
    "REGISTRY",
    "Entry",
    "ModelSpec",
    "Network",
    "build",
    "build_spec",
    "check_images",
    "names",
    "own_options",
    "written_own_options",
]
