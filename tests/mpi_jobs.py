"""Programs started by the mpiexec of the MPI that mpi4py uses."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_MARK = "BINNET_TEST_JOB"  # a variable that all processes of a job inherit, by which they are found
_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@dataclass(frozen=True)
class Result:
    """What a job has left."""

    stdout: str
    stderr: str
    code: int  # of mpiexec; negative if a signal ended it
    seconds: float
    left: list[int]  # processes that outlived mpiexec; they have been killed

    @property
    def sentences(self) -> list[str]:
        """The lines on standard error that binnet wrote, without those of the launcher."""
        return [line for line in self.stderr.splitlines() if "binnet: " in line]


class Job:
    """A running mpiexec. :meth:`finish` must be called."""

    def __init__(self, command, environment):
        self._mark, self._begin = uuid.uuid4().hex, time.monotonic()
        # Files, not pipes: a pipe would also be open in whatever is left over, and reading it would not end.
        self._stdout, self._stderr = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            env={**environment, _MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=self._stderr,
            start_new_session=True,  # so that a test can interrupt the group as a terminal does
        )

    def pids(self):
        """All living processes of the job, without mpiexec itself."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            pid = int(environ.parent.name)
            with contextlib.suppress(OSError):
                if self._mark.encode() in environ.read_bytes() and pid != self.process.pid:
                    found.append(pid)
        return found

    def finish(self, timeout=60.0, grace=5.0):
        """Wait for the end, for at most ``timeout`` seconds; kill what is left ``grace`` seconds later."""
        try:
            code = self.process.wait(timeout)
            seconds = time.monotonic() - self._begin
            end = time.monotonic() + grace
            while self.pids() and time.monotonic() < end:
                time.sleep(0.05)
            left = self.pids()
        finally:
            self.kill()
        return Result(_text(self._stdout), _text(self._stderr), code, seconds, left)

    def kill(self):
        """End all processes."""
        self.process.kill()
        self.process.wait()
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _text(file):
    with file:
        file.seek(0)
        return file.read()


class Mpiexec:
    """Starts Python programs on ``n`` processes.

    ``mpiexec(n, "script.py", "word")`` runs one to its end, and ``start`` returns at once.
    """

    def __init__(self, command, mpi):
        self._command, self.mpi = command, mpi  # "MPICH" or "Open MPI"

    def start(self, n, *args, **environment):
        """Start ``python *args`` on n processes."""
        # A machine of two cores must run four, and processes must not be bound to the same core.
        spread = ["--oversubscribe", "--bind-to", "none"] if self.mpi == "Open MPI" else []
        roots = os.pathsep.join(str(ROOT / root) for root in (".", "kernels", "datasets"))
        environment = {**os.environ, "PYTHONPATH": roots, **_AS_ROOT, **environment}
        return Job([self._command, *spread, "-n", str(n), sys.executable, *map(str, args)], environment)

    def __call__(self, n, *args, timeout=60.0, **environment):
        """Run ``python *args`` on n processes and return its :class:`Result`."""
        return self.start(n, *args, **environment).finish(timeout)


@pytest.fixture(scope="session")
def mpiexec():
    """Run Python programs by mpiexec: ``mpiexec(n, *args)`` gives stdout, stderr, code and seconds."""
    found = find()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def find():
    """The mpiexec that belongs to mpi4py, or the reason why there is none."""
    # In another process, because mpi4py is imported once, and other tests may want MPI initialised.
    code = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if asked.returncode:
        return f"needs mpi4py and an MPI library ({asked.stderr.strip().splitlines()[-1]})"
    command = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if command is None or not Path("/proc/self/environ").exists():
        return "needs mpiexec, and Linux"
    return Mpiexec(command, "Open MPI" if "Open MPI" in asked.stdout else "MPICH")
