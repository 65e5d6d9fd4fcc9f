"""``binnet bench cold``: start-up times of new processes, with and without compiled kernels."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import binnet_datasets
import binnet_kernels

from ... import models
from ...packing import pack
from .layers import Row, Tick

# Programs of the measured processes. Those that print a number take the time themselves, without Python's start.
_IMPORT = """
import time
start = time.perf_counter()
import binnet
print(time.perf_counter() - start)
"""
_FIRST_CALL = """
import sys, time
import numpy as np
import binnet_kernels as bk
if sys.argv[2] != "0":
    bk.set_num_threads(int(sys.argv[2]))
rng = np.random.default_rng(0)
x, weight = (rng.standard_normal(shape, dtype=np.float32) for shape in ((1, 14, 14, 256), (256, 3, 3, 256)))
start = time.perf_counter()
bk.XnorConv2d(weight, padding=1)(x)
print(time.perf_counter() - start)
"""
_PREDICTION = """
import sys
import numpy as np
import binnet
import binnet_kernels as bk
if sys.argv[2] != "0":
    bk.set_num_threads(int(sys.argv[2]))
binnet.load(sys.argv[1])(np.zeros((1, 28, 28, 1), np.float32))
"""
STEPS = 6


def measure(repeats: int, threads: int | None, tick: Tick) -> list[Row]:
    """Measure start-up times.

    Parameters
    ----------
    repeats
        Number of new processes for each measurement, at least 1; ValueError otherwise.
    threads
        Threads of the kernels; None for all cores.
    tick
        Called with a label after each measurement.

    Returns
    -------
    list of rows with JSON values
        Label, median in seconds, and all times. Files are in the operating system's cache, as after a first start.
    """
    if repeats < 1:
        raise ValueError(f"--repeats must be at least 1, got {repeats}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="binnet-bench-") as name:
        folder = Path(name)
        model = folder / "lenet5.h5"  # the smallest network: its prediction takes little beside the start itself
        pack(models.build("lenet5", in_channels=1)).save(model)
        child = _Child(folder, [str(model), str(threads or 0)])
        for what, code, fresh, inside in _jobs():
            if not fresh:
                child.run(code, fresh, inside)  # compiles, and brings the files into the system's cache
            times = [child.run(code, fresh, inside) for _ in range(repeats)]
            rows.append({"what": what, "median_s": statistics.median(times), "times_s": times})
            tick(what)
    return rows


def _jobs() -> list[tuple[str, str, bool, bool]]:
    """The measurements: label, program, whether the kernel cache is empty, whether the program takes the time."""
    return [
        ("start of Python with nothing", "pass", False, False),
        ("import binnet", _IMPORT, False, True),
        ("first call of a binary layer, compiled before", _FIRST_CALL, False, True),
        ("first call of a binary layer, nothing compiled", _FIRST_CALL, True, True),
        ("start to first prediction of lenet5, compiled before", _PREDICTION, False, False),
        ("start to first prediction of lenet5, nothing compiled", _PREDICTION, True, False),
    ]


class _Child:
    """Runner of new processes that import the same binnet as this one."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        import binnet

        packages: list[Any] = [binnet, binnet_kernels, binnet_datasets]
        # From a checkout the packages lie in three folders, which a new process does not know.
        roots = dict.fromkeys(str(Path(p.__file__).resolve().parents[1]) for p in packages)
        self._folder, self._arguments = folder, arguments
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}

    def run(self, code: str, fresh: bool, inside: bool) -> float:
        """Run one process and return its time in seconds.

        Parameters
        ----------
        code
            The program.
        fresh
            Whether its kernel cache is empty.
        inside
            Whether the program prints the time that counts; otherwise it is that of the whole process.

        Raises
        ------
        ValueError
            When the process fails.
        """
        with tempfile.TemporaryDirectory(dir=self._folder) as empty:
            cache = empty if fresh else str(self._folder / "cache")
            command = [sys.executable, "-c", code, *self._arguments]
            start = time.perf_counter()
            done = subprocess.run(
                command,
                env={**self._environment, "BINNET_CACHE_DIR": cache},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            seconds = time.perf_counter() - start
        if done.returncode:
            raise ValueError(f"a new process failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return float(json.loads(done.stdout)) if inside else seconds
