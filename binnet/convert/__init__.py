"""Models of other tools in, and binnet's models out: one module a format, imported when it is used.

``binnet import`` calls :func:`read`; ``binnet export`` writes C, ONNX and pages. Nothing here needs training code.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from .files import refuse_special
from .report import ConversionError, Imported, Options, Report, Row

__all__ = ["FORMATS", "ConversionError", "Imported", "Options", "Report", "Row", "read"]

# The module of each format; it has ``read(source, options)``, and its docstring describes the format.
FORMATS = {
    "bmxnet": "bmxnet",
    "darknet": "darknet",
    "larq": "larq",
    "onnx": "onnx.reading",
    "pytorch": "pytorch",
}

# Options that a format would leave unread.
_ONLY_FOR = {"mapping": ("pytorch",), "structure": ("bmxnet", "darknet", "larq")}


def read(source: str | Path, form: str, options: Options | None = None) -> Imported:
    """Read a model file of another tool.

    Parameters
    ----------
    source
        The file. Nothing in it is executed.
    form
        One of :data:`FORMATS`.
    options
        What the file does not say, such as the mean and deviation of its images.

    Returns
    -------
    Imported
        A packed model, and the table of what was read and what became of it.

    Raises
    ------
    ConversionError
        In one sentence, when the file is missing, damaged, something else, or has a layer that binnet does not know,
        which is named; or when an option is not for this format.
    """
    if form not in FORMATS:
        raise ConversionError(f"there is no format {form!r} to import; there are: {', '.join(FORMATS)}")
    options = options or Options()
    for name, forms in _ONLY_FOR.items():
        if getattr(options, name) is not None and form not in forms:
            raise ConversionError(f"{name} is for {' and '.join(forms)} only, and not for {form}")
    for path in (source, options.mapping, options.structure):
        refuse_special(path)
    reader = import_module(f".{FORMATS[form]}", __name__)
    with np.errstate(all="ignore"):  # numbers that are not finite are refused in a sentence
        imported: Imported = reader.read(Path(source), options)
    return imported
