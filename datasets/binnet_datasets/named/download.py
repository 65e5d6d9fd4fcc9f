"""Download of a file, which gets its final name only when it is complete and its checksum is right."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError

Progress = Callable[[int, int | None], None]
_CHUNK = 1 << 16
_HEX_LENGTH = {"sha256": 64, "md5": 32}
_RETRIES = 2  # when the connection breaks or the checksum is wrong: after one second, and after two more


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
    neither an interruption nor a second process downloading the same file leaves half a file at ``path``. A transfer
    that breaks off, or ends with a wrong checksum, is tried twice more.

    Parameters
    ----------
    url : http or https address
    path : the file to write; its folder is created when needed
    checksum : ``"sha256:<hex>"`` or ``"md5:<hex>"``
    size : length in bytes, or None when unknown
    progress : called with (bytes so far, bytes in all or None) after each piece; starts anew when the transfer does
    timeout : seconds without any byte after which the connection counts as lost

    Returns
    -------
    ``path``

    Raises
    ------
    DataError
        When the server cannot be reached, answers with an error, breaks off or sends something unexpected,
        or when the file cannot be written.
    ValueError
        When ``url`` or ``checksum`` is not of the form above.
    """
    path = Path(path)
    algorithm, _, digest = checksum.partition(":")
    if len(digest) != _HEX_LENGTH.get(algorithm, -1) or not set(digest) <= set("0123456789abcdef"):
        raise ValueError(f"checksum must be sha256:<64 hex digits> or md5:<32 hex digits>, got {checksum!r}")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"url must start with http:// or https://, got {url!r}")
    if not _verified(path, algorithm, digest):
        _download(url, path, checksum, _Downloader(size, progress, timeout))
    return path


def _verified(path: Path, algorithm: str, digest: str) -> bool:
    """Tell whether ``path`` is a readable file with this checksum; without pooch, whose import takes 0.1 s."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest() == digest
    except OSError:
        return False


def _download(url: str, path: Path, checksum: str, downloader: _Downloader) -> None:
    """Download, verify and rename with pooch, whose errors become DataError."""
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)  # what happens is told by `progress` and by errors
    files = pooch.create(  # pooch compares the checksum before it renames
        path.parent, "", registry={path.name: checksum}, urls={path.name: url}, retry_if_failed=_RETRIES
    )
    try:
        files.fetch(path.name, downloader=downloader)
    except _UnexpectedAnswerError as error:
        raise DataError(str(error)) from error
    except requests.RequestException as error:
        raise DataError(f"could not download {url}: {_reason(error)}") from error
    except OSError as error:
        raise DataError(f"could not write {path} while downloading {url}: {error.strerror or error}") from error
    except ValueError as error:  # pooch has deleted what came
        raise DataError(f"expected {checksum} from {url}, but the file that came has another checksum") from error


class _UnexpectedAnswerError(Exception):
    """The server's answer makes a retry pointless; not a ValueError, after which pooch would retry."""


@dataclass(frozen=True)
class _Downloader:
    """Downloader for pooch with a limit on length; pooch's own has none, and decompresses what is sent compressed."""

    size: int | None
    progress: Progress | None
    timeout: float

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        import requests

        headers = {"User-Agent": "binnet", "Accept-Encoding": "identity"}
        with requests.get(url, stream=True, timeout=self.timeout, headers=headers) as response:
            if not response.ok:
                answer = f"{response.status_code} {response.reason}"
                raise _UnexpectedAnswerError(f"could not download {url}: the server answered {answer}")
            # Some servers declare .gz files as a compressed transfer; the checksum is that of the file as it is.
            response.raw.headers.pop("Content-Encoding", None)
            self._save(response, output_file)

    def _save(self, response: Any, output_file: str) -> None:
        """Write the body to a file; stops as soon as it is longer than expected, so that it cannot fill the disk."""
        from requests.exceptions import ChunkedEncodingError

        length = response.headers.get("Content-Length", "")
        announced = int(length) if length.isdecimal() else None
        total, received = announced if self.size is None else self.size, 0
        path = Path(output_file)
        path.unlink()  # pooch's temporary file is for its owner only; a new one has the permissions of other files
        with path.open("xb") as file:
            for chunk in response.iter_content(_CHUNK):
                received += len(chunk)
                if (total is not None and received > total) or announced not in (None, total):
                    raise _UnexpectedAnswerError(
                        f"expected {total} bytes from {response.url}, but the server sends {announced or 'more'}"
                    )
                file.write(chunk)
                if self.progress is not None:
                    self.progress(received, total)
        if total is not None and received < total:
            raise ChunkedEncodingError("the transfer ended before the file did")


def _reason(error: BaseException) -> str:
    """The message of the innermost exception, which requests and urllib3 wrap in several others."""
    from requests.exceptions import ChunkedEncodingError

    if isinstance(error, ChunkedEncodingError):
        return "the transfer broke off"
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
