"""Validation images that are training images as well."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from binnet_datasets import build_store, load, read_store
from binnet_datasets.store.twins import difference_hash


def found(source: Path, tmp_path: Path, **options: object) -> dict[str, object]:
    build_store(source, tmp_path / "out.h5", **options)
    return read_store(tmp_path / "out.h5").description["twins"]


def saved(picture: bytes, format: str, size: tuple[int, int] | None = None, **options: object) -> bytes:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    file = io.BytesIO()
    (image.resize(size, Image.Resampling.LANCZOS) if size else image).save(file, format, **options)
    return file.getvalue()


def test_different_pictures_are_no_twins(imagenet, write, tmp_path: Path) -> None:
    assert found(write(tmp_path / "s", imagenet), tmp_path) == {"identical": 0, "alike": 0, "pairs": []}


def test_copies_across_splits(imagenet, write, picture, tmp_path: Path) -> None:
    big = picture(500, 240, 320)
    copies = {
        "train/n02/big.png": big,
        "val/n01/thumbnail.jpg": saved(big, "JPEG", (160, 120), quality=75),
        "val/n01/same.png": imagenet["train/n01/n01_2.png"],
        "val/n03/other_class.bmp": saved(imagenet["train/n02/n02_4.png"], "BMP"),
    }
    notes: list[str] = []
    twins = found(write(tmp_path / "s", {**imagenet, **copies}), tmp_path, notes=notes.append)
    assert (twins["identical"], twins["alike"]) == (2, 1)
    assert sorted(map(tuple, twins["pairs"])) == [
        ("train/n01/n01_2.png", "val/n01/same.png"),
        ("train/n02/big.png", "val/n01/thumbnail.jpg"),
        ("train/n02/n02_4.png", "val/n03/other_class.bmp"),
    ]
    (note,) = [note for note in notes if "are training images as well" in note]
    assert note.startswith("3 validation images are training images as well (2 identical, 1 nearly so), such as val/")


def test_a_store_in_the_cache_is_warned_of_each_time(imagenet, write, tmp_path: Path) -> None:
    source = write(tmp_path / "s", {**imagenet, "val/n01/same.png": imagenet["train/n01/n01_2.png"]})
    for _ in range(2):
        notes: list[str] = []
        load(None, source, tmp_path / "cache", notes=notes.append)
        assert any("1 validation image is a training image as well" in note for note in notes)


def test_a_build_that_goes_on_finds_the_same(imagenet, write, tmp_path: Path, monkeypatch) -> None:
    source = write(tmp_path / "s", {**imagenet, "val/n01/same.png": imagenet["train/n01/n01_2.png"]})
    build_store(source, tmp_path / "whole.h5")

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    monkeypatch.setattr("binnet_datasets.store.journal._FLUSH_SECONDS", -1.0)
    with pytest.raises(Exception, match="cannot write"):
        build_store(source, tmp_path / "out.h5", progress=stop)
    notes: list[str] = []
    build_store(source, tmp_path / "out.h5", notes=notes.append)
    assert any(note.startswith("going on after 16 of 25") for note in notes)
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_flat_images_of_different_grey_are_no_twins(write, tmp_path: Path) -> None:
    files = {}
    for i in range(12):
        file = io.BytesIO()
        Image.new("RGB", (20, 20), (20 * i, 20 * i, 20 * i)).save(file, "PNG")
        files[f"{'val' if i % 3 == 0 else 'train'}/{'ab'[i % 2]}/{i}.png"] = file.getvalue()
    assert found(write(tmp_path / "s", files), tmp_path) == {"identical": 0, "alike": 0, "pairs": []}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_hash_says_where_grey_grows(channels: int) -> None:
    ramp = np.broadcast_to(np.arange(0, 180, dtype=np.uint8)[None, :, None], (160, 180, channels))
    bits = np.unpackbits(np.frombuffer(difference_hash(np.ascontiguousarray(ramp)), np.uint8))
    assert bits.tolist() == [1] * 64 + [0] * 64
