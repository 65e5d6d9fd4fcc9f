"""Checks that all workers have the same: programs, processors, images, and weights."""

from __future__ import annotations

import hashlib
import platform
import socket
import sys
from collections.abc import Mapping
from typing import Any

import h5py
import llvmlite
import numba
import numpy as np
import numpy.typing as npt

from binnet_kernels.simd import cache

from .. import __version__
from .communicator import Communicator


class WorkersDifferError(ValueError):
    """Workers that must have the same do not."""


def require_same(communicator: Communicator, facts: Mapping[str, Any]) -> None:
    """WorkersDifferError on every worker, unless all have the same facts; names of facts are words of the sentence."""
    every = communicator.gather((socket.gethostname(), dict(facts)))
    first = every[0][1]
    for rank, (host, others) in enumerate(every):
        for name, value in first.items():
            if others[name] != value:
                raise WorkersDifferError(
                    f"all workers need the same {name}, but worker 0 has {value!s:.200} and worker {rank} (on {host}) "
                    f"has {others[name]!s:.200}"
                )


def machine_facts() -> dict[str, Any]:
    """What the bits of a result depend on beside configuration and images: versions, processor and sources."""
    versions = {"binnet": __version__, "NumPy": np.__version__, "Numba": numba.__version__}
    versions |= {"llvmlite": llvmlite.__version__, "h5py": h5py.__version__, "Python": platform.python_version()}
    return {
        **{f"version of {name}": version for name, version in versions.items()},
        "byte order": sys.byteorder,
        # The folder is named by a hash of the sources of the kernels, the processor and what it can do.
        "processor and kernels": (cache.processor(), cache.folder().name),
    }


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 of names and arrays."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
