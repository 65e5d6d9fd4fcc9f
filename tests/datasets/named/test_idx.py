from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from binnet_datasets import DataError, read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def to_idx(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


small = st.sampled_from(sorted(CODES)).flatmap(
    lambda code: arrays(code, st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(array=small, packed=st.booleans())
def test_round_trip(tmp_path: Path, array: np.ndarray, packed: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(to_idx(array)) if packed else to_idx(array))
    result = read_idx(path)
    assert result.dtype == array.dtype
    assert result.dtype.isnative
    assert result.shape == array.shape
    assert result.tobytes() == array.tobytes()


@pytest.fixture(params=["plain", "gzip"])
def write(request: pytest.FixtureRequest, tmp_path: Path):
    """Write bytes as a file, plain or compressed."""

    def do(content: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(gzip.compress(content) if request.param == "gzip" else content)
        return path

    return do


GOOD = to_idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_every_truncation_is_refused(write, length: int) -> None:
    with pytest.raises(DataError, match="file"):
        read_idx(write(GOOD[:length]))


def test_trailing_byte_is_refused(write) -> None:
    with pytest.raises(DataError, match="bytes"):
        read_idx(write(GOOD + b"\0"))


@pytest.mark.parametrize(
    "magic", [b"\1\0\x08\3", b"\0\1\x08\3", b"\0\0\x07\3", b"\0\0\x08\0", b"\0\0\x08\xff", b"PNG!"]
)
def test_wrong_magic_number_is_refused(write, magic: bytes) -> None:
    with pytest.raises(DataError, match="magic number.*but got " + magic.hex(" ")):
        read_idx(write(magic + GOOD[4:]))


def test_wrong_number_of_dimensions_is_refused(write) -> None:
    with pytest.raises(DataError, match=r"1 dimensions.*says 3"):
        read_idx(write(GOOD), ndim=1)


@pytest.mark.parametrize("packed", [False, True])
def test_huge_dimensions_are_refused_before_allocating(tmp_path: Path, packed: bool) -> None:
    liar = b"\0\0\x08\3" + struct.pack(">3I", 1 << 20, 1 << 5, 1 << 5) + bytes(100)
    path = tmp_path / "liar"
    path.write_bytes(gzip.compress(liar) if packed else liar)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="liar"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_dimensions_beyond_any_memory_are_refused(write) -> None:
    with pytest.raises(DataError, match="bytes"):
        read_idx(write(b"\0\0\x08\4" + b"\xff" * 16))


def test_every_corrupt_byte_of_gzip_is_refused_or_harmless(tmp_path: Path) -> None:
    path, packed = tmp_path / "file", gzip.compress(GOOD, mtime=0)
    refused = 0
    for place in range(len(packed)):
        path.write_bytes(packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :])
        try:
            result = read_idx(path)
        except DataError:
            refused += 1
        else:  # a byte of the header that says nothing about the contents
            assert result.tobytes() == GOOD[16:]
            assert place < 10
    assert refused >= len(packed) - 10


def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD)
    for length in range(len(packed)):
        (tmp_path / "file").write_bytes(packed[:length])
        with pytest.raises(DataError, match="file"):
            read_idx(tmp_path / "file")


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere, but there is no file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DataError, match="a folder"):
        read_idx(tmp_path)
