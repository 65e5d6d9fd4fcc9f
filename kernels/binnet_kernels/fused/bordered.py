"""The check of maps that hold a border, of bits or of bytes."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from .. import checks
from ..checks import Border


class Bordered(Protocol):
    """Interface of maps of images (N, H, W, C) with a border (top, bottom, left, right)."""

    shape: tuple[int, ...]
    border: Border


Map = TypeVar("Map", bound=Bordered)


def check_bordered(
    x: Any, kind: type[Map], name: str, shape: tuple[int | None, ...], border: Border | None = None
) -> Map:
    """``x`` itself; ValueError unless it is a map of this kind and shape, None for any size, with this border."""
    fits = isinstance(x, kind) and all(want in (None, size) for want, size in zip(shape, x.shape))
    if fits and border in (None, x.border):
        fitting: Map = x
        return fitting
    sizes = ", ".join(letter if want is None else str(want) for want, letter in zip(shape, "NHWC"))
    around = "" if border is None else f" with the border {border}"
    got = repr(x) if isinstance(x, kind) else checks.kind(x)
    raise ValueError(f"{name} must be a {kind.__name__} ({sizes}){around}, got {got}")
