from __future__ import annotations

import errno
import hashlib
import os
import socket
from pathlib import Path

import pytest

from binnet_datasets import DataError, fetch
from binnet_datasets.named import download as module

BODY = bytes(range(256)) * 1000
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


@pytest.fixture
def url(server) -> str:
    server.files["/file"] = BODY
    return f"{server.url}file"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file"


def nothing_left(target: Path) -> bool:
    return not target.parent.exists() or not list(target.parent.iterdir())


@pytest.mark.parametrize("checksum", [SHA256, MD5])
@pytest.mark.parametrize("size", [None, len(BODY)])
def test_whole_file(url: str, target: Path, checksum: str, size: int | None) -> None:
    assert fetch(url, target, checksum, size) == target
    assert target.read_bytes() == BODY
    assert os.listdir(target.parent) == ["file"]


def test_progress_counts_up_to_the_whole(url: str, target: Path, server) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(url, target, SHA256, progress=lambda got, total: seen.append((got, total)))
    assert [got for got, _ in seen] == sorted(got for got, _ in seen)
    assert seen[-1] == (len(BODY), len(BODY))
    assert len(seen) > 2
    server.send_length = False
    fetch(url, target.with_name("other"), SHA256, progress=lambda got, total: seen.append((got, total)))
    assert seen[-1] == (len(BODY), None)


def test_verified_file_is_not_requested_again(url: str, target: Path, server) -> None:
    fetch(url, target, SHA256)
    fetch(url, target, MD5)
    assert server.requests == ["/file"]


def test_damaged_file_is_replaced(url: str, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(BODY[:-1])
    fetch(url, target, SHA256)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("send_length", [True, False])
@pytest.mark.parametrize("after", [0, 1, 100_000, len(BODY) - 1])
def test_interrupted_transfer(url: str, target: Path, server, after: int, send_length: bool) -> None:
    server.break_off_after, server.send_length = after, send_length
    with pytest.raises(DataError, match=f"expected {len(BODY)} bytes from {url}, .* broke off after {after}$"):
        fetch(url, target, SHA256, len(BODY))
    assert nothing_left(target)


def test_failed_download_keeps_the_file_there_was(url: str, target: Path, server) -> None:
    target.parent.mkdir()
    target.write_bytes(b"older")
    server.break_off_after = 10
    with pytest.raises(DataError):
        fetch(url, target, SHA256)
    assert target.read_bytes() == b"older"
    assert os.listdir(target.parent) == ["file"]


@pytest.mark.parametrize("send_length", [True, False])
def test_longer_than_expected(url: str, target: Path, server, send_length: bool) -> None:
    server.send_length = send_length
    with pytest.raises(DataError, match=f"expected 1000 bytes .* sends {len(BODY) if send_length else 'more'}"):
        fetch(url, target, SHA256, 1000)
    assert nothing_left(target)


def test_wrong_checksum(url: str, target: Path) -> None:
    with pytest.raises(DataError, match=f"expected md5:{'0' * 32} from {url}, but got {MD5}"):
        fetch(url, target, f"md5:{'0' * 32}")
    assert nothing_left(target)


def test_not_found(url: str, target: Path) -> None:
    with pytest.raises(DataError, match=f"could not download {url}x: the server answered 404"):
        fetch(url + "x", target, SHA256)
    assert nothing_left(target)


def test_unreachable(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/file"
        with pytest.raises(DataError, match=f"could not download {url}: .*refused"):
            fetch(url, target, SHA256)
    assert nothing_left(target)


def test_silent_server_times_out(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        with pytest.raises(DataError, match="timed out"):
            fetch(url, target, SHA256, timeout=0.1)
    assert nothing_left(target)


def test_server_that_speaks_no_http(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", _raise_bad_status)
    with pytest.raises(DataError, match=r"could not download http://127\.0\.0\.1/: garbage"):
        fetch("http://127.0.0.1/", target, SHA256)
    assert nothing_left(target)


def _raise_bad_status(*args: object, **kwargs: object) -> None:
    from http.client import BadStatusLine

    raise BadStatusLine("garbage")


def test_no_space(url: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """Lets a little through."""

        def __init__(self, file) -> None:
            self.file = file

        def write(self, chunk: bytes) -> None:
            self.file.write(chunk[:10])
            if chunk:
                raise OSError(errno.ENOSPC, "No space left on device")

    write = module._write
    monkeypatch.setattr(module, "_write", lambda file, *rest: write(Full(file), *rest))
    with pytest.raises(DataError, match=f"could not write {target} .*No space left on device"):
        fetch(url, target, SHA256)
    assert nothing_left(target)


def test_folder_that_cannot_be_made(url: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="could not write"):
        fetch(url, tmp_path / "cache" / "file", SHA256)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(url: str, tmp_path: Path, server) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match=r"could not write .*denied"):
        fetch(url, tmp_path / "file", SHA256)
    assert server.requests == []


def test_interrupted_by_the_user_leaves_nothing(url: str, target: Path) -> None:
    def press_control_c(got: int, total: int | None) -> None:
        if got:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(url, target, SHA256, progress=press_control_c)
    assert nothing_left(target)


@pytest.mark.parametrize("checksum", ["", "sha256:", "md5:" + "0" * 31, "md5:" + "g" * 32, "crc:" + "0" * 32, "0" * 64])
def test_malformed_checksum(target: Path, checksum: str) -> None:
    with pytest.raises(ValueError, match="checksum must be"):
        fetch("http://127.0.0.1/", target, checksum)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/", "nonsense"])
def test_other_schemes(target: Path, url: str) -> None:
    with pytest.raises(ValueError, match="http:// or https://"):
        fetch(url, target, SHA256)
