"""Sizes of images, and of the maps that layers compute from them."""

from __future__ import annotations

from binnet_kernels.checks import Window

Size = tuple[int, int]


def require_least(name: str, image_size: Size, side: int) -> None:
    """Raise ValueError, with the least size, for images that are too small for the network ``name``."""
    if min(image_size) < side:
        h, w = image_size
        raise ValueError(f"{name} needs images of at least {side}x{side} pixels, got {h}x{w}")


def after(size: Size, *windows: tuple[int, int, int]) -> Size:
    """Rows and columns of the map after some convolutions and poolings, each (window, stride, padding)."""
    for window in windows:
        size = Window.of(*window).output_size(*size)
    return size
