"""``binnet bench cold``: what a new process waits for before it is fast."""

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
    """Medians of ``repeats`` new processes each; ``tick`` is called with a label after each row.

    Returns
    -------
    list of rows ready for JSON
        ``what``, the median in seconds, and all times. Files are in the operating system's cache, as they are after
        the first start.
    """
    if repeats < 1:
        raise ValueError(f"--repeats must be at least 1, got {repeats}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="binnet-bench-") as name:
        folder = Path(name)
        model = folder / "lenet5.h5"
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
    """What is measured, the program, whether with an empty cache, whether the program itself takes the time."""
    return [
        ("start of Python with nothing", "pass", False, False),
        ("import binnet", _IMPORT, False, True),
        ("first call of a binary layer, compiled before", _FIRST_CALL, False, True),
        ("first call of a binary layer, nothing compiled", _FIRST_CALL, True, True),
        ("start to first prediction of lenet5, compiled before", _PREDICTION, False, False),
        ("start to first prediction of lenet5, nothing compiled", _PREDICTION, True, False),
    ]


class _Child:
    """New processes that import the same binnet as this one."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        import binnet

        packages: list[Any] = [binnet, binnet_kernels, binnet_datasets]
        roots = dict.fromkeys(str(Path(p.__file__).resolve().parents[1]) for p in packages)
        self._folder, self._arguments = folder, arguments
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}

    def run(self, code: str, fresh: bool, inside: bool) -> float:
        """Seconds of one process, by its own clock when ``inside``; an empty cache of compiled code when ``fresh``."""
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
