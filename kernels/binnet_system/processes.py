"""Processes: signals, limits, scripts that run beside this process, and forking."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

fork = getattr(os, "fork", None)  # Windows has none
_register_at_fork = getattr(os, "register_at_fork", None)
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # os.kill ends a process at once on Windows, whatever the signal

_RUN = "import sys, runpy; sys.path.append(sys.argv.pop(1)); runpy.run_path(sys.argv.pop(1), run_name='__main__')"


def signals(*names: str) -> list[int]:
    """The numbers of those signals that the system has: ``signals("SIGTERM", "SIGUSR1", "SIGBREAK")``."""
    return [int(getattr(signal, name)) for name in names if hasattr(signal, name)]


def kill(pid: int) -> None:
    """End a process at once; OSError when there is none or it belongs to another user."""
    os.kill(pid, _KILL)


def python(script: str, *options: str) -> list[str]:
    """The start of a command that runs a Python file with this package importable, whatever ``options`` leave out."""
    return [sys.executable, *options, "-c", _RUN, str(Path(__file__).parents[1]), script]


def apart() -> dict[str, Any]:
    """Options of ``subprocess.Popen`` for a process that signals of the terminal or a launcher to this one miss."""
    if fork is not None:
        return {"start_new_session": True}
    names = ("CREATE_NEW_PROCESS_GROUP", "DETACHED_PROCESS")
    return {"creationflags": sum(getattr(subprocess, name, 0) for name in names)}


def first_line(command: list[str], content: bytes) -> bytes:
    """Start a process `apart`, give it ``content`` as standard input, and return the first line that it prints.

    The process goes on by itself: with `leave_parent`, it has ended for us when its line is there. The line is empty
    when it could not begin.
    """
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **apart())
    if fork is not None:
        line: bytes = process.communicate(content)[0]
        return b"" if process.returncode else line
    with process.stdin as stdin, process.stdout as stdout:  # type: ignore[union-attr]  # both are pipes
        stdin.write(content)
        stdin.flush()
        line = stdout.readline()
    process.returncode = 0  # nothing waits for it; without this, Python warns that it still runs
    return line


def leave_parent() -> None:
    """Continue in a child of this process, which ends here, so that its parent has nothing to wait for.

    Without fork the process stays: Windows knows no zombies, and its parent does not wait.
    """
    if fork is not None and fork():
        os._exit(0)


def after_fork(call: Callable[[], None]) -> None:
    """Register a function that runs in each forked child; a system without fork never calls it."""
    if _register_at_fork is not None:
        _register_at_fork(after_in_child=call)


def takes_output(descriptor: int, seconds: float) -> bool:
    """Whether output can be written without waiting for a reader, within ``seconds``; True where nobody can tell."""
    if fork is None:  # Windows asks sockets alone
        return True
    return bool(select.select([], [descriptor], [], seconds)[1])


def limit(memory: int, seconds: int) -> None:
    """Limit address space (bytes) and processor time of this process, as far as the system can."""
    try:
        resource: Any = import_module("resource")
    except ImportError:  # Windows
        return
    for name, most in (("RLIMIT_AS", memory), ("RLIMIT_CPU", seconds)):
        try:
            resource.setrlimit(getattr(resource, name), (most, most))
        except (AttributeError, ValueError, OSError):  # macOS takes no limit of the address space
            continue
