"""The tile functions of exported C files, for each compiler and processor of this machine, against NumPy."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]
SNIPPETS = ("words", "xnor_tile", "floats", "conv_tile", "bwn_tile", "int8_tile", "pack", "reach")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
# Clang's library of checks is a package of its own, so a check of it becomes an illegal instruction.
SANITISED = {
    "gcc": ("-fsanitize=undefined,address", "-fno-sanitize-recover=all", "-g", "-O1"),
    "clang": ("-fsanitize=undefined", "-fsanitize-trap=undefined", "-g", "-O0"),
}
ZIG = (sys.executable, "-m", "ziglang", "cc")
FOREIGN = (*STRICT[:-1], "-O3", "-fno-sanitize=undefined")  # Zig warns of an option that it adds itself
XNOR, CONV, BWN, INT8, REACH, PACK = range(6)


@dataclass(frozen=True)
class Build:
    """A compiler with its options, and what runs the result.

    With ``target`` the program is linked with these options alone: Zig builds a C library for each set of options, for
    which it takes minutes, and keeps it.
    """

    compiler: tuple[str, ...]
    flags: tuple[str, ...]
    runner: tuple[str, ...] = ()
    target: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join([self.compiler[-1], *self.target, *self.flags]).replace(" ", "")

    def commands(self, source: Path, program: Path) -> list[list[str]]:
        """What makes a program of the source."""
        if not self.target:
            return [[*self.compiler, *self.flags, str(source), "-o", str(program)]]
        part, common = str(source.with_suffix(".o")), [*self.compiler, *self.target]
        return [[*common, *self.flags, "-c", str(source), "-o", part], [*common, part, "-o", str(program)]]


def _builds() -> Iterator[Build]:
    """Each instruction set that the tiles have a path for, both sizes of words, other dialects, and sanitisers."""
    for name in ("gcc", "clang"):
        for machine in ("native", "skylake-avx512", "haswell", "x86-64-v2", "x86-64"):
            yield Build((name,), (*STRICT, "-O3", f"-march={machine}"))
        yield Build((name,), (*STRICT, "-O2", "-march=native", "-DBN_WORD_BITS=32"))
        yield Build((name,), (*STRICT, "-O3", "-m32", "-march=haswell"))
        yield Build((name,), (*STRICT, "-Os", "-m32", "-msse2", "-mfpmath=sse", "-DBN_WORD_BITS=32"))
        yield Build((name,), ("-std=gnu99", "-O3", "-march=native", "-Wall", "-Werror"))
        yield Build((name,), ("-x", "c++", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror"))
        for machine in ("native", "haswell", "x86-64"):
            yield Build((name,), (*STRICT, *SANITISED[name], f"-march={machine}"))
        yield Build((name,), (*STRICT, *SANITISED[name], "-DBN_WORD_BITS=32"))
    for core in ("generic", "cortex_a76", "neoverse_v1"):
        flags, target = (*FOREIGN, f"-mcpu={core}"), ("-target", "aarch64-linux-musl")
        yield Build(ZIG, flags, ("qemu-aarch64-static",), target)
    wasi = ("node", "--no-warnings", str(Path(__file__).with_name("wasi.mjs")))
    for more in ((), ("-msimd128",)):
        yield Build(ZIG, (*FOREIGN, *more), wasi, ("-target", "wasm32-wasi"))


def _compile(build: Build, folder: Path) -> Path:
    """The harness behind the snippets, as a program; skips what this machine lacks."""
    if build.compiler is ZIG and find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    for needed in (*build.compiler[:1], *build.runner[:1]):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    runtime = files("binnet.convert.c") / "runtime"
    parts = [(runtime / f"{name}.c").read_text() for name in SNIPPETS]
    harness = Path(__file__).with_name("tiles_harness.c").read_text()
    source, program = folder / "tiles.c", folder / "tiles"
    source.write_text("\n".join(["#include <stddef.h>", "#include <stdint.h>", *parts, harness]))
    for command in build.commands(source, program):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and any(words in done.stderr for words in ("bits/", "cannot find", "incompatible")):
            pytest.skip("the libraries for this target are not installed")
        assert done.returncode == 0, done.stderr
    return program


@dataclass(frozen=True)
class Facts:
    fused: bool
    xf: int
    ff: int
    filters: int
    bits: int


@dataclass(frozen=True)
class Case:
    """Numbers of a call, its arrays, and what it must write."""

    numbers: tuple[int, ...]
    x: Array
    w: Array
    result: Array

    def as_bytes(self) -> bytes:
        sizes = (self.x.nbytes, self.w.nbytes, self.result.nbytes)
        return np.array((*self.numbers, *sizes), "<i4").tobytes() + self.x.tobytes() + self.w.tobytes()


def _taps(rng: np.random.Generator, make: Any, rows: int, values: int, pixels: int) -> tuple[tuple[int, int], Any, Any]:
    """(x_row, x_step), an array that ends with the last value that may be read, and (pixels, rows, values) of it."""
    x_row, x_step = values + int(rng.integers(0, 9)), int(rng.integers(1, values + 4))
    x = make((rows - 1) * x_row + (pixels - 1) * x_step + values)
    places = np.arange(pixels)[:, None, None] * x_step + np.arange(rows)[:, None] * x_row + np.arange(values)
    return (x_row, x_step), x, x[places]


def _weights(rng: np.random.Generator, w: Array) -> tuple[int, Array]:
    """The elements between rows, and weights (rows, ...) with others between them: a part of wider filters."""
    rows, size = len(w), w[0].size
    w_row = size + int(rng.integers(0, 3)) * w[0, 0].size
    wide = rng.permutation(np.resize(w, rows * w_row)).reshape(rows, w_row)
    wide[:, :size] = w.reshape(rows, size)
    return w_row, wide.reshape(-1)[: (rows - 1) * w_row + size]


def _xnor(rng: np.random.Generator, facts: Facts, rows: int, values: int, pixels: int, extreme: bool) -> Case:
    kind = np.uint64 if facts.bits == 64 else np.uint32
    strides, x, taps = _taps(rng, lambda n: rng.integers(0, 2**facts.bits, n, kind), rows, values, pixels)
    w = rng.integers(0, 2**facts.bits, (rows, values, facts.xf), kind)
    if extreme:  # all bits differ, so that narrow counters would overflow
        x, taps, w = np.zeros_like(x), np.zeros_like(taps), np.full_like(w, np.iinfo(kind).max)
    w_row, weights = _weights(rng, w)
    result = np.bitwise_count(taps[..., None] ^ w).sum(axis=(1, 2), dtype=np.int32)
    return Case((XNOR, *strides, pixels, w_row, rows, values), x, weights, result)


def _multiply_added(taps: Array, w: Array, fused: bool) -> Array:
    """Sums (pixels, filters), tap by tap in float32; a fused one is formed in 64 bits and rounded once."""
    total = np.zeros((len(taps), w.shape[-1]), np.float32)
    wide = np.longdouble if fused else np.float32
    for row in range(w.shape[0]):
        for i in range(w.shape[1]):
            product = taps[:, row, i, None].astype(wide) * w[row, i].astype(wide)
            total = (total.astype(wide) + product).astype(np.float32)
    return total


def _conv(rng: np.random.Generator, facts: Facts, rows: int, values: int, pixels: int, extreme: bool) -> Case:
    strides, x, taps = _taps(rng, lambda n: rng.standard_normal(n, np.float32), rows, values, pixels)
    w = rng.standard_normal((rows, values, facts.ff), np.float32)
    w_row, weights = _weights(rng, w)
    result = _multiply_added(taps, w, facts.fused)
    return Case((CONV, *strides, pixels, w_row, rows, values), x, weights, result)


def _bwn(rng: np.random.Generator, facts: Facts, rows: int, values: int, pixels: int, extreme: bool) -> Case:
    strides, x, taps = _taps(rng, lambda n: rng.standard_normal(n, np.float32), rows, values, pixels)
    negative = rng.random((rows, values, facts.ff)) < 0.5
    w_row, weights = _weights(rng, np.packbits(negative, axis=-1, bitorder="little"))
    result = _multiply_added(taps, np.where(negative, np.float32(-1), np.float32(1)), False)
    return Case((BWN, *strides, pixels, w_row, rows, values), x, weights, result)


def _int8(rng: np.random.Generator, facts: Facts, rows: int, values: int, pixels: int, extreme: bool) -> Case:
    low = 255 if extreme else 0
    strides, x, taps = _taps(rng, lambda n: rng.integers(low, 256, n, np.uint8), rows, values, pixels)
    w = rng.integers(-128, -127 if extreme else 128, (rows, values, facts.filters), np.int8)
    result = np.einsum("pri,rif->pf", taps.astype(np.int32), w.astype(np.int32)).astype(np.int32)
    groups = np.pad(w, ((0, 0), (0, -values % 4), (0, 0))).reshape(rows, -1, 4, facts.filters).swapaxes(2, 3)
    w_row, weights = _weights(rng, np.ascontiguousarray(groups).reshape(rows, -1, 4 * facts.filters))
    return Case((INT8, *strides, pixels, w_row, rows, values), x, weights, result)


def _reach(rng: np.random.Generator, facts: Facts, pixels: int) -> Case:
    """Counts whose dot products often equal the threshold, and the ends of the range of thresholds."""
    n = int(rng.integers(1, 9))
    pop = rng.integers(0, n + 1, (pixels, facts.xf), np.int32)
    most = rng.choice(np.array([-(2**31), -n, -n + 2, 0, 1, n - 2, n, 2**31 - 1], np.int32), facts.xf)
    result = np.packbits(n - 2 * pop <= most, axis=1, bitorder="little")
    return Case((REACH, 0, 0, pixels, 0, 0, n), pop, most, result)


def _pack(rng: np.random.Generator, facts: Facts, values: int) -> Case:
    """Values on the limits, between them, beyond them, infinite, and not a number."""
    ends = np.array([-np.inf, -1.5, -0.0, 0.0, 2.0, np.inf], np.float32)
    x = rng.choice(np.append(ends, np.float32("nan")), values)
    low, high = rng.choice(ends, values), rng.choice(ends, values)
    blocks = ((low <= x) & (x <= high)).reshape(-1, facts.filters)
    bits = np.pad(blocks, ((0, 0), (0, facts.bits - facts.filters)))
    result = np.packbits(bits, bitorder="little")
    return Case((PACK, 0, 0, 0, 0, 0, values), x, np.concatenate([low, high]), result)


def _cases(rng: np.random.Generator, facts: Facts) -> list[Case]:
    cases = [_pack(rng, facts, blocks * facts.filters) for blocks in (1, 2, 7, 40)]
    cases += [_reach(rng, facts, pixels) for pixels in (1, 5, 40)]
    for make in (_xnor, _conv, _bwn, _int8):
        for pixels in range(1, 18):
            rows, values = (int(n) for n in rng.integers(1, (5, 24)))
            cases.append(make(rng, facts, rows, values, pixels, pixels % 3 == 0))
        cases += [make(rng, facts, rows, 60, 5, True) for rows in (1, 3)]  # counters of a byte are full after 31
    return cases


def _run(build: Build, command: list[str], stream: bytes) -> bytes:
    """What the program writes; skips where the build is for another processor, whose instructions this one lacks."""
    done = subprocess.run(command, input=stream, capture_output=True, check=False)
    # Whether the compiler uses such an instruction before the first case is its own choice.
    if done.returncode == -signal.SIGILL and "-march=native" not in build.flags:
        pytest.skip("this processor lacks the instructions")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("build", list(_builds()), ids=str)
def test_tiles_give_the_sums_of_numpy(build: Build, tmp_path: Path) -> None:
    """Each tile, for 1 to 17 pixels, with strides and parts of filters; floats have the same bits."""
    command = [*build.runner, str(_compile(build, tmp_path))]
    probe = _run(build, command, b"")
    fused, *sizes = (int(n) for n in np.frombuffer(probe, "<i4"))
    facts = Facts(bool(fused), *sizes)
    cases = _cases(np.random.default_rng(len(str(build))), facts)
    stream = b"".join(case.as_bytes() for case in cases)
    written = _run(build, command, stream)[len(probe) :]
    assert len(written) == sum(case.result.nbytes for case in cases)
    for case in cases:
        got = np.frombuffer(written[: case.result.nbytes], case.result.dtype).reshape(case.result.shape)
        written = written[case.result.nbytes :]
        np.testing.assert_array_equal(got, case.result, err_msg=str(case.numbers))
