"""The worker's end of the guard, which says why a training over several processes ended, and ends all of them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from binnet_system import commands, processes

from ..console import printable
from . import guard_process

_BEAT = 1.0  # seconds
_PATIENCE = 4.0  # seconds for an answer of the guard


def start(size: int, timeout: float = 60.0) -> str:
    """Start the guard of a training; for the first worker, which passes the result on to all.

    Parameters
    ----------
    size
        Number of workers that will connect.
    timeout
        Seconds without a beat after which a worker counts as lost.

    Returns
    -------
    str
        What :meth:`Guard.connect` needs: addresses, port and a token. Empty if the guard could not be started; the
        training then runs without.
    """
    token = secrets.token_hex(16)
    command = [*processes.python(guard_process.__file__, "-I", "-S"), str(size), str(timeout)]
    try:
        # The token by standard input, because everyone on the host can read the command line.
        port = processes.first_line(command, f"{token}\n".encode())
    except OSError:
        return ""
    if not port:
        return ""
    return json.dumps({"token": token, "port": int(port), "host": socket.gethostname(), "addresses": _addresses()})


def _addresses() -> list[str]:
    """The names by which other hosts may reach this one."""
    found = [socket.gethostname()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))  # sends nothing; chooses the interface that leads to other hosts
            found.append(probe.getsockname()[0])
        except OSError:
            pass
    return found


class Guard:
    """The connection of one worker to the guard; made by :meth:`connect`.

    Parameters
    ----------
    connection
        None for a worker without a guard: errors are then printed here.
    rank
        The number of this worker.
    abort
        Ends all workers at once, without waiting for any (``MPI_Abort``). It may be called in another thread.
    """

    def __init__(self, connection: socket.socket | None, rank: int, abort: Callable[[], None]) -> None:
        self._connection, self._rank, self._abort = connection, rank, abort
        self._step = 0
        self._verdict = ""
        self._answered = threading.Event()
        self._wakeup = -1
        if connection is None:
            return
        if threading.current_thread() is threading.main_thread():
            # The number of each signal goes to the guard from within the C handler, so that it arrives even when the
            # launcher kills this process before Python can run again.
            self._wakeup = signal.set_wakeup_fd(connection.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, args=[connection], name="guard", daemon=True)
        self._thread.start()

    @classmethod
    def connect(cls, address: str, rank: int, abort: Callable[[], None]) -> Guard:
        """Connect to the guard at the address that :func:`start` gave; without a guard if it cannot be reached."""
        if not address:
            return cls(None, rank, abort)
        known = json.loads(address)
        # Not every host knows its own name.
        hosts = ["127.0.0.1"] * (known["host"] == socket.gethostname()) + known["addresses"]
        pid, place = os.getpid(), guard_process.place()
        hello = {"token": known["token"], "rank": rank, "pid": pid, "host": socket.gethostname(), "place": place}
        for host in hosts:
            connection = _introduced(host, known["port"], hello)
            if connection is not None:
                return cls(connection, rank, abort)
        return cls(None, rank, abort)

    def name_run(self, folder: Path, launcher: str) -> None:
        """Tell the guard where the run's log is, and how the run continues; for the first worker.

        ``launcher`` stands before the command, as ``"mpiexec -n 4 "``.
        """
        command = launcher + commands.line(["binnet", "train", "--resume", str(folder)])
        self._send({"run": str(folder.absolute()), "command": command})

    def beat(self, step: int) -> None:
        """Remember the number of the step that has been finished; it costs nothing."""
        self._step = step

    def fail(self, sentence: str) -> None:
        """Report an error. Returns when all workers have reported one, so that each can exit; otherwise ends all.

        The guard prints the sentence, once. A worker that fails alone cannot just exit: the others wait for it in a
        collective operation.
        """
        sentence = printable(" ".join(sentence.split()))
        if self._send({"failing": sentence}) and self._answered.wait(_PATIENCE):
            if self._verdict == "together":
                return
        else:
            print(f"binnet: error: worker {self._rank}: {sentence}", file=sys.stderr, flush=True)
        self._end_all()

    def done(self) -> None:
        """Say goodbye before a normal end. Later losses of this worker are not reported."""
        self._send({"done": True})
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._wakeup)
        with contextlib.suppress(OSError):  # the guard may have closed it
            connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        self._thread.join()
        connection.close()

    def _send(self, message: dict[str, Any]) -> bool:
        connection = self._connection
        try:
            if connection is not None:
                connection.sendall(json.dumps(message).encode() + b"\n")
                return True
        except OSError:  # the guard is gone
            pass
        return False

    def _run(self, connection: socket.socket) -> None:
        rest = b""
        while self._send({"beat": self._step}):
            try:
                data = connection.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._obey(json.loads(line))

    def _obey(self, message: dict[str, Any]) -> None:
        if "abort" in message:
            self._end_all()
        self._verdict = message.get("verdict", self._verdict)
        if self._verdict:
            self._answered.set()

    def _end_all(self) -> None:
        # MPI may be stuck in a lock that another thread holds.
        threading.Thread(target=self._abort, daemon=True).start()
        time.sleep(1)
        os._exit(1)


def _introduced(host: str, port: int, hello: dict[str, Any]) -> socket.socket | None:
    """A connection that the guard has accepted; None if this is not the way to it."""
    try:
        connection = socket.create_connection((host, port), timeout=_PATIENCE)
    except OSError:
        return None
    try:
        connection.sendall(json.dumps(hello).encode() + b"\n")
        if b"welcome" in connection.recv(4096):
            connection.settimeout(_BEAT)
            return connection
    except OSError:
        pass
    connection.close()
    return None
