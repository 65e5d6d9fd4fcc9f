from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from binnet_datasets import DataError, read_centre, read_image
from binnet_datasets.images.decoding import decode, to_short_side

RGB = np.random.default_rng(5).integers(0, 256, (6, 9, 3), np.uint8)
GREY = RGB[..., 0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image"


def save(image: Image.Image, path: Path, format: str = "PNG", **options: object) -> Path:
    image.save(path, format, **options)
    return path


def test_rgb_is_exact(path: Path) -> None:
    out = read_image(save(Image.fromarray(RGB), path), (6, 9), 3)
    assert np.array_equal(out, RGB)
    assert out.dtype == np.uint8


def test_grey_is_exact(path: Path) -> None:
    save(Image.fromarray(GREY), path)
    assert np.array_equal(read_image(path, (6, 9), 1)[..., 0], GREY)
    assert np.array_equal(read_image(path, (6, 9), 3), np.repeat(GREY[..., None], 3, axis=2))


def test_rgb_to_grey_is_luminance(path: Path) -> None:
    out = read_image(save(Image.fromarray(RGB), path), (6, 9), 1)[..., 0]
    assert np.abs(out - RGB @ [0.299, 0.587, 0.114]).max() <= 1


def test_one_number_is_a_square(path: Path) -> None:
    assert read_image(save(Image.fromarray(RGB), path), 4, 3).shape == (4, 4, 3)


@pytest.mark.parametrize("quality", [30, 95])
def test_jpeg(path: Path, quality: int) -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 32).astype(np.uint8)[:, None, None], (32, 16, 3))
    out = read_image(save(Image.fromarray(smooth), path, "JPEG", quality=quality), (32, 16), 3)
    assert np.abs(out.astype(int) - smooth).max() < 20


def test_cmyk_jpeg(path: Path) -> None:
    flat = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    out = read_image(save(flat, path, "JPEG", quality=95), 8, 3)
    assert np.abs(out.astype(int) - [255, 0, 0]).max() < 10


def test_opaque_rgba_is_its_colours(path: Path) -> None:
    rgba = np.dstack([RGB, np.full(GREY.shape, 255, np.uint8)])
    assert np.array_equal(read_image(save(Image.fromarray(rgba), path), (6, 9), 3), RGB)


@pytest.mark.parametrize(("channels", "half"), [(1, 127), (3, 127)])
def test_transparent_becomes_white(path: Path, channels: int, half: int) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = [0, 128, 255]
    out = read_image(save(Image.fromarray(rgba), path), (1, 3), channels)
    assert out[0].tolist() == [[255] * channels, [half] * channels, [0] * channels]


def test_palette(path: Path) -> None:
    indexed = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(read_image(save(indexed, path), (6, 9), 3), np.asarray(indexed.convert("RGB")))


def test_palette_with_a_transparent_colour(path: Path) -> None:
    indexed = Image.new("P", (2, 1))
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    indexed.putpixel((1, 0), 1)
    out = read_image(save(indexed, path, transparency=0), (1, 2), 3)
    assert out[0].tolist() == [[255] * 3, [40, 50, 60]]


def test_one_bit(path: Path) -> None:
    bits = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    assert read_image(save(bits, path), (1, 3), 1).ravel().tolist() == [0, 255, 0]


def test_sixteen_bits_are_scaled_not_clipped(path: Path) -> None:
    wide = np.array([[0, 256, 257, 32768, 65535]], np.uint16)
    out = read_image(save(Image.fromarray(wide), path), (1, 5), 1)
    assert out.ravel().tolist() == [0, 1, 1, 128, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(path: Path, orientation: int) -> None:
    upright = np.repeat(np.repeat(np.array([[0, 80], [160, 240], [60, 250]], np.uint8), 16, 0), 16, 1)
    # how a camera held that way stores the picture: the inverse of what a viewer does
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(Image.fromarray(np.ascontiguousarray(stored)), path, "JPEG", quality=95, exif=exif)
    out = read_image(path, (48, 32), 1)[..., 0]
    assert np.abs(out.astype(int) - upright).max() < 20


@pytest.mark.parametrize("format", ["BMP", "GIF", "PPM", "WEBP"])
def test_other_formats(path: Path, format: str) -> None:
    save(Image.fromarray(GREY), path, format, **({"lossless": True} if format == "WEBP" else {}))
    assert np.array_equal(read_image(path, (6, 9), 1)[..., 0], GREY)


def test_missing(path: Path) -> None:
    with pytest.raises(DataError, match="image, but there is no such file"):
        read_image(path, 4, 3)
    with pytest.raises(DataError, match="expected an image"):
        read_image("null\0byte", 4, 3)


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is a folder"):
        read_image(tmp_path, 4, 3)


def test_empty(path: Path) -> None:
    path.touch()
    with pytest.raises(DataError, match="the file is empty"):
        read_image(path, 4, 3)


@pytest.mark.parametrize("content", [b"no image at all", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_not_an_image(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match="it is none of these"):
        read_image(path, 4, 3)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(path: Path, format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = save(Image.fromarray(noise), path, format).read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=str(path)):
        read_image(path, 4, 3)


def huge_png(w: int, h: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8200, 12_000, 60_000])  # above our limit, above Pillow's warning, above its error
def test_too_large(path: Path, side: int) -> None:
    path.write_bytes(huge_png(side, side))
    with pytest.raises(DataError, match="at most 67108864 pixels"):
        read_image(path, 4, 3)


@pytest.mark.parametrize("image_size", [0, (0, 3), (3,), (1, 2, 3)])
def test_bad_size(path: Path, image_size) -> None:
    with pytest.raises(ValueError, match="image_size must be"):
        read_image(path, image_size, 3)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_bad_channels(path: Path, channels: int) -> None:
    with pytest.raises(ValueError, match=f"channels must be 1 or 3, got {channels}"):
        read_image(path, 4, channels)


def test_unreadable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", deny)
    with pytest.raises(DataError, match="Permission denied"):
        read_image(path, 4, 3)


def test_limit_of_pillow_that_an_application_lowered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(Image.fromarray(RGB), path)  # 54 pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)  # above it Pillow only warns, and that is not passed on
    assert np.array_equal(read_image(path, (6, 9), 3), RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match=r"but got more: .*limit of 40 pixels"):
        read_image(path, 4, 3)


def test_a_jpeg_may_be_decoded_smaller_but_not_below_what_is_asked_for(path: Path) -> None:
    wide = np.broadcast_to(np.linspace(0, 255, 800).astype(np.uint8)[None, :, None], (400, 800, 3))
    content = save(Image.fromarray(np.ascontiguousarray(wide)), path, "JPEG").read_bytes()
    shapes = {least: decode(io.BytesIO(content), "it", "RGB", least).shape[:2] for least in (401, 150, 100, 40, 10)}
    assert shapes == {401: (400, 800), 150: (200, 400), 100: (100, 200), 40: (50, 100), 10: (50, 100)}
    assert decode(io.BytesIO(content), "it", "RGB").shape == (400, 800, 3)


def test_damaged_exif_leaves_the_pixels(path: Path) -> None:
    content = save(Image.fromarray(RGB), path, "JPEG").read_bytes()
    exif = b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(20)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(content[:2] + segment + content[2:])
    assert read_image(path, (6, 9), 3).shape == (6, 9, 3)


@pytest.mark.parametrize(
    ("shape", "length", "expected"),
    [((6, 9), 6, (6, 9)), ((6, 9), 4, (4, 6)), ((9, 6), 12, (18, 12)), ((2, 90), 4, (4, 16)), ((90, 2), 1, (4, 1))],
)
def test_to_short_side(shape: tuple[int, int], length: int, expected: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    out = to_short_side(pixels, length)
    assert out.shape == (*expected, 3)
    assert out.flags.c_contiguous
    if expected == shape:
        assert np.array_equal(out, pixels)


def test_of_a_very_long_image_the_middle_is_kept() -> None:
    pixels = np.zeros((1, 20, 1), np.uint8)
    pixels[0, 8:12] = 255
    assert to_short_side(pixels, 1).ravel().tolist() == [255] * 4


def test_centre_as_a_store_of_a_size_shows_it(path: Path) -> None:
    levels = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    whole = np.concatenate([np.zeros_like(levels)[:, :50], levels, np.zeros_like(levels)[:, :50]], axis=1)
    save(Image.fromarray(np.ascontiguousarray(whole)), path)
    assert np.array_equal(read_centre(path, (256, 256), 3, 256, 256), levels)
    assert np.array_equal(read_centre(path.read_bytes(), (224, 224), 3, 256, 256), levels[16:240, 16:240])
    shrunk = read_centre(path, (64, 64), 1, 64, 64)
    assert shrunk.shape == (64, 64, 1)
    assert shrunk.min() < 6
    assert shrunk.max() > 250
    assert read_centre(path, (300, 20), 1, 256, 256).shape == (300, 20, 1)
    with pytest.raises(DataError, match="there is no such file"):
        read_centre(path.with_name("none"), (4, 4), 3, 4, 4)
    with pytest.raises(DataError, match="expected an image at here, but it is empty"):
        read_centre(b"", (4, 4), 3, 4, 4, "here")
