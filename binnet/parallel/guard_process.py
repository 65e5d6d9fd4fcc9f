"""The process that watches the workers of a training, and says in one sentence why it ended.

It is a process of its own because a launcher kills all workers within milliseconds once one is lost, so that none of
them can say which one it was. ``guard.py`` starts this file as a script with ``binnet_system`` and the standard library
alone: it must start fast and use little memory. It leaves the process group of the workers, ignores the signals that
stop them, and ends when the last of them has.

Workers connect by TCP and send lines of JSON: ``hello``, then ``beat`` each second, ``run``, ``failing`` and ``done``.
A signal that a worker receives arrives as the single byte of its number (``signal.set_wakeup_fd``), which also works
while the worker is inside an MPI call and kills follow at once.
"""

from __future__ import annotations

import datetime
import hmac
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from binnet_system import machine, processes

_TICK = 0.2  # seconds between two looks at the clock
_JOIN = 4.0  # seconds without any worker, after which no more are expected
_AGREE = 1.0  # seconds within which all workers that meet the same error report it
# Seconds after a report: the launcher should have ended all; the remaining workers abort; are killed; this one ends.
_ABORT, _KILL, _END = 1.5, 3.0, 4.0
_LONGEST = 1 << 16  # bytes of a line
_STOPS = {bytes([number]) for number in (signal.SIGINT, signal.SIGTERM)}
_SIGNALS = bytes(number for number in range(32) if number != ord("\n"))  # JSON escapes them all


class Worker:
    """A connection, and after its first message the worker at the other end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.rank = -1  # not introduced yet
        self.host, self.place, self.pid = "", "", 0
        self.step = 0
        self.silence = 0.0  # seconds since the last message
        self.asked_to_stop = False
        self._rest = b""

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """The messages that have arrived, and whether the connection has ended."""
        try:
            data = self.connection.recv(_LONGEST)
        except OSError:  # reset by a process that was killed
            data = b""
        self.asked_to_stop |= any(stop in data for stop in _STOPS)
        *lines, self._rest = (self._rest + data.translate(None, _SIGNALS)).split(b"\n")
        return list(_messages(lines)), not data or len(self._rest) > _LONGEST

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, unless the worker is gone or does not read."""
        try:
            self.connection.send(json.dumps(message).encode() + b"\n")
        except OSError:
            return

    def kill(self) -> None:
        """Kill the process if it is on this host. It exists: its connection is open."""
        if self.place == place():
            try:
                processes.kill(self.pid)
            except OSError:
                return


def _messages(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            yield message


def place() -> str:
    """The host and, as containers may share its name, the name space in which process numbers are valid."""
    return f"{socket.gethostname()} {machine.name_space()}".rstrip()


class Watch:
    """All workers of a training."""

    def __init__(self, listener: socket.socket, token: str, size: int, timeout: float) -> None:
        self._listener, self._token, self._size, self._timeout = listener, token, size, timeout
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._open: list[Worker] = []
        self._joined: set[int] = set()
        self._failures: list[tuple[Worker, str]] = []
        self._folder, self._command = "", ""
        self._stopping = False
        self._failed = self._reported = float("inf")  # when the first failure was announced; when the end was reported
        self._now = self._occupied = time.monotonic()

    def run(self) -> None:
        """Watch until the last worker has gone."""
        while not self._over():
            ended = []
            for key, _ in self._selector.select(_TICK):
                if key.fileobj is self._listener:
                    self._accept()
                    continue
                messages, gone = key.data.read()
                for message in messages:
                    self._handle(key.data, message)
                self._stopping |= key.data.rank >= 0 and key.data.asked_to_stop
                if gone:
                    ended.append((bool(messages), key.data))
            # epoll lists connections in the order in which they became ready. One that still had a message to read
            # became ready by that message, maybe before the end of another.
            for _, worker in sorted(ended, key=lambda end: end[0]):
                self._ended(worker)
            self._tick()

    def _over(self) -> bool:
        if self._now - self._reported > _END:
            return True
        if self._workers():
            return False
        return len(self._joined) == self._size or self._now - self._occupied > _JOIN

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        worker = Worker(connection)
        self._open.append(worker)
        self._selector.register(connection, selectors.EVENT_READ, worker)

    def _close(self, worker: Worker) -> None:
        if worker in self._open:
            self._open.remove(worker)
            self._selector.unregister(worker.connection)
            worker.connection.close()

    def _handle(self, worker: Worker, message: dict[str, Any]) -> None:
        worker.silence = 0.0
        if worker.rank < 0:
            self._introduce(worker, message)
        elif "beat" in message:
            worker.step = message["beat"]
        elif "run" in message:
            self._folder, self._command = message["run"], message["command"]
        elif "failing" in message:
            self._failures.append((worker, message["failing"]))
            self._failed = min(self._failed, time.monotonic())
            if self._reported < float("inf"):  # it may have failed because another worker was lost
                worker.send({"verdict": "alone"})
        elif "done" in message:
            self._close(worker)

    def _introduce(self, worker: Worker, message: dict[str, Any]) -> None:
        if not hmac.compare_digest(str(message.get("token")).encode(), self._token.encode()):
            return self._close(worker)
        worker.rank, worker.pid = message["rank"], message["pid"]
        worker.host, worker.place = message["host"], message["place"]
        self._joined.add(worker.rank)
        return worker.send({"welcome": worker.rank})

    def _ended(self, worker: Worker) -> None:
        known = worker in self._open and worker.rank >= 0
        self._close(worker)
        if not known or self._stopping or self._failures:
            return  # after a stop or an error that was announced, workers end as they can
        # Any of those that have not connected may be the first that was lost.
        name = self._name(worker) if len(self._joined) == self._size else f"a worker (of {self._size})"
        self._report(f"{name} was lost" + f" after step {worker.step}" * (worker.step > 0))

    def _tick(self) -> None:
        before, self._now = self._now, time.monotonic()
        # When the whole job is suspended, this process is, too, and must not take that time for silence.
        elapsed = min(self._now - before, 5 * _TICK)
        self._count_silence(elapsed)
        if self._workers():
            self._occupied = self._now
        self._settle_failures()
        self._make_sure()

    def _workers(self) -> list[Worker]:
        return [worker for worker in self._open if worker.rank >= 0]

    def _count_silence(self, elapsed: float) -> None:
        # All silent: they are suspended, by Ctrl-Z for example, and will not wake up at the same moment.
        suspended = all(worker.silence > self._timeout / 2 for worker in self._workers())
        for worker in list(self._open):
            if worker.rank < 0:
                worker.silence += elapsed
                if worker.silence > _JOIN:
                    self._close(worker)  # something else that connected
            elif not suspended:
                worker.silence += elapsed
                if worker.silence > self._timeout and self._reported > self._now:
                    self._report(f"{self._name(worker)} has not answered for {self._timeout:g} s")
                    worker.kill()  # the launcher then ends the others

    def _settle_failures(self) -> None:
        if not self._failures or self._reported <= self._now:
            return
        together = len({worker.rank for worker, _ in self._failures}) == self._size
        if not together and self._now - self._failed < _AGREE and len(self._open) == self._size:
            return
        worker, sentence = self._failures[0]
        if together and len({said for _, said in self._failures}) == 1:
            self._report(sentence, hint=False)  # nothing that is worth trying again
        else:
            self._report(f"{self._name(worker)}: {sentence}")
        for failed, _ in self._failures:
            failed.send({"verdict": "together" if together else "alone"})

    def _make_sure(self) -> None:
        since = self._now - self._reported
        for worker in self._open:
            if since > _KILL:
                worker.kill()
            elif since > _ABORT:
                worker.send({"abort": True})

    def _name(self, worker: Worker) -> str:
        return f"worker {worker.rank} (of {self._size}, on {worker.host})"

    def _report(self, sentence: str, hint: bool = True) -> None:
        """Write the only sentence of this process, to the log first, because nobody may read standard error."""
        if self._reported < float("inf"):
            return
        self._reported = time.monotonic()
        if hint and self._folder and os.path.exists(os.path.join(self._folder, "last.h5")):
            sentence += f"; continue with: {self._command}"
        line = f"binnet: error: {sentence}\n"
        if self._folder:
            try:
                with open(os.path.join(self._folder, "log.txt"), "a", encoding="utf-8") as log:
                    log.write(f"{datetime.datetime.now().astimezone().isoformat(timespec='seconds')}  {line}")
            except OSError:  # the disk is full, for example
                pass
        try:
            if processes.takes_output(2, 1.0):  # a launcher that reads no more must not hold this process
                os.write(2, line.encode(errors="backslashreplace"))
        except OSError:
            return


def main() -> None:
    """Announce the port on standard output, then watch in a process that nothing waits for."""
    for number in processes.signals("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        signal.signal(number, signal.SIG_IGN)
    token, size, timeout = sys.stdin.readline().strip(), int(sys.argv[1]), float(sys.argv[2])
    listener = socket.create_server(("", 0), backlog=size)
    print(listener.getsockname()[1], flush=True)
    processes.leave_parent()
    null = os.open(os.devnull, os.O_RDWR)
    # Standard error stays open: it takes the sentence. The launcher waits until it is closed, which is when this ends.
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.chdir("/")
    Watch(listener, token, size, timeout).run()


if __name__ == "__main__":
    main()
