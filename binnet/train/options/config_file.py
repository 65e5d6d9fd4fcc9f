"""The file of ``--config``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from .types import ConfigError


def read_toml(path: str | Path) -> dict[str, Any]:
    """The options in a config file; ConfigError when it cannot be read."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # some editors of Windows begin with a mark
            return tomllib.loads(file.read())
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error
