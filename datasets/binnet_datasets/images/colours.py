"""Conversion of all colours that an image file may have to 8-bit grey or RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from PIL import Image

_WIDE = 65535


def convert(image: Image.Image, mode: str, where: object) -> Image.Image:
    """Convert an image of any of Pillow's modes to "L" or "RGB"; transparent pixels become white.

    Parameters
    ----------
    image : decoded
    mode : "L" or "RGB"
    where : what messages call the image

    Raises
    ------
    DataError
        When the scale of its values is unknown: floating-point numbers, or integers of more than 16 bits.
    """
    from PIL import Image

    if image.mode == "F":
        raise DataError(f"expected an image of whole numbers at {where}, but its pixels are floating-point numbers")
    if image.mode.startswith("I"):
        image = _grey_of_16_bits(image, where)
    elif image.has_transparency_data:
        _scale_transparency(image)
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _grey_of_16_bits(image: Image.Image, where: object) -> Image.Image:
    """Grey of 16 bits scaled to 8 bits; Pillow's own conversion clips at 255."""
    from PIL import Image

    wide = np.asarray(image).astype(np.float64)
    if wide.size and not 0 <= wide.min() <= wide.max() <= _WIDE:
        raise DataError(
            f"expected grey levels from 0 to {_WIDE} at {where}, but they lie in {wide.min():g}..{wide.max():g}"
        )
    transparent = image.info.get("transparency")
    grey = np.round(wide / 257)  # 65535 / 255, so that white stays white
    if isinstance(transparent, int):
        grey[wide == transparent] = 255
    return Image.fromarray(grey.astype(np.uint8))


def _scale_transparency(image: Image.Image) -> None:
    """Scale the transparent colour of a 16-bit PNG to 8 bits, as Pillow has done with its pixels."""
    colour = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(colour, tuple) and max(colour) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in colour)
