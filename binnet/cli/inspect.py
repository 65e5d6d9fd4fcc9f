"""``binnet inspect``."""

from __future__ import annotations

import argparse
import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..console import Console, printable
from ..modelfile import container
from . import options

if TYPE_CHECKING:
    from ..graph import Node

HELP = "show the contents of a checkpoint or packed model"
_FILTERS, _MAPS, _DENSE = 4, 8, 64  # maximum of filters, input channels and weights of a dense row that are drawn
_VALUES = 8  # number of values of other arrays that are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    parser.add_argument("file", metavar="FILE", help="checkpoint, packed model or run folder")
    parser.add_argument("--layer", metavar="NAME", help="show the signs of this layer's first filters and its scales")
    options.add_own(parser)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the contents of a file or of one of its layers, and return the exit code."""
    from ..evaluation.evaluate import model_file

    console = Console(to_stderr=arguments.json)
    arguments.file = str(model_file(arguments.file))
    if arguments.layer is not None:
        layer = _layer(arguments.file, arguments.layer, arguments.model)
        if arguments.json:
            print(json.dumps(layer))
        else:
            _say_layer(layer, console)
        return 0
    kind, arrays, description = container.load(arguments.file)
    size = os.path.getsize(arguments.file)
    found = {
        "file": arguments.file,
        "bytes": size,
        "kind": kind,
        "version": container.VERSION,
    }
    if arguments.json:
        print(json.dumps({**found, **description, "arrays": _rows(arrays)}))
    else:
        console.say(f"{arguments.file}: {kind}, version {container.VERSION}, {size:,} bytes")
        _say_description(description, console)
        _say_arrays(arrays, console)
    return 0


# ---------------------------------------------------------------------------------------------- the file


def _rows(arrays: dict[str, container.Array]) -> list[dict[str, Any]]:
    """Name, dtype, shape, size and SHA-256 of each array, in the order of the file."""
    return [
        {
            "name": name,
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "bytes": array.nbytes,
            "sha256": sha256(array.tobytes()).hexdigest(),
        }
        for name, array in arrays.items()
    ]


def _say_description(description: dict[str, Any], console: Console) -> None:
    # A checkpoint says "model"; a packed model says "built", and nothing when it was converted from elsewhere.
    model, data = description.get("model") or description.get("built") or {}, description.get("data", {})
    provenance = dict(data.get("provenance", {}))
    config = {**provenance.pop("config", {}), **description.get("config", {})}
    for what, value in (
        ("network", {name: value for name, value in model.items() if name != "options"}),
        ("options", model.get("options")),
        ("data set", data.get("dataset")),
        ("normalisation", {name: data.get(name) for name in ("mean", "std")} if data else None),
        ("classes", data.get("class_names")),
        ("from", provenance),
        ("config", config),
        ("progress", description.get("progress")),
    ):
        if value:
            console.say(f"{what}: {_in_words(value)}")


def _in_words(value: Any) -> str:
    """A JSON value as text on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(v)}" for name, v in value.items())
    if isinstance(value, list):
        separator = ", " if any(isinstance(each, str) for each in value) else " "
        return separator.join(map(_in_words, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(str(value))


def _say_arrays(arrays: dict[str, container.Array], console: Console) -> None:
    rows = [
        [
            row["name"],
            "x".join(map(str, row["shape"])) or "one number",
            row["dtype"],
            f"{row['bytes']:,}",
            row["sha256"][:16],  # enough to compare by eye; --json has all 64 digits
        ]
        for row in _rows(arrays)
    ]
    total = f"{sum(array.nbytes for array in arrays.values()):,}"
    console.say("")
    console.table(["array", "shape", "dtype", "bytes", "SHA-256"], rows, ["total", "", "", total, ""])


# ---------------------------------------------------------------------------------------------- a layer


def _layer(path: str, name: str, own: str | None) -> dict[str, Any]:
    """Description of a layer as JSON values; a checkpoint is packed first. ValueError for an unknown layer."""
    from ..evaluation.evaluate import open_model

    nodes = {node.name: node for node in open_model(path, own).packed.graph if node.arrays()}
    if name not in nodes:
        raise ValueError(f"there is no layer {name!r} with weights in {path}; there are: {', '.join(nodes)}")
    node = nodes[name]
    arrays = node.arrays()
    found: dict[str, Any] = {"name": name, "kind": node.kind}
    if node.binary:
        alpha = arrays.get("alpha")
        scales = None if alpha is None else alpha.tolist()
        found |= {"shape": list(_shape(node)), "bits": len(_planes(node)), "filters": _drawn(node), "alpha": scales}
    shown = {field: array for field, array in arrays.items() if field not in ("signs", "planes")}
    return found | {"fields": {field: _figures(array) for field, array in shown.items()}}


def _figures(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Shape, minimum, maximum, mean and first values of an array."""
    least, most, mean = (float(value) for value in (array.min(), array.max(), array.mean()))
    first = array.ravel()[:_VALUES].tolist()
    return {"shape": list(array.shape), "min": least, "max": most, "mean": mean, "first": first}


def _shape(node: Node) -> tuple[int, ...]:
    shape: tuple[int, ...] = getattr(node, "shape", ())
    return shape


def _planes(node: Node) -> npt.NDArray[np.uint64]:
    """Bit planes of the weights, uint64 (bits, words). The last holds the signs; one bit has no other."""
    arrays = node.arrays()
    return arrays["planes"] if "planes" in arrays else arrays["signs"][None]


def _drawn(node: Node) -> list[list[list[str]]]:
    """Signs of the first filters and input channels as rows of + and -; dense rows are cut to 64 weights."""
    words, shape = _planes(node)[-1], _shape(node)
    count = min(_FILTERS, shape[0]) * int(np.prod(shape[1:]))
    # uint64 to bytes in little-endian order, so that bit i of the words is weight i on any machine.
    bits = np.unpackbits(words[: -(-count // 64)].astype("<u8").view(np.uint8), bitorder="little")[:count]
    letters = np.where(bits, "-", "+").reshape(-1, *shape[1:])  # a set bit stands for -1
    # A dense layer (O, C) is drawn as one row a filter, a convolution (O, KH, KW, C) as a window a channel.
    if len(shape) == 2:
        return [[["".join(row[:_DENSE])]] for row in letters]
    return [[["".join(row) for row in one[:, :, c]] for c in range(min(_MAPS, shape[3]))] for one in letters]


def _say_layer(layer: dict[str, Any], console: Console) -> None:
    bits = layer.get("bits", 1)
    planes = f", weights of {bits} bits in as many planes, drawn by their signs" if bits > 1 else ""
    console.say(f"{layer['name']}: {layer['kind']}{planes}")
    for number, maps in enumerate(layer.get("filters", [])):
        scale = "" if layer["alpha"] is None else f", alpha {layer['alpha'][number]:.6g}"
        console.say(f"\nfilter {number} of {layer['shape'][0]}{scale}")
        for row in zip(*maps, strict=True):
            console.say("  " + "   ".join(row))
    for field, f in layer["fields"].items():
        shape = "x".join(map(str, f["shape"]))
        console.say(f"\n{field} ({shape}): from {f['min']:.6g} to {f['max']:.6g}, mean {f['mean']:.6g}")
        console.say("  " + " ".join(f"{value:.4g}" for value in f["first"]))
