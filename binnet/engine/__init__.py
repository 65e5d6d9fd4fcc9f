"""Runs graphs on the packed kernels: rewrites that fuse nodes, plans for shapes of images, and the packed model."""

from .model import PackedModel, from_parts, load

__all__ = ["PackedModel", "from_parts", "load"]
