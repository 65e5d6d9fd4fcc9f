"""A packed model as plain files, for authors of other engines: ``.npy`` arrays and a graph in JSON.

Their meaning is defined in ``docs/embedding.md``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from binnet_system.files import replace
from binnet_system.names import portable

from ..graph.graph import Shape
from ..modelfile import StorageError, graphs
from .model import PackedModel

VERSION = 2


def export(model: PackedModel, folder: str | Path) -> list[Path]:
    """Write ``graph.json`` and an ``.npy`` file for each array, all or none.

    Parameters
    ----------
    model
        The model, whose graph is written as it is in its file: nothing is fused, and thresholds are left as
        normalisation and sign.
    folder
        A new or an empty one.

    Returns
    -------
    list of Path
        The files, by name.

    Raises
    ------
    StorageError
        When the folder holds something already, or cannot be written.
    """
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StorageError(f"{folder} holds something already; export to a new or an empty folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
        try:
            _write(model, temporary)
            temporary.chmod(folder.parent.stat().st_mode & 0o777)
            if folder.exists():  # an empty one, which Windows does not replace
                folder.rmdir()
            replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}") from error
    return sorted(folder.iterdir())


def _write(model: PackedModel, folder: Path) -> None:
    arrays = model.arrays()
    names = portable(arrays)
    for name, array in arrays.items():
        np.save(folder / f"{names[name]}.npy", array, allow_pickle=False)
    text = json.dumps(describe(model), indent=1, ensure_ascii=False)
    (folder / "graph.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def describe(model: PackedModel) -> dict[str, Any]:
    """The contents of ``graph.json``."""
    graph, data = model.graph, model.info.to_dict()
    nodes, arrays = graphs.to_parts(graph)
    names = portable(arrays)
    return {
        "format": "binnet numpy export",
        "version": VERSION,
        "built": model.built,
        "data": {name: data[name] for name in ("dataset", "class_names", "mean", "std")},
        "nodes": [_describe(node, graph.shapes[node["name"]], names) for node in nodes],
        "result": graph.nodes[-1].name,
    }


def _describe(node: dict[str, Any], shape: Shape, names: dict[str, str]) -> dict[str, Any]:
    """A node as a model file describes it, with the shape of its result and the files of its arrays."""
    files = {field: f"{names[name]}.npy" for field, name in node["arrays"].items()}
    return {**node, "output": list(shape), "arrays": files}
