"""Small data sets written on the spot, and a server that can misbehave."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def idx_bytes(array: np.ndarray) -> bytes:
    """Write an array of single bytes as idx."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def to_idx() -> Callable[[np.ndarray], bytes]:
    return idx_bytes


@pytest.fixture
def mnist_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "train-images": rng.integers(0, 256, (12, 28, 28), np.uint8),
        "train-labels": np.arange(12, dtype=np.uint8) % 10,
        "t10k-images": rng.integers(0, 256, (5, 28, 28), np.uint8),
        "t10k-labels": np.array([9, 0, 3, 3, 7], np.uint8),
    }


@pytest.fixture
def mnist_folder(tmp_path: Path, mnist_arrays: dict[str, np.ndarray]) -> Path:
    """The four files, compressed, under the published names."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, array in mnist_arrays.items():
        (folder / f"{name}-idx{array.ndim}-ubyte.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
    return folder


@pytest.fixture
def cifar_batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (N, 32, 32, 3) and labels of the six batches, four images each."""
    rng = np.random.default_rng(2)
    stems = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    return {stem: (rng.integers(0, 256, (4, 32, 32, 3), np.uint8), rng.integers(0, 10, 4)) for stem in stems}


@pytest.fixture
def cifar_binary(tmp_path: Path, cifar_batches: dict[str, Any]) -> Path:
    """A folder in the official binary layout."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for stem, (images, labels) in cifar_batches.items():
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        records = np.column_stack([labels.astype(np.uint8), planes])
        (folder / f"{stem}.bin").write_bytes(records.tobytes())
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    (folder / "batches.meta.txt").write_text("\n".join(names.split()) + "\n\n")
    return folder


@pytest.fixture
def pack_tar() -> Callable[..., Path]:
    """Pack a folder, under its own name, into a tar that is compressed as ``kind`` says: gz, bz2, xz or nothing."""

    def pack(folder: Path, target: Path, kind: str = "gz") -> Path:
        with tarfile.open(target, f"w:{kind}") as archive:
            archive.add(folder, folder.name)
        return target

    return pack


class Server:
    """A local web server: ``files`` by path, ``requests`` it saw, and what it does wrong."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.break_off_after: int | None = None
        self.send_length = True
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                body = outer.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                if outer.send_length:
                    self.send_header("Content-Length", str(len(body)))
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: outer.break_off_after])

            def log_message(self, *args: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    running = Server()
    yield running
    running.close()


def image_bytes(seed: int, h: int = 24, w: int = 32, format: str = "PNG") -> bytes:
    """An image of smooth noise, another for every seed."""
    from PIL import Image

    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((w, h), Image.Resampling.BICUBIC).save(file, format)
    return file.getvalue()


@pytest.fixture
def picture() -> Callable[..., bytes]:
    return image_bytes


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files by their names below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def write() -> Callable[[Path, dict[str, bytes]], Path]:
    return write_files


def tar_bytes(files: dict[str, bytes]) -> bytes:
    """A tar of files by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def to_tar() -> Callable[[dict[str, bytes]], bytes]:
    return tar_bytes


@pytest.fixture
def imagenet() -> dict[str, bytes]:
    """Three classes of six training and two validation images each, as class folders in train and val."""
    files = {"words.txt": b"n02\tcrane, bird\nn01\tgoldfish, Carassius auratus\nn03\tcrane, machine\nn99\tox\n"}
    for label, wnid in enumerate(("n01", "n02", "n03")):
        for i in range(8):
            part = "train" if i < 6 else "val"
            files[f"{part}/{wnid}/{wnid}_{i}.png"] = image_bytes(10 * label + i)
    return files
