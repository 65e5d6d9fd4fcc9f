"""Compiles an exported program to WebAssembly."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...engine import PackedModel
from ..c.compiler import compile_program
from ..c.filling import filled, prefixes
from ..c.program import Settings, generate
from ..report import ConversionError

# All browsers have vectors of 128 bits since 2023.
_FLAGS = ("-O3", "-std=c99", "-msimd128")
_CLANG = ("-ffreestanding", "-nostdlib", "-Wl,--no-entry")
_EMCC = ("-sSTANDALONE_WASM", "--no-entry")  # it brings the C library, of which this program uses nothing else

# Functions of the C library that the page gives.
_IMPORTED = '__attribute__((import_module("env"), import_name("{0}"))) double {0}(double x);\n'


def compile_wasm(model: PackedModel) -> bytes:
    """The program of a model as a WebAssembly module.

    It exports ``memory``, ``pixels()`` and ``scores()``, the addresses of an image and of its scores, and ``run()``; it
    imports ``exp`` and ``tanh`` where the network has them.

    ConversionError when no compiler is installed, or all of them fail.
    """
    reason = ConversionError(
        'there is no compiler for WebAssembly; install clang and lld, or python -m pip install "binnet[compiler]"'
    )
    with tempfile.TemporaryDirectory(prefix="binnet-") as temporary:
        folder = Path(temporary)
        source = generate(model, Settings(), "model")
        for name, text in (
            ("model.c", source.text),
            ("model.h", source.header),
            ("glue.c", filled("glue.c", prefixes(source.name), __package__)),
            ("math.h", "".join(map(_IMPORTED.format, ("exp", "tanh")))),
        ):
            (folder / name).write_text(text, "utf-8", newline="\n")
        out, sources = folder / "model.wasm", [folder / "model.c", folder / "glue.c"]
        for command, flags in compilers():
            try:
                compile_program(command, sources, out, [*_FLAGS, *flags, f"-I{folder}"], libraries=())
                return out.read_bytes()
            except ConversionError as error:
                reason = error
    raise reason


def compilers() -> Iterator[tuple[list[str], Sequence[str]]]:
    """Commands that compile to WebAssembly, those that are installed, with their options."""
    if (clang := shutil.which("clang")) and shutil.which("wasm-ld"):
        yield [clang, "--target=wasm32"], _CLANG
    if importlib.util.find_spec("ziglang"):
        yield [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding"], _CLANG
    if emcc := shutil.which("emcc"):
        yield [emcc], _EMCC
