"""Decoding of images, from files or from their contents, to arrays of uint8."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .colours import convert
from .transforms import resize_to
from .windows import corners, cut, resized_to

if TYPE_CHECKING:
    from PIL import Image

# Named, because Pillow also has readers that start other programs (EPS runs Ghostscript).
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000")
LONGEST = 4  # times the short side that is stored, so that a panorama does not take gigabytes
MAX_PIXELS = 1 << 26  # 67 megapixels, 200 MB when decoded
MOST_PIXELS = 1 << 28  # of a JPEG, which is decoded at a part of its size: phones make photographs of 200 megapixels


def read_image(
    path: str | Path | bytes, image_size: int | tuple[int, int], channels: int, where: object = None
) -> NDArray[np.uint8]:
    """Decode an image file, turn it upright, convert its colours and resize it.

    The orientation in its EXIF data is applied; what is transparent becomes white; 16-bit grey is scaled to 8 bits.
    The whole image is resized, so its proportions change where they differ from ``image_size``.

    Parameters
    ----------
    path : a PNG, JPEG, BMP, GIF or TIFF (first frame), PPM, WebP, AVIF or JPEG 2000 file, or its contents
    image_size : height and width, or one number for both
    channels : 1 (grey) or 3 (RGB)
    where : what messages call it; None for the file's name

    Returns
    -------
    uint8 (H, W, channels); exactly the file's pixels when its size is right already

    Raises
    ------
    DataError
        When there is no such file, or it is empty, damaged, no image, or has more than 67 million pixels (a JPEG more
        than 268 million), or pixels of unknown scale.
    ValueError
        When ``image_size`` or ``channels`` is out of range.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"image_size must be 1 or more, or a height and width of that, got {image_size}")
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    return resize_to(_decoded(path, channels, where, None), size)


def _check_file(path: Path) -> None:
    """Raise DataError with the reason unless the path is a file of at least one byte."""
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


def decode(source: Path | BytesIO, where: object, mode: str, least: int | None = None) -> NDArray[np.uint8]:
    """Decode an image, turn it upright and convert its colours.

    Warnings of Pillow are passed on; `decoding_quietly` suppresses them.

    Parameters
    ----------
    source : a file, or its contents
    where : what messages call it
    mode : "L" or "RGB"
    least : a JPEG may be decoded at a half, quarter or eighth of its size while both sides stay at least this long

    Returns
    -------
    uint8 (H, W, 1 or 3)

    Raises
    ------
    DataError
        When it is damaged, no image, has more than 67 million pixels (a JPEG more than 268 million), or pixels of
        unknown scale.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with _open(source) as image:
            _reduce(image, least, where)
            image.load()
            pixels = np.array(convert(_upright(image), mode, where))
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"expected an image ({', '.join(FORMATS)}) at {where}, but it is none of these") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"expected an image of at most {MAX_PIXELS} pixels at {where}, but got more: {error}"
        ) from error
    except Exception as error:  # decoders raise many kinds of exceptions for damaged files
        raise DataError(f"expected a whole image at {where}, but decoding it failed: {error}") from error
    return pixels.reshape(*pixels.shape[:2], -1)


@cache
def _formats() -> tuple[str, ...]:
    """The formats among `FORMATS` that this Pillow can read."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def header_size(read: Callable[[], bytes]) -> tuple[int, int] | None:
    """Short and long side of an image, from its header; None when it cannot be read."""
    try:
        with _open(BytesIO(read())) as image:
            return min(image.size), max(image.size)
    except Exception:  # as in `decode`
        return None


def to_short_side(pixels: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """Resize in proportion until the short side has a length; of an image longer than four times that, keep the middle.

    Parameters
    ----------
    pixels : uint8 (H, W, C), C 1 or 3
    length : pixels

    Returns
    -------
    uint8 (H', W', C), C-contiguous; the given pixels when nothing is to be done
    """
    h, w = pixels.shape[:2]
    side = min(h, w)
    most = LONGEST * side
    top, left = max(0, h - most) // 2, max(0, w - most) // 2
    pixels = pixels[top : top + most, left : left + most]
    # Rounded to the nearest in whole numbers, which give the same size on every machine.
    rows, columns = ((length * n + side // 2) // side for n in pixels.shape[:2])
    return np.ascontiguousarray(pixels) if side == length else resize_to(pixels, (rows, columns))


def read_centre(
    source: str | Path | bytes,
    image_size: tuple[int, int],
    channels: int,
    stored_size: int,
    short_side: int,
    where: object = None,
) -> NDArray[np.uint8]:
    """Decode an image and show its centre in proportion, the same pixels as those of a store of ``stored_size``.

    Parameters
    ----------
    source : an image file, or its contents
    image_size : height and width
    channels : 1 (grey) or 3 (RGB)
    stored_size : short side to which a store resizes images, pixels
    short_side : short side to which that is resized before the window is cut
    where : what messages call it; None for the file's name

    Returns
    -------
    uint8 (rows, columns, channels)

    Raises
    ------
    DataError
        As `read_image`.
    """
    pixels = to_short_side(_decoded(source, channels, where, 2 * stored_size), stored_size)
    size = resized_to(np.array([pixels.shape[:2]], np.int64), image_size, np.array([short_side]))[0]
    return cut(pixels, size, corners(size, image_size), image_size)


def _decoded(source: str | Path | bytes, channels: int, where: object, least: int | None) -> NDArray[np.uint8]:
    """The result of `decode` for a file, which is checked first, or for its contents."""
    mode = "L" if channels == 1 else "RGB"
    with decoding_quietly():
        if isinstance(source, bytes):
            where = "it" if where is None else where
            if not source:
                raise DataError(f"expected an image at {where}, but it is empty")
            return decode(BytesIO(source), where, mode, least)
        path = Path(source)
        _check_file(path)
        return decode(path, path if where is None else where, mode, least)


def to_grey(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Convert to grey and resize: uint8 (H, W, 1 or 3) -> uint8 of the size given, rows and columns."""
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("L")
    return np.array(image.resize((size[1], size[0]), Image.Resampling.BOX))


@contextmanager
def decoding_quietly() -> Iterator[None]:
    """Context manager that suppresses Pillow's warnings about large images and odd metadata, in all threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation in the EXIF data, unless these are damaged."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # as in `decode`
        return image


def _open(source: Path | BytesIO) -> Image.Image:
    """Open an image; a JPEG of any size is opened, because it can be decoded at a part of its size."""
    from PIL import Image, JpegImagePlugin

    try:
        return Image.open(source, formats=_formats())
    except Image.DecompressionBombError:
        file = BytesIO(source.read_bytes()) if isinstance(source, Path) else source
        file.seek(0)
        if file.read(3) != b"\xff\xd8\xff":  # the start of every JPEG
            raise
        file.seek(0)
        return JpegImagePlugin.JpegImageFile(file)


def _reduce(image: Image.Image, least: int | None, where: object) -> None:
    """Let a JPEG be decoded at a half, quarter or eighth of its size; DataError for what is still too large."""
    w, h = image.size
    divisor = next((d for d in (1, 2, 4, 8) if w * h <= MAX_PIXELS * d * d), 8)
    if least is not None:
        image.draft(None, (least, least))
    elif divisor > 1:
        image.draft(None, (-(-w // divisor), -(-h // divisor)))
    if w * h > MOST_PIXELS or image.size[0] * image.size[1] > MAX_PIXELS:
        raise DataError(
            f"expected an image of at most {MAX_PIXELS} pixels ({MOST_PIXELS} as JPEG) at {where}, but it has {w} x {h}"
        )
