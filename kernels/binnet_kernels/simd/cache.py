"""Compiled code on disk: one file a kernel, in a folder named by everything that the code depends on.

Numba's own cache is keyed by the text of the one file that holds a function, so an edited helper in another file would
silently run stale code, and a truncated entry fails for ever. Here the folder's name is a hash of all kernel sources,
the versions, the CPU and Numba's settings; entries are written to a temporary name and renamed, carry a checksum, and
any trouble with them (damaged, unwritable folder, full disk) only costs the time to compile again. When processes need
a kernel at the same time, one of them compiles it.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding as llvm
from numba.core import compiler, config, serialize
from numba.core.caching import _Cache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import rtsys

from binnet_system.files import replace

from .turns import turn

_CHECKSUM = 32  # bytes of SHA-256 in front of each entry
# Numba's settings that never reach the code. Of all others, the debugging aids too, any change means another folder.
_POOL = {"NUMBA_DEFAULT_NUM_THREADS", "NUMBA_NUM_THREADS", "THREADING_LAYER", "THREADING_LAYER_PRIORITY"}
_APART_FROM_CODE = _POOL | {"CACHE_DIR", "COLOR_SCHEME", "DISABLE_JIT"}


def _sources() -> bytes:
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for source in sorted(package.rglob("*.py")):
        digest.update(source.relative_to(package).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.digest()


# Taken at import: a process that goes on running while a file is edited compiles what it has imported.
_SOURCES = _sources()


def root() -> Path:
    """Folder of all compiled kernels: ``$BINNET_CACHE_DIR``, or ``binnet/kernels`` in the user's cache folder."""
    chosen = os.environ.get("BINNET_CACHE_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path  # 3 ms that importing the package should not cost

    return user_cache_path("binnet", appauthor=False) / "kernels"


def is_empty() -> bool:
    """Whether no kernel of this version has been compiled here yet."""
    return not any(folder().glob("*.bin"))


def folder() -> Path:
    """Folder of the code compiled from these sources, for this machine, with these versions and settings."""
    return root() / hashlib.sha256(_SOURCES + repr(_environment()).encode()).hexdigest()[:24]


def processor() -> str:
    """The name of this machine's processor, as the compiler knows it."""
    name: str = llvm.get_host_cpu_name()
    return name


def _environment() -> tuple[Any, ...]:
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__, platform.machine())
    cpu = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    return versions, cpu, [setting for setting in sorted(vars(config).items()) if _reaches_code(setting[0])]


def _reaches_code(name: str) -> bool:
    return name.isupper() and not name.startswith("CUDA_") and name not in _APART_FROM_CODE


class KernelCache(_Cache):
    """The cache of one Numba dispatcher: loads and saves its compiled code."""

    def __init__(self, qualname: str) -> None:
        self._qualname = qualname

    @property
    def cache_path(self) -> str:
        return str(folder())

    def enable(self) -> None:
        """Always on."""

    def disable(self) -> None:
        """Always on."""

    def flush(self) -> None:
        """Nothing is held in memory."""

    def _file(self, signature: Any) -> Path:
        return folder() / f"{self._qualname}-{hashlib.sha256(str(signature).encode()).hexdigest()[:16]}.bin"

    def compile_once(self, signature: Any, compile: Callable[[Any], Any]) -> Any:
        """``compile(signature)``, which loads or compiles and saves, unless another process is compiling the same.

        In that case it is called when the entry is there. Numba's own lock comes first: a thread that waited for
        it while it held an entry, and another one the other way round, would wait for each other for ever.
        """
        try:
            entry = self._file(signature)
        except Exception:  # no home: nothing is cached
            return compile(signature)
        with global_compiler_lock, turn(entry):
            return compile(signature)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled code of one signature. None if there is no intact entry; Numba then compiles."""
        found = self._load(signature, target_context)
        if found is None:
            _spare_linear_algebra()
        return found

    def _load(self, signature: Any, target_context: Any) -> Any:
        # All that compiled code needs. Numba's cache refreshes the context here, which loads all that compiling needs
        # as well, 0.2 s and 13 MB; the compiler does so itself.
        rtsys.initialize(target_context)
        try:
            entry = self._file(signature).read_bytes()
            checksum, payload = entry[:_CHECKSUM], entry[_CHECKSUM:]
            if hashlib.sha256(payload).digest() != checksum:
                return None
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:  # whatever is wrong with an entry, compiling again is the answer
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep the compiled code of one signature, if the folder takes it."""
        try:
            payload, target = serialize.dumps(result._reduce()), self._file(signature)
            target.parent.mkdir(parents=True, exist_ok=True)
            # No fsync, unlike for people's files: an entry that a crash left damaged is compiled again.
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f"{target.stem}-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(payload).digest() + payload)
                replace(Path(temporary), target)
            finally:
                Path(temporary).unlink(missing_ok=True)  # still there only when something went wrong
        except Exception:  # no home, no permission, no space: the next process compiles again
            return


@cache
def _spare_linear_algebra() -> None:
    """Let Numba load its array functions without SciPy's linear algebra: 0.2 s of a new process that no kernel needs.

    Numba asks only whether BLAS is there, for ``np.convolve``; it is, as SciPy is a dependency of binnet. Compiled code
    of others that does use linear algebra asks again when it is compiled.
    """
    from numba.np import linalg

    ensure_blas, linalg.ensure_blas = linalg.ensure_blas, lambda: None
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = ensure_blas
