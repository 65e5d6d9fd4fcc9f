from __future__ import annotations

import errno
import gzip
import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import binnet_datasets
from binnet_datasets import DataError, fetch
from binnet_datasets.named import download as module

BODY = bytes(range(256)) * 1000
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


@pytest.fixture(autouse=True)
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRIES", 0)


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
    with pytest.raises(DataError, match=f"could not download {url}: the transfer broke off$"):
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
    with pytest.raises(DataError, match=f"expected md5:{'0' * 32} from {url}, but the file .* another checksum"):
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
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/file"

        def answer() -> None:
            with listening.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"garbage\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DataError, match=f"could not download {url}: garbage"):
            fetch(url, target, SHA256)
        thread.join()
    assert nothing_left(target)


def test_broken_transfer_is_tried_again(url: str, target: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRIES", 2)
    waits: list[float] = []

    def mend(seconds: float) -> None:
        waits.append(seconds)
        server.break_off_after = None

    monkeypatch.setattr("pooch.core.time.sleep", mend)
    server.break_off_after = 1000
    assert fetch(url, target, SHA256, len(BODY)).read_bytes() == BODY
    assert (waits, server.requests) == ([1], ["/file"] * 2)


def test_refusal_is_not_tried_again(url: str, target: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRIES", 2)
    with pytest.raises(DataError, match="answered 404"):
        fetch(url + "x", target, SHA256)
    assert server.requests == ["/filex"]


def test_compressed_file_is_kept_as_it_is(url: str, target: Path, server) -> None:
    """Also from a server that takes its ending for that of a compressed transfer."""
    body = gzip.compress(BODY)
    server.files["/file"], server.headers["Content-Encoding"] = body, "gzip"
    fetch(url, target, f"sha256:{hashlib.sha256(body).hexdigest()}", len(body))
    assert target.read_bytes() == body


def test_file_is_as_readable_as_any_other_and_nothing_is_printed(url: str, target: Path, capfd) -> None:
    fetch(url, target, SHA256)
    target.with_name("other").write_text("")
    assert target.stat().st_mode == target.with_name("other").stat().st_mode
    assert capfd.readouterr() == ("", "")


def test_nothing_that_downloads_is_imported_before(url: str, target: Path) -> None:
    code = "import sys, binnet_datasets; print({'pooch', 'requests', 'platformdirs'} & {*sys.modules})"
    path = str(Path(binnet_datasets.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_no_space(url: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self, response, output_file: str) -> None:
        Path(output_file).write_bytes(b"a little")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module._Downloader, "_save", full)
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
