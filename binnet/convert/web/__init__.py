"""Export of a packed model as one HTML page that classifies images offline: the exported C as WebAssembly inside."""

from __future__ import annotations

import base64
import html
import json
from importlib.resources import files
from pathlib import Path

from binnet_datasets.files import replacing, why

from ...engine import PackedModel
from ..report import ConversionError
from .wasm import compile_wasm

__all__ = ["embedded", "page", "write"]


def page(model: PackedModel) -> str:
    """The text of the page; it loads nothing from elsewhere.

    ConversionError when the model gives no scores of classes, the normalisation of images is unknown, the images have
    other than 1 or 3 channels, or no compiler for WebAssembly is installed.
    """
    model.info.normalisation()
    rows, columns, channels = model.input_shape
    if len(model.graph.result) != 1:
        shape = ", ".join(map(str, model.graph.result))
        raise ConversionError(f"a page shows one score for each class, the model gives ({shape}) for an image")
    if channels not in (1, 3):
        raise ConversionError(f"a page takes images of 1 or 3 channels, the model has {channels}")
    how = model.info.preprocessing
    described = {
        "rows": rows,
        "columns": columns,
        "channels": channels,
        "storedSize": how.stored_size,
        "shortSide": how.short_side,
        "classes": [model.info.class_name(i) for i in range(model.num_classes)],
        "probabilities": model.gives_probabilities,
        "wasm": base64.b64encode(compile_wasm(model)).decode(),
    }
    text = (files(__package__) / "page.html").read_text("utf-8")
    # "</script>" in the name of a class must not end the script.
    data = json.dumps(described, ensure_ascii=True).replace("<", "\\u003c")
    return text.replace("@TITLE@", html.escape(model.title)).replace("@MODEL@", data)


def embedded(model: PackedModel, height: str = "34rem") -> str:
    """HTML that shows the page inside of another one, such as a notebook: ``IPython.display.HTML(embedded(model))``."""
    style = f"width: 100%; height: {height}; border: 1px solid #8884; border-radius: 0.5rem"
    return f'<iframe title="{html.escape(model.title)}" style="{style}" srcdoc="{html.escape(page(model))}"></iframe>'


def write(model: PackedModel, out: Path) -> str:
    """Write the page and return a sentence about it; ConversionError as :func:`page`, or when it cannot be written."""
    text = page(model)
    try:
        with replacing(out) as temporary:
            temporary.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise ConversionError(f"cannot write {out}: {why(error)}") from error
    return f"{out}: {len(text.encode()):,} bytes, a page that classifies images without a network connection"
