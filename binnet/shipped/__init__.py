"""Trained models that come with binnet, by name; ``docs/models.md`` says what each of them was trained on."""

from __future__ import annotations

from pathlib import Path

from ..modelfile import StorageError

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """What :func:`binnet.load` and the commands take in the place of a file."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.h5")))


def path_of(name: str) -> Path:
    """The file of a model that comes with binnet; StorageError that lists them when there is none of this name."""
    if name not in names():
        raise StorageError(f"no model {name!r} comes with binnet; {_known()}")
    return FOLDER / f"{name}.h5"


def find(file: str | Path) -> Path:
    """A file as it is, or that of a model that comes with binnet.

    Raises
    ------
    StorageError
        For a single word, without a dot, that is neither.
    """
    path = Path(file)
    if path.exists() or path.name != str(file) or path.suffix:
        return path
    if str(file) not in names():
        raise StorageError(f"there is no file {file}, and no model of this name comes with binnet; {_known()}")
    return path_of(str(file))


def _known() -> str:
    return f"there are: {', '.join(names())}"
