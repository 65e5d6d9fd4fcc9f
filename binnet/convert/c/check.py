"""Runs the exported program of a model: compiled, natively or by an emulator."""

from __future__ import annotations

import platform
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from binnet_system import commands
from binnet_system.machine import WINDOWS

from ...engine import PackedModel
from ...graph.graph import Float
from ..report import ConversionError
from .compiler import compile_program, find, words_of
from .filling import filled, prefixes
from .program import Settings, generate

SECONDS = 600  # that a program may take for a batch of images
FLAGS = ("-O3", "-std=c99")
NATIVE = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"


@dataclass(frozen=True)
class Machine:
    """What compiles and runs a program.

    Attributes
    ----------
    compiler : str or None
        Command of the C compiler, with its options; None for the one that is found.
    runner : str or None
        Command that runs a program for another processor, such as ``qemu-aarch64-static``.
    """

    compiler: str | None = None
    runner: str | None = None


class Program:
    """A model's exported program, compiled in a temporary folder; a context manager.

    Parameters
    ----------
    model
    settings
        As for :func:`binnet.convert.c.generate`.
    machine
        What compiles and runs it. Without a command of its own, the compiler makes code for this very processor.

    Raises
    ------
    ConversionError
        When there is no compiler, or it fails.
    """

    def __init__(self, model: PackedModel, settings: Settings, machine: Machine) -> None:
        self._model = model
        self._runner = words_of(machine.runner or "")
        self._folder = tempfile.TemporaryDirectory(prefix="binnet-")
        try:
            self._compile(settings, machine)
        except BaseException:
            self._folder.cleanup()
            raise

    def _compile(self, settings: Settings, machine: Machine) -> None:
        folder, command = Path(self._folder.name), find(machine.compiler)
        source = generate(self._model, settings, "model")
        harness = filled("templates/harness.c", prefixes(source.name))
        for name, text in (("model.c", source.text), ("model.h", source.header), ("harness.c", harness)):
            (folder / name).write_text(text, "utf-8", newline="\n")
        self._file, files = folder / commands.program("program"), [folder / "model.c", folder / "harness.c"]
        if machine.compiler is None and not self._runner and not WINDOWS:
            # A compiler may not know the flag, and a processor not the code. GCC on Windows keeps wide vectors on a
            # stack that is not aligned for them.
            with suppress(ConversionError):
                compile_program(command, files, self._file, [*FLAGS, NATIVE])
                return
        compile_program(command, files, self._file, FLAGS)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def __call__(self, images: Any) -> Float:
        """Scores float32 (N, classes) of images (N, H, W, C): uint8 pixels, or float32 where normalisation is unknown.

        ConversionError when the program fails.
        """
        images = np.ascontiguousarray(images)
        out = self._run([], images.tobytes())
        if len(out) != 4 * len(images) * int(np.prod(self._model.graph.result)):
            raise ConversionError(f"the program gave {len(out):,} bytes of scores for {len(images):,} images")
        return np.frombuffer(out, "<f4").astype(np.float32).reshape(len(images), -1)

    def selftest(self) -> int:
        """The number of scores that its self-test finds wrong."""
        return int(self._run(["selftest"], b"") or b"-1")

    def _run(self, words: Sequence[str], given: bytes) -> bytes:
        command = [*self._runner, str(self._file), *words]
        try:
            done = subprocess.run(command, input=given, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ConversionError(f"the program did not end within {SECONDS} seconds") from error
        except OSError as error:
            raise ConversionError(f"cannot run {command[0]}: {error.strerror or error}") from error
        if done.returncode:
            why = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise ConversionError(f"the program ended with code {done.returncode}{': ' + why[0] if why else ''}")
        return done.stdout
