"""Exported programs as functions of Python, for tests: compiled as shared objects by the compilers of this machine."""

import ctypes
import itertools
import shutil
import subprocess

import numpy as np
import pytest

from binnet.convert.c import Settings, generate

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
NATIVE = (*STRICT, "-O1", "-march=native")
_numbers = itertools.count()


def need(compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    return compiler


def sources(folder, source, stem):
    """The files of a program, written to a folder."""
    (folder / f"{stem}.h").write_text(source.header)
    (folder / f"{stem}.c").write_text(source.text)
    return folder / f"{stem}.c"


def compiled(model, folder, settings=None, flags=NATIVE, compiler="cc"):
    """The predict function of a model's program, for a batch of images, and its self-test."""
    stem = f"m{next(_numbers)}"  # a library that is loaded already would be found again by its name
    source = generate(model, settings or Settings(), stem)
    library = folder / f"{stem}.so"
    command = [
        need(compiler),
        *flags,
        "-shared",
        "-fPIC",
        str(sources(folder, source, stem)),
        "-o",
        str(library),
        "-lm",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    loaded = ctypes.CDLL(str(library))
    function, count = getattr(loaded, f"{source.name}_predict"), int(np.prod(model.graph.result))

    def predict(images):
        scores = np.full((len(images), count), np.nan, np.float32)
        for row, image in zip(scores, np.ascontiguousarray(images), strict=True):
            best = function(image.ctypes.data_as(ctypes.c_void_p), row.ctypes.data_as(ctypes.c_void_p))
            assert best == row.argmax()
        return scores.reshape(len(images), *model.graph.result)

    return predict, getattr(loaded, f"{source.name}_selftest")
