"""Description of the machine on which a benchmark ran, and its measured limits."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding as llvm
from numba import config

import binnet_kernels as bk
from binnet_kernels.compiled import baseline
from binnet_kernels.simd.vector import VECTOR_BITS
from binnet_system import machine

from ... import __version__
from .timing import medians


@dataclass(frozen=True)
class Machine:
    """The machine and the software of a measurement.

    Attributes
    ----------
    cpu, cores : str, int
        Model of the CPU, and number of logical cores.
    instructions : str
        Instruction set that the kernels are compiled for.
    threads, threading_layer : int, str
        Number of threads, and Numba's threading layer.
    versions : dict of str
        Versions of Python and of the packages that determine the speed.
    system, date : str
        Operating system, and date in UTC.
    load : float or None
        Load average of the last minute, where the system has one; 0 is an idle machine.
    """

    cpu: str
    cores: int
    instructions: str
    threads: int
    threading_layer: str
    versions: dict[str, str]
    system: str
    date: str
    load: float | None

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Peak:
    """Peak rates of loops that use registers only, on all threads in use, in multiply-adds per second.

    Attributes
    ----------
    popcount : float
        Signs: XOR, popcount and addition.
    fma : float
        Fused float32 multiply-adds.
    """

    popcount: float
    fma: float


def this_machine() -> Machine:
    """The machine and software of this process."""
    threads = bk.get_num_threads()
    versions = {
        "binnet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
    }
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    load = machine.load()
    rounded = None if load is None else round(load, 2)
    system = f"{platform.system()} {platform.release()}"
    layer = _threading_layer(threads)
    name, cores = machine.processor(), os.cpu_count() or 1
    return Machine(name, cores, instructions(), threads, layer, versions, system, date, rounded)


def instructions() -> str:
    """The instruction set that the kernels use, and its way to count bits."""
    if config.DISABLE_JIT:
        return "none: compilation is switched off"
    host = llvm.get_host_cpu_name()
    if config.CPU_NAME and config.CPU_NAME != host:  # NUMBA_CPU_NAME selects other instructions than the host's
        return f"{VECTOR_BITS}-bit vectors, compiled for {config.CPU_NAME}"
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "NEON (cnt)"
    features = llvm.get_host_cpu_features()
    if VECTOR_BITS == 512:
        counts = "VPOPCNTDQ" if features.get("avx512vpopcntdq") else "popcount by table (vpshufb)"
        return f"AVX-512, {counts}"
    return "AVX2, popcount by table (vpshufb)" if VECTOR_BITS == 256 else "128-bit vectors"


def measure_peak(seconds: float, steps: int = 200_000) -> Peak:
    """Peak rates, from the register loops of :mod:`binnet_kernels.compiled.baseline`, ``steps`` iterations each."""
    times = medians(
        {"popcount": lambda: baseline.popcount_peak(steps), "fma": lambda: baseline.fma_peak(steps)}, seconds
    )
    # With one iteration a loop returns its multiply-adds per iteration.
    return Peak(baseline.popcount_peak(1) * steps / times["popcount"], baseline.fma_peak(1) * steps / times["fma"])


def measure_bandwidth(seconds: float, size: int = 1 << 24) -> float:
    """Measure the memory bandwidth, bytes read and written per second, with float32 arrays larger than the caches."""
    x, y = np.zeros(size, np.float32), np.zeros(size, np.float32)
    times = medians({"copy": lambda: bk.relu(x, out=y)}, seconds)
    return (x.nbytes + y.nbytes) / times["copy"]


def _threading_layer(threads: int) -> str:
    if threads == 1 or config.DISABLE_JIT:
        return "none, one thread uses the serial kernels"
    bk.sign(np.zeros(1, np.float32))  # Numba names its layer only after a parallel kernel has started the pool
    return str(numba.threading_layer())
