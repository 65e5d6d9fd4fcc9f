"""Trained models shipped with binnet, by name; ``docs/models.md`` states what each of them was trained on."""

from __future__ import annotations

from pathlib import Path

from ..modelfile import StorageError

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """The names of the shipped models, which :func:`binnet.load` and the commands accept instead of a file."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.h5")))


def path_of(name: str) -> Path:
    """The file of a shipped model; StorageError, with a list of the names, when there is no such model."""
    if name not in names():
        raise StorageError(f"no model {name!r} comes with binnet; {_known()}")
    return FOLDER / f"{name}.h5"


def find(file: str | Path) -> Path:
    """The path ``file`` itself, or the file of the shipped model of this name; a file has precedence, a folder has not.

    Raises
    ------
    StorageError
        When ``file`` is a single word without a dot, and neither a file nor the name of a shipped model.
    """
    path = Path(file)
    # A missing path with a folder or suffix cannot be a model's name; the caller reports it as a missing file.
    if path.is_file() or path.name != str(file) or path.suffix:
        return path
    if str(file) not in names():
        if path.exists():
            return path
        raise StorageError(f"there is no file {file}, and no model of this name comes with binnet; {_known()}")
    return path_of(str(file))


def _known() -> str:
    return f"there are: {', '.join(names())}"
