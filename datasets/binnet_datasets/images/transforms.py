"""Pure functions on batches of images, NHWC. The caller draws random numbers and passes them in."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

Mode = Literal["reflect", "zero"]
MODES: tuple[Mode, ...] = ("reflect", "zero")


def normalise(images: NDArray[np.uint8], mean: ArrayLike, std: ArrayLike) -> NDArray[np.float32]:
    """Scale to [0, 1], then subtract the mean and divide by the standard deviation of each channel.

    Parameters
    ----------
    images : uint8 (..., C)
    mean, std : a number, or (C,); in units of the scaled images, ``std`` above 0

    Returns
    -------
    float32 (..., C), a new array

    Raises
    ------
    TypeError
        When images are not uint8: images scaled already would silently be scaled again.
    ValueError
        When mean or std does not fit the channels, is not finite, or std is not positive.
    """
    if images.dtype != np.uint8:
        raise TypeError(f"images must be uint8 (values 0..255), got {images.dtype}")
    channels, width = images.shape[-1], images.shape[-2] if images.ndim > 1 else 1
    shift, scale = channel_stats(mean, std, channels)
    out = np.empty(images.shape, np.float32)
    np.divide(images, np.float32(255), out=out, dtype=np.float32)
    # A whole row of pixels at a time: NumPy's loop over three channels takes five times as long.
    rows = out.reshape(*images.shape[:-2], width * channels)
    rows -= np.tile(shift, width)
    rows /= np.tile(scale, width)
    return out


def channel_stats(mean: ArrayLike, std: ArrayLike, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and std as float32 (C,); ValueError unless they are finite, fit the channels, and std is positive."""
    values = []
    for name, given in (("mean", mean), ("std", std)):
        value = np.asarray(given, np.float32)
        if value.shape not in ((), (1,), (channels,)) or not np.isfinite(value).all():
            raise ValueError(
                f"{name} must be finite and one number or one for each of {channels} channels, got {given!r}"
            )
        values.append(np.broadcast_to(value, (channels,)))
    if not (values[1] > 0).all():
        raise ValueError(f"std must be positive, got {std!r}")
    return values[0], values[1]


def pad_and_crop(images: NDArray[Any], pad: int, offsets: NDArray[np.int64], mode: Mode = "reflect") -> NDArray[Any]:
    """Pad every side by ``pad`` pixels and cut out a window of the old size at a place of its own for each image.

    Parameters
    ----------
    images : (N, H, W, C), any dtype
    pad : pixels, 0 or more; with mode "reflect" less than H and W
    offsets : int64 (N, 2), 0..2*pad, the window's first row and column in the padded image; ``pad`` leaves it in place
    mode : "reflect" mirrors at the border without repeating it, "zero" pads with 0

    Returns
    -------
    (N, H, W, C), same dtype, C-contiguous

    Raises
    ------
    ValueError
        When an argument is none of these.
    """
    _check_batch(images)
    n, h, w, _ = images.shape
    check_pad(pad, mode, h, w)
    if offsets.shape != (n, 2) or (n and not 0 <= offsets.min() <= offsets.max() <= 2 * pad):
        raise ValueError(f"offsets must be ({n}, 2) in 0..{2 * pad}, got {offsets.shape}: {offsets.tolist()[:3]}")
    border = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    padded = np.pad(images, border, mode="reflect") if mode == "reflect" else np.pad(images, border)
    # Every window there is, as a view (n, 2*pad+1, 2*pad+1, h, w, c): picking one an image copies rows of pixels,
    # 4 to 10 times as fast as indexing pixel by pixel.
    windows = sliding_window_view(padded, (h, w), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    return np.ascontiguousarray(windows[np.arange(n), offsets[:, 0], offsets[:, 1]])


def check_pad(pad: int, mode: str, h: int, w: int) -> None:
    """Raise ValueError unless ``pad`` and ``mode`` suit images of h x w pixels."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if pad < 0:
        raise ValueError(f"pad must be 0 or more, got {pad}")
    if mode == "reflect" and pad and pad >= min(h, w):
        raise ValueError(f"pad must be less than the image ({h} x {w}) to reflect it, got {pad}")


def flip(images: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[Any]:
    """Mirror some images left to right.

    Parameters
    ----------
    images : (N, H, W, C), any dtype
    chosen : bool (N,), which of them

    Returns
    -------
    (N, H, W, C), same dtype, a new array

    Raises
    ------
    ValueError
        When images have another rank, or ``chosen`` is not one bool an image.
    """
    _check_batch(images)
    if chosen.dtype != np.bool_ or chosen.shape != images.shape[:1]:
        raise ValueError(f"chosen must be bool ({len(images)},), got {chosen.dtype} {chosen.shape}")
    out = np.empty_like(images)
    for old, new, mirrored in zip(images, out, chosen.tolist(), strict=True):
        if not mirrored:
            new[...] = old
            continue
        for c in range(images.shape[3]):  # a channel at a time: reversing whole pixels takes three times as long
            new[..., c] = old[:, ::-1, c]
    return out


def _check_batch(images: NDArray[Any]) -> None:
    if images.ndim != 4:
        raise ValueError(f"images must be (N, H, W, C), got shape {images.shape}")


def resize_to(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize one image bilinearly, averaging over all pixels that shrink into one (antialiasing).

    Parameters
    ----------
    image : uint8 (H, W, C), C 1 or 3
    size : height and width, each 1 or more

    Returns
    -------
    uint8 (size[0], size[1], C), a new array; exactly the given pixels when the size is the same

    Raises
    ------
    ValueError
        When image or size is none of these.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"image must be uint8 (H, W, 1 or 3), got {image.dtype} {image.shape}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be height and width, each 1 or more, got {size}")
    if image.shape[:2] == tuple(size):
        return image.copy()
    return resample(image, (0, 0, *image.shape[:2]), size)


def resample(
    image: NDArray[np.uint8], box: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Resize a part of an image like `resize_to`; pixels beside the part have an influence on its border.

    Parameters
    ----------
    image : uint8 (H, W, C), C 1 or 3
    box : first row, first column, last row, last column, in pixels and parts of them, inside the image
    size : height and width

    Returns
    -------
    uint8 (size[0], size[1], C), a new array
    """
    from PIL import Image

    top, left, bottom, right = box
    source = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    resized = source.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    return np.array(resized).reshape(*size, image.shape[2])
