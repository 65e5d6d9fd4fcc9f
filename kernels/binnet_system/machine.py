"""The machine and the user: cores, load, processor, name space of process numbers, owner of a file."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

WINDOWS = os.name == "nt"
_affinity = getattr(os, "sched_getaffinity", None)  # macOS and Windows bind no process
_getuid = getattr(os, "getuid", None)  # Windows has no numbers of users
CPUINFO, BOARD, NAME_SPACE = Path("/proc/cpuinfo"), Path("/proc/device-tree/model"), Path("/proc/self/ns/pid")


def cores() -> set[int]:
    """Numbers of the cores that this process may use."""
    return set(_affinity(0)) if _affinity is not None else set(range(os.cpu_count() or 1))


def load() -> float | None:
    """The number of processes that wanted a core in the last minute; None where the system does not count them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def processor() -> str:
    """The name of the processor."""
    try:
        for line in CPUINFO.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
        return BOARD.read_text("utf-8", "replace").rstrip("\0")  # ARM: cores have numbers there and no name
    except OSError:  # not Linux, or a machine that is no board
        pass
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or platform.machine()
    return platform.processor() or platform.machine()


def name_space() -> str:
    """The name space in which process numbers are valid; empty where there is only one."""
    try:
        return os.readlink(NAME_SPACE)
    except OSError:
        return ""


def user() -> str:
    """What tells this user from others in a name; on Windows each has a folder for temporary files of their own."""
    return str(_getuid()) if _getuid is not None else "user"


def only_ours(status: os.stat_result) -> bool:
    """Whether a file belongs to this user and nobody else may write to it; True on Windows, which does not tell."""
    return _getuid is None or (status.st_uid == _getuid() and not status.st_mode & 0o022)
