"""Memory of this process: reuse of freed memory during training, and the peak."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from functools import cache
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)
_KEPT = 1 << 30  # bytes that the process keeps
_LARGE = 1 << 24  # bytes of an array that goes back to the system


@cache
def keep_freed_memory() -> bool:
    """Make this process keep the memory of freed arrays, instead of returning it to the system.

    A step of training makes the same arrays as the one before. By default the GNU C library returns large ones to the
    system, which clears every page again: 7 to 16 % of a step of ResNet-18. Arrays of 16 MB and more still go back:
    kept, they leave holes, a quarter of the peak of a step of nin, and NumPy asks for large pages for them, which costs
    little. Called by every optimiser; settings in the environment (``MALLOC_*``) come first.

    Returns
    -------
    bool
        Whether anything was set; False where the C library is another one.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if chosen or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, _LARGE) and mallopt(_TRIM_THRESHOLD, _KEPT))


def peak() -> int | None:
    """The peak memory of this process in bytes; None when the system does not report it.

    ``getrusage`` would say the same of more systems, but there a new process starts with the peak of the one that
    started it.
    """
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]  # in KiB
    return int(sizes[0]) * 1024 if sizes else None


def start_peak() -> int | None:
    """Return freed memory to the system and reset :func:`peak`, as far as possible; returns the new peak."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "utf-8")  # 5 resets the peak and nothing else
    return peak()
