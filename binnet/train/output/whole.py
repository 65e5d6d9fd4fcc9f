"""What a run folder says about a training as a whole, which may have several stages in folders of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from binnet_system import commands

from ...modelfile import CHECKPOINT, StorageError, container
from ..config import ConfigError
from ..options.config_file import read_toml
from . import checkpoint
from .run_folder import CONFIG, LAST, PACKED, STAGE, STAGES

__all__ = ["LAST", "has_last", "has_stages", "is_begun", "is_done", "read", "require_unused", "saved_at", "seconds"]


def is_begun(folder: Path) -> bool:
    """Whether a training was started in a run folder."""
    return any((folder / name).exists() for name in (LAST, CONFIG, STAGES))


def has_stages(folder: Path) -> bool:
    """Whether a training in several stages was started in a run folder."""
    return (folder / STAGES).is_file()


def has_last(folder: Path) -> bool:
    """Whether a run folder has a checkpoint."""
    return (folder / LAST).is_file()


def is_done(folder: Path) -> bool:
    """Whether the training in a run folder is complete: its packed model is written last."""
    return (folder / PACKED).is_file()


def saved_at(folder: Path) -> float:
    """When the checkpoint was written, in seconds since the epoch of :func:`time.time`."""
    return (folder / LAST).stat().st_mtime


def seconds(folder: Path) -> float:
    """Seconds of training and validation, as the checkpoint counts them; StorageError when it cannot be read."""
    _, _, description = container.load(folder / LAST, CHECKPOINT)
    return float(description["progress"]["seconds"])


def require_unused(folders: Iterable[Path]) -> None:
    """StorageError when a training was started in one of the folders, the last of which is that of the whole run."""
    for folder in reversed([*folders]):
        if is_begun(folder):
            resume = commands.line(["--resume", str(folder)])
            raise StorageError(f"{folder} already holds a training; continue with {resume}, or choose another --out")


def require_whole(folder: Path) -> None:
    """ConfigError when a run folder is that of a stage, which is not a training of its own."""
    parent = folder.resolve().parent
    if has_stages(parent) and re.fullmatch(STAGE.format(r"\d+"), folder.resolve().name):
        raise ConfigError(f"{folder} is a stage of the training in {parent}; expected that folder itself")


def read(folder: Path) -> dict[str, Any]:
    """The options that the training in a run folder was started with, by name.

    Raises
    ------
    ConfigError, StorageError
        When the file that has them cannot be read, and for the folder of a stage, which is not a training of its own.
    """
    require_whole(folder)
    # A training in stages has its whole configuration in a file of its own; the others name the last stage alone.
    # Stopped before the first checkpoint, a run has only its config.toml.
    if has_stages(folder) or not has_last(folder):
        return read_toml(folder / (STAGES if has_stages(folder) else CONFIG))
    return checkpoint.read_config(folder / LAST).to_dict()
