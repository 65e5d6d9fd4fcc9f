"""A packed model as plain files, for people who write their own engine: ``.npy`` arrays and a graph in JSON.

What they mean is in ``docs/embedding.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..storage import StorageError
from .graph import Graph, Node, to_graph
from .model import PackedModel
from .steps import Add, Shape

VERSION = 1


def export(model: PackedModel, folder: str | Path) -> list[Path]:
    """Write ``graph.json`` and an ``.npy`` file for each array, all or none.

    Parameters
    ----------
    model
        The steps as they are in the file: nothing is fused, thresholds are left as normalisation and sign.
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
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}") from error
    return sorted(folder.iterdir())


def _write(model: PackedModel, folder: Path) -> None:
    for name, array in model.arrays().items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    text = json.dumps(describe(model), indent=1, ensure_ascii=False)
    (folder / "graph.json").write_text(text + "\n", encoding="utf-8")


def describe(model: PackedModel) -> dict[str, Any]:
    """What stands in ``graph.json``."""
    graph = to_graph(model.steps)
    shapes = _shapes(graph, (*model.spec.image_size, model.spec.in_channels))
    data = model.info.to_dict()
    return {
        "format": "binnet numpy export",
        "version": VERSION,
        "model": model.spec.to_dict(),
        "data": {name: data[name] for name in ("dataset", "class_names", "mean", "std")},
        "nodes": [_describe_node(node, shapes[node]) for node in graph.nodes],
        "result": graph.nodes[-1].name,
    }


def _describe_node(node: Node, shape: Shape) -> dict[str, Any]:
    arrays = node.step.arrays()
    settings = {
        name: value
        for name, value in node.step.settings().items()
        if name not in ("name", "body", "shortcut") and value is not None
    }
    return {
        "name": node.name,
        "kind": type(node.step).__name__,
        "inputs": [each.name for each in node.inputs],
        "output": list(shape),
        **settings,
        "arrays": {field: f"{node.name}.{field}.npy" for field in arrays},
    }


def _shapes(graph: Graph, image: Shape) -> dict[Node, Shape]:
    """The shape of each node's result for one image; a sum has that of what it adds."""
    shapes = {graph.nodes[0]: image}
    for node in graph.nodes[1:]:
        before = shapes[node.inputs[0]]
        shapes[node] = before if isinstance(node.step, Add) else node.step.output(before)
    return shapes
