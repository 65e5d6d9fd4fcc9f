"""The text of an exported program: comment, runtime, constants, functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from ...engine import PackedModel
from ...engine.rewrites import fuse
from ...engine.stages import Stages
from ...graph.graph import Array
from ..report import ConversionError
from .filling import filled, prefixes
from .nodes import collect
from .selftest import selftest_fields
from .text import check_name, comment, identifier, string
from .weights import Sizes
from .writer import Writer

# The files of the runtime in the order in which they are joined, each with the parts that need it.
_RUNTIME: tuple[tuple[str, frozenset[str]], ...] = (
    ("words", frozenset()),
    ("pack", frozenset()),
    ("finish", frozenset()),
    ("input", frozenset()),
    ("xnor_tile", frozenset({"BITS", "PLANES"})),
    ("floats", frozenset({"FLOATS", "SIGNS"})),
    ("conv_tile", frozenset({"FLOATS"})),
    ("bwn_tile", frozenset({"SIGNS"})),
    ("int8_tile", frozenset({"BYTES"})),
    ("reach", frozenset({"COMPARE"})),
    ("compare", frozenset({"COMPARE"})),
    ("convolve", frozenset({"BITS", "PLANES", "FLOATS", "SIGNS", "BYTES"})),
    ("pools", frozenset({"POOL", "GLOBAL"})),
    ("several", frozenset()),
)
_PARTS = (("float", "floats"), ("bn_word", "words"), ("uint8_t", "bytes"))  # of the arena
_MATH = frozenset({"TANH", "SIGMOID", "SOFTMAX"})


@dataclass(frozen=True)
class Settings:
    """How a model is exported.

    Attributes
    ----------
    name : str or None
        Prefix of all public names, a C identifier; None makes one from the name of the file.
    word_bits : 64 or 32
        Bits of a word of signs.
    main : bool
        Whether the program has a ``main`` function.
    """

    name: str | None = None
    word_bits: int = 64
    main: bool = False

    def __post_init__(self) -> None:
        if self.word_bits not in (32, 64):
            raise ConversionError(f"words have 32 or 64 bits, got {self.word_bits}")
        if self.name is not None:
            check_name(self.name)


@dataclass(frozen=True)
class Source:
    """An exported program.

    Attributes
    ----------
    name : str
        Prefix of its public names.
    text, header : str
        The ``.c`` and the ``.h`` file.
    flash, ram : int
        Bytes of constants, and of the arena.
    macs : int
        Multiply-adds for an image.
    """

    name: str
    text: str
    header: str
    flash: int
    ram: int
    macs: int


def generate(model: PackedModel, settings: Settings, stem: str = "model", command: str = "") -> Source:
    """A packed model as C.

    Parameters
    ----------
    model
        The model; for images of its own size.
    settings
    stem
        Name of the file without its suffix, for the ``#include`` and the default name.
    command
        What made the file, for the comment at its top.

    Returns
    -------
    Source
        The same text for the same model and settings.

    Raises
    ------
    ConversionError
        When a node has no C, which is named.
    """
    name = settings.name or identifier(stem)
    graph, normalisation = model.graph, _normalisation(model)
    pixels = model.takes_pixels or normalisation is not None
    if settings.main and not pixels:
        raise ConversionError("a main function reads pixels, and how this model normalises them is unknown")
    stages = fuse(Stages.of(graph))
    writer = collect(stages, Sizes(settings.word_bits), normalisation)
    result, classes = writer.floats(stages.result), math.prod(graph.result)
    sizes = _parts_of(writer)
    ram = sizes["floats"] * 4 + sizes["words"] * settings.word_bits // 8 + sizes["bytes"]
    macs = sum(node.macs(graph.shapes[node.name]) for node in graph)
    rows, columns, channels = map(str, model.input_shape)
    fields = prefixes(name) | {"ROWS": rows, "COLUMNS": columns, "CHANNELS": channels, "CLASSES": str(classes)}
    fields |= {"TYPE": "uint8_t", "IMAGE": "pixels"} if pixels else {"TYPE": "float", "IMAGE": "image"}
    fields |= {"ARENA": str(ram), **selftest_fields(model, pixels)}
    text = "\n".join(
        [
            _comment(model, writer.constants.size, ram, macs, command),
            f'#include "{stem}.h"\n\n#include <stddef.h>\n',
            *(["#include <math.h>\n"] if writer.uses & _MATH else []),
            f"#define BN_WORD_BITS {settings.word_bits}",
            *(f"#define BN_USES_{use}" for use in sorted(writer.uses)),
            "",
            *(runtime(part) for part, needed in _RUNTIME if not needed or needed & writer.uses),
            f"static {name.upper()}_ARENA_ATTRIBUTE struct {{",
            *(f"    {kind} {part}[{sizes[part]}];" for kind, part in _PARTS),
            "} arena;\n",
            *writer.constants.lines,
            "",
            _names(name, model, classes),
            f"int {name}_predict(const {fields['TYPE']} *{fields['IMAGE']}, float *scores)\n{{",
            *(f"    {call}" for call in writer.calls),
            f"    for (int i = 0; i < {classes}; i++)\n        scores[i] = ({result})[i];",
            "    int best = 0;",
            f"    for (int i = 1; i < {classes}; i++)\n        best = scores[i] > scores[best] ? i : best;",
            "    return best;\n}\n",
            filled("templates/selftest.c", fields),
            *([filled("templates/main.c", fields)] if settings.main else []),
        ]
    )
    header = filled("templates/header.h", fields)
    return Source(name, writer.arena.placed(text), header, writer.constants.size, ram, macs)


def _parts_of(writer: Writer) -> dict[str, int]:
    """The number of elements of each part of the arena, none of them empty, and none with a gap behind it."""
    sizes = writer.arena.sizes()
    # A residual sum reads a whole block of filters, of which some may lie behind the last map.
    sizes["floats"] += writer.sizes.real
    return {part: -(-max(size, 1) // 8) * 8 for part, size in sizes.items()}


def runtime(part: str) -> str:
    """The text of a file of the runtime."""
    return (files(__package__) / "runtime" / f"{part}.c").read_text("utf-8")


def _normalisation(model: PackedModel) -> tuple[Array, Array] | None:
    if model.takes_pixels or model.info.mean is None or model.info.std is None:
        return None
    shape = (model.in_channels,)
    mean, std = (np.broadcast_to(np.array(v, np.float32), shape) for v in (model.info.mean, model.info.std))
    return mean, std


def _comment(model: PackedModel, flash: int, ram: int, macs: int, command: str) -> str:
    made = f"\n   Made by: {command}" if command else ""
    text = f"{model.title}: {model.num_classes} classes, images of {'x'.join(map(str, model.input_shape))}.\n"
    text += f"   Constants {flash:,} bytes, arena {ram:,} bytes, {macs:,} multiply-adds for an image.{made}"
    return f"{comment(text)}\n"


def _names(name: str, model: PackedModel, scores: int) -> str:
    # A name for each score: results with several axes have the classes on their last one.
    labels = [model.info.class_name(i % model.num_classes) for i in range(scores)]
    listed = ",\n".join(f"    {string(label)}" for label in labels)
    return f"const char *const {name}_class_names[{len(labels)}] = {{\n{listed}}};\n"
