"""Trained models shipped with binnet, by name; ``docs/models.md`` states what each of them was trained on."""

from __future__ import annotations

from pathlib import Path

from ..modelfile import StorageError

FOLDER = Path(__file__).parent
_OF_A_RUN = ("config.toml", "stages.toml", "best.h5", "last.h5", "packed.h5")  # a run folder has one of these at least


def names() -> tuple[str, ...]:
    """The names of the shipped models, which :func:`binnet.load` and the commands accept instead of a file."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.h5")))


def path_of(name: str) -> Path:
    """The file of a shipped model; StorageError, with a list of the names, when there is no such model."""
    if name not in names():
        raise StorageError(f"no model {name!r} comes with binnet; {_known()}")
    return FOLDER / f"{name}.h5"


def is_run_folder(path: Path) -> bool:
    """Whether a path is the folder of a training."""
    return any((path / name).is_file() for name in _OF_A_RUN)


def find(file: str | Path) -> Path:
    """The path ``file`` itself, or the file of the shipped model of this name.

    A file or run folder of this name has precedence; another folder has not.

    Raises
    ------
    StorageError
        When ``file`` is a single word without a dot, and neither a file nor the name of a shipped model.
    """
    path = Path(file)
    # A missing path with a folder or suffix cannot be a model's name; the caller reports it as a missing file.
    if path.is_file() or is_run_folder(path) or path.name != str(file) or path.suffix:
        return path
    if str(file) not in names():
        if path.exists():
            return path
        raise StorageError(f"there is no file {file}, and no model of this name comes with binnet; {_known()}")
    return path_of(str(file))


def _known() -> str:
    return f"there are: {', '.join(names())}"
