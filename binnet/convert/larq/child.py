"""Lists the attributes and arrays of a Keras file as JSON on standard output: ``python child.py FILE``.

The HDF5 library is C code that a malicious file may crash, or keep busy for ever. So it runs here, in a process of its
own with limits, and reads only names and positions; ``hdf5.py`` starts it and reads the arrays themselves.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import h5py

from binnet_system.processes import limit

MOST_NAMES = 100_000  # layers, and arrays of all layers
LONGEST_NAMES = 1 << 22  # bytes of a list of names
LONGEST_TEXT = 1 << 23  # bytes of the JSON of a network


class RefusedError(ValueError):
    """A file that is valid HDF5, but not as Keras writes it; the message is shown."""


def main(path: str) -> None:
    """Print the listing of the file as JSON."""
    limit(memory=4 << 30, seconds=60)
    print(json.dumps(listing(path)))


def listing(path: str) -> dict[str, Any]:
    """What the file holds, see :func:`contents`, or an object with the sentence ``refused``."""
    try:
        with h5py.File(path, "r") as file:
            return contents(file)
    except RefusedError as error:
        return {"refused": str(error)}
    except Exception:  # h5py raises nearly all there are for a damaged file
        return {"refused": "the file is damaged: the HDF5 library cannot read it"}


def contents(file: Any) -> dict[str, Any]:
    """The JSON of the network (or None), and the arrays of each layer by their names."""
    structure = text(file, "model_config") if "model_config" in file.attrs else None
    group = child(file, "model_weights", h5py.Group) if "model_weights" in file else file
    layers, count = dict[str, Any](), 0
    for name in names(group, "layer_names"):
        layer = child(group, name, h5py.Group)
        layers[name] = {each: array(layer, each) for each in names(layer, "weight_names")}
        count += len(layers[name])
        if count > MOST_NAMES:
            raise RefusedError(f"the file has more than {MOST_NAMES:,} arrays")
    extra = sorted(set(file) - {"model_weights"} - set(layers)) if group is not file else []
    return {"structure": structure, "layers": layers, "extra": extra[:20]}


def child(group: Any, path: str, kind: Any) -> Any:
    """The group or array at ``path`` below ``group``, reached by hard links alone."""
    for word in path.split("/"):
        # A soft or external link could lead to another file, or round in a circle.
        if word in ("", ".", "..") or not isinstance(group.get(word, getlink=True), h5py.HardLink):
            raise RefusedError(f"{path!r} is missing, or a link")
        group = group[word]
    if not isinstance(group, kind):
        raise RefusedError(f"{path!r} is not a {kind.__name__.lower()}")
    return group


def array(layer: Any, name: str) -> list[Any]:
    """Dtype, shape and position of an array, which must be stored as Keras does: in one piece, not compressed."""
    found = child(layer, name, h5py.Dataset)
    # Of an array that is compressed, virtual or in another file there is no offset.
    if found.dtype.kind not in "fiu" or found.ndim > 8 or (offset := found.id.get_offset()) is None:
        raise RefusedError(f"{name!r} is not an array of numbers in one piece, as Keras writes it")
    return [found.dtype.str, list(found.shape), offset]


def names(group: Any, attribute: str) -> list[str]:
    """The names in an attribute, which Keras divides into name0, name1 ... when they are long."""
    if attribute in group.attrs:
        return some_names(group, attribute)
    found = list[list[str]]()
    while f"{attribute}{len(found)}" in group.attrs and len(found) < 1000:
        found.append(some_names(group, f"{attribute}{len(found)}"))
    if not found:
        raise RefusedError(f"it has no {attribute}; it was not written by Keras")
    return [name for part in found for name in part]


def some_names(group: Any, attribute: str) -> list[str]:
    """The names in one attribute."""
    handle = group.attrs.get_id(attribute)
    if len(handle.shape) == 1 and not handle.shape[0]:
        return []
    # The size is checked before the attribute is read.
    if len(handle.shape) != 1 or handle.shape[0] > MOST_NAMES or handle.get_storage_size() > LONGEST_NAMES:
        raise RefusedError(f"{attribute} is not a list of names")
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in group.attrs[attribute]]


def text(group: Any, attribute: str) -> str:
    """The text in an attribute."""
    handle = group.attrs.get_id(attribute)
    if handle.shape != () or handle.get_storage_size() > LONGEST_TEXT:
        raise RefusedError(f"{attribute} is not a text")
    value = group.attrs[attribute]
    value = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise RefusedError(f"{attribute} is not a text of at most {LONGEST_TEXT:,} letters")
    return value


if __name__ == "__main__":
    main(sys.argv[1])
