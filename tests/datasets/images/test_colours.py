"""Images of unusual colours and sizes: the right value, or a clear refusal."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from binnet_datasets import DataError, read_image
from binnet_datasets.images import decoding

WIDE = np.array([[0, 257 * 100, 65535, 257 * 50]], np.uint16)


def png(samples: np.ndarray, kind: int, transparent: bytes = b"") -> bytes:
    """A PNG of 16 bits, of samples (H, W, channels) and a colour type."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, kind, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", transparent), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts if part[1] or part[0] == b"IEND")


def stacked(*channels: np.ndarray) -> np.ndarray:
    return np.stack(channels, axis=-1)


HALF = np.full_like(WIDE, 32896)  # 128 of 255
CASES = {
    "grey": (png(WIDE[..., None], 0), [0, 100, 255, 50]),
    "grey with a transparent level": (png(WIDE[..., None], 0, struct.pack(">H", 257 * 100)), [0, 255, 255, 50]),
    "colour": (png(stacked(WIDE, WIDE, WIDE), 2), [0, 100, 255, 50]),
    "colour with a transparent one": (
        png(stacked(WIDE, WIDE, WIDE), 2, struct.pack(">HHH", *[257 * 100] * 3)),
        [0, 255, 255, 50],
    ),
    "grey with alpha": (png(stacked(WIDE, HALF), 4), [127, 177, 255, 152]),
    "colour with alpha": (png(stacked(WIDE, WIDE, WIDE, HALF), 6), [127, 177, 255, 152]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits(name: str, channels: int) -> None:
    content, expected = CASES[name]
    pixels = read_image(content, (1, 4), channels)
    np.testing.assert_allclose(pixels[0], np.repeat(np.array(expected)[:, None], channels, 1), atol=1)


def saved(made: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    made.save(file, kind, **options)
    return file.getvalue()


GREYS = np.array([[0, 100, 255, 50]], np.uint8)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (saved(Image.fromarray(GREYS).convert("1"), "PNG"), None),
        (saved(Image.fromarray(WIDE), "TIFF"), [0, 100, 255, 50]),
        (saved(Image.fromarray(GREYS), "TIFF"), [0, 100, 255, 50]),
        (saved(Image.fromarray(WIDE.astype(np.int32)), "TIFF"), [0, 100, 255, 50]),
        (saved(Image.fromarray(np.repeat(GREYS[..., None], 3, 2)).convert("CMYK"), "TIFF"), [0, 100, 255, 50]),
        (saved(Image.fromarray(GREYS), "JPEG2000"), [0, 100, 255, 50]),
        (saved(Image.fromarray(np.repeat(np.repeat(GREYS[..., None], 3, 2), 16, 0)), "AVIF", quality=100), None),
    ],
)
def test_other_files(content: bytes, expected: list[int] | None) -> None:
    pixels = read_image(content, (1, 4), 3)
    assert pixels.shape == (1, 4, 3)
    if expected:
        np.testing.assert_allclose(pixels[0], np.repeat(np.array(expected)[:, None], 3, 1), atol=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.5, 1.0]], np.float32), "expected an image of whole numbers at it, but .* floating-point"),
        (np.array([[0, 70000]], np.int32), r"expected grey levels from 0 to 65535 at it, but they lie in 0\.\.70000"),
    ],
)
def test_values_of_unknown_scale_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_image(saved(Image.fromarray(values), "TIFF"), (1, 2), 1)


def test_a_jpeg_larger_than_the_limit_is_decoded_at_a_part_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1))
    for kind in ("JPEG", "PNG"):
        (tmp_path / kind).write_bytes(saved(Image.fromarray(ramp), kind))
    expected = read_image(tmp_path / "JPEG", (6, 8), 1)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 120 * 160 // 10)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many on its own
    for source in (tmp_path / "JPEG", (tmp_path / "JPEG").read_bytes()):
        np.testing.assert_allclose(read_image(source, (6, 8), 1).astype(int), expected, atol=3)
    assert decoding.header_size((tmp_path / "JPEG").read_bytes) == (120, 160)
    with pytest.raises(DataError, match="expected an image of at most 1920 pixels"):
        read_image(tmp_path / "PNG", (6, 8), 1)
    monkeypatch.setattr(decoding, "MOST_PIXELS", 120 * 160 - 1)
    with pytest.raises(DataError, match=r"1920 pixels \(19199 as JPEG\) at .*JPEG, but it has 160 x 120"):
        read_image(tmp_path / "JPEG", (6, 8), 1)


ALPHA = np.array([[255, 255, 0, 128]], np.uint8)
WIDE_GREYS = np.repeat(np.repeat(GREYS, 16, 0), 16, 1)  # blocks of a JPEG


def palette(transparent: int | None) -> bytes:
    made = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8), "P")
    made.putpalette([value for grey in GREYS[0].tolist() for value in (grey,) * 3])
    return saved(made, "PNG", **({} if transparent is None else {"transparency": transparent}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (saved(Image.merge("LA", [Image.fromarray(GREYS), Image.fromarray(ALPHA)]), "PNG"), [0, 100, 255, 152]),
        (palette(None), [0, 100, 255, 50]),
        (palette(1), [0, 255, 255, 50]),
        (saved(Image.fromarray(GREYS), "PNG", transparency=50), [0, 100, 255, 255]),
        (saved(Image.fromarray(np.stack([WIDE_GREYS] * 3, 2)).convert("CMYK"), "JPEG", quality=100), [0, 100, 255, 50]),
        (saved(Image.fromarray(WIDE_GREYS), "JPEG", quality=100), [0, 100, 255, 50]),
    ],
)
def test_eight_bits(content: bytes, expected: list[int]) -> None:
    with Image.open(BytesIO(content)) as opened:
        size = opened.size[::-1]
    pixels = read_image(content, size, 3)[0, :: size[1] // 4]
    np.testing.assert_allclose(pixels, np.repeat(np.array(expected)[:, None], 3, 1), atol=3)
