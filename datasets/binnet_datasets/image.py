"""Read one image file as the array a network expects."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .transforms import resize_to

if TYPE_CHECKING:
    from PIL import Image

# Named, because Pillow also has readers that start other programs (EPS runs Ghostscript).
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")
MAX_PIXELS = 1 << 26  # 67 megapixels, more than any camera's photograph and 200 MB when decoded


def read_image(path: str | Path, image_size: int | tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Decode an image file, turn it upright, convert its colours and resize it.

    The orientation in its EXIF data is applied; what is transparent becomes white; 16-bit grey is scaled to 8 bits.
    The whole image is resized, so its proportions change where they differ from ``image_size``.

    Parameters
    ----------
    path : a PNG, JPEG, BMP, GIF (first frame), PPM or WebP file
    image_size : height and width, or one number for both
    channels : 1 (grey) or 3 (RGB)

    Returns
    -------
    uint8 (H, W, channels); exactly the file's pixels when its size is right already

    Raises
    ------
    DataError
        When there is no such file, or it is empty, damaged, no image, or has more than 67 million pixels.
    ValueError
        When ``image_size`` or ``channels`` is none of these.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"image_size must be 1 or more, or a height and width of that, got {image_size}")
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    path = Path(path)
    _check_file(path)
    return resize_to(_decode(path, "L" if channels == 1 else "RGB"), size)


def _check_file(path: Path) -> None:
    """Refuse what is no file of at least one byte, with the reason."""
    try:
        if not path.exists():
            raise DataError(f"expected an image at {path}, but there is no such file")
        if not path.is_file():
            raise DataError(f"expected an image file at {path}, but it is {'a folder' if path.is_dir() else 'no file'}")
        if path.stat().st_size == 0:
            raise DataError(f"expected an image at {path}, but the file is empty")
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"expected an image at {path}, but looking for it failed: {error}") from error


def _decode(path: Path, mode: str) -> NDArray[np.uint8]:
    """Decode to uint8 (H, W, 1 or 3)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow warns above a limit of its own and raises above twice that; between the two ours decides.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                _check_pixels(path, *image.size)
                pixels = np.array(_convert(ImageOps.exif_transpose(image), mode))
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"expected an image ({', '.join(FORMATS)}) at {path}, but it is none of these") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"expected an image of at most {MAX_PIXELS} pixels at {path}, but got more: {error}") from error
    except Exception as error:  # a decoder raises whatever it met in a damaged file
        raise DataError(f"expected a whole image at {path}, but decoding it failed: {error}") from error
    return pixels.reshape(*pixels.shape[:2], -1)


def _check_pixels(path: Path, w: int, h: int) -> None:
    if w * h > MAX_PIXELS:
        raise DataError(f"expected an image of at most {MAX_PIXELS} pixels at {path}, but it has {w} x {h}")


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert any of Pillow's modes to "L" or "RGB"."""
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit values at 255 instead of scaling them.
        wide = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.round(np.clip(wide, 0, 65535) / 257).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
