"""Download one file so that it is either whole and verified at its name, or not there at all."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

from ..errors import DataError

Progress = Callable[[int, int | None], None]
Pieces = Iterator[tuple[bytes, int | None]]  # each with the length the server announced
_CHUNK = 1 << 16
_HEX_LENGTH = {"sha256": 64, "md5": 32}


def fetch(
    url: str,
    path: str | Path,
    checksum: str,
    size: int | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> Path:
    """Download ``url`` to ``path``, unless a file with the right checksum is there already.

    The bytes go to a temporary name in the same folder, which is renamed only when length and checksum are right, so
    neither an interruption nor a second process downloading the same file leaves half a file at ``path``.

    Parameters
    ----------
    url : http or https address
    path : where the file shall be; its folder is made when needed
    checksum : ``"sha256:<hex>"`` or ``"md5:<hex>"``
    size : length in bytes, or None when unknown
    progress : called with (bytes so far, bytes in all or None) after each piece
    timeout : seconds without any byte after which the connection counts as lost

    Returns
    -------
    ``path``

    Raises
    ------
    DataError
        When the server cannot be reached, answers with an error, breaks off or sends something else than expected,
        or when the file cannot be written.
    ValueError
        When ``url`` or ``checksum`` is not of the form above.
    """
    path = Path(path)
    algorithm, expected = _parse_checksum(checksum)
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"url must start with http:// or https://, got {url!r}")
    if verified(path, checksum):
        return path
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file, closing(_receive(url, timeout)) as pieces:
            digest = _write(file, pieces, url, algorithm, size, progress)
        if digest != expected:
            raise DataError(f"expected {checksum} from {url}, but got {algorithm}:{digest}")
        part.replace(path)
    except OSError as error:
        raise DataError(f"could not write {path} while downloading {url}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def verified(path: Path, checksum: str) -> bool:
    """Tell whether ``path`` is a readable file with this checksum."""
    algorithm, expected = _parse_checksum(checksum)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest() == expected
    except OSError:
        return False


def _parse_checksum(checksum: str) -> tuple[str, str]:
    """Split ``algorithm:hex`` and check both."""
    algorithm, _, digest = checksum.partition(":")
    if len(digest) != _HEX_LENGTH.get(algorithm, -1) or not set(digest) <= set("0123456789abcdef"):
        raise ValueError(f"checksum must be sha256:<64 hex digits> or md5:<32 hex digits>, got {checksum!r}")
    return algorithm, digest


def _write(
    file: IO[bytes], pieces: Pieces, url: str, algorithm: str, size: int | None, progress: Progress | None
) -> str:
    """Write what the server sends, check its length and return its checksum in hex."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    received, total = 0, size
    for chunk, announced in pieces:
        total = announced if size is None else size
        received += len(chunk)
        if (total is not None and received > total) or announced not in (None, total):
            raise DataError(f"expected {total} bytes from {url}, but the server sends {announced or 'more'}")
        file.write(chunk)
        digest.update(chunk)
        if progress is not None:
            progress(received, total)
    if total is not None and received < total:
        raise DataError(f"expected {total} bytes from {url}, but the transfer broke off after {received}")
    return digest.hexdigest()


def _receive(url: str, timeout: float) -> Generator[tuple[bytes, int | None], None, None]:
    """Yield pieces of the body, each with the length the server announced; errors of the network become DataError."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, headers={"User-Agent": "binnet"}), timeout=timeout) as response:
            length = response.headers.get("Content-Length", "")
            announced = int(length) if length.isdecimal() else None
            yield b"", announced
            while chunk := response.read(_CHUNK):
                yield chunk, announced
    except HTTPError as error:
        error.close()
        raise DataError(f"could not download {url}: the server answered {error.code} {error.reason}") from error
    except URLError as error:
        raise DataError(f"could not download {url}: {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise DataError(f"could not download {url}: {error or type(error).__name__}") from error
