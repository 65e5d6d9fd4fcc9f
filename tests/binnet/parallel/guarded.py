"""A program for mpiexec: workers that meet in a collective operation all the time, watched by the guard.

``guarded.py FOLDER WHAT RANK``: after 20 steps WHAT happens in worker RANK, or in all of them with -1. Each worker
leaves a file with its process number in FOLDER.
"""

import os
import signal
import sys
import time
from pathlib import Path

from binnet.parallel import guard
from binnet.parallel.launcher import launched, require_mpi4py
from binnet.signals import stop_signal


def happen(what, me):
    """End in one of the ways in which a training does."""
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif what == "error":
        raise ValueError("no space is left")
    elif what == "errors":
        raise ValueError(f"no space is left on {me}")


def train(folder, what, rank, comm, watched, stop):
    """Take steps until something happens."""
    (folder / f"pid{comm.rank}").write_text(str(os.getpid()))
    for step in range(3000):
        if step == 20:
            comm.Barrier()
            if rank in (comm.rank, -1):
                happen(what, comm.rank)
        if step == 40 and what == "end":
            return
        watched.beat(step)
        if comm.allreduce(stop.signal):
            (folder / f"saved{comm.rank}").touch()
            return
        time.sleep(0.01)


def main(folder, what, rank, timeout="60"):
    """Run one worker."""
    launch = launched()
    mpi = require_mpi4py(launch)
    comm = mpi.COMM_WORLD
    address = comm.bcast(guard.start(comm.size, float(timeout)) if comm.rank == 0 else None)
    watched = guard.Guard.connect(address, comm.rank, lambda: comm.Abort(1))
    if comm.rank == 0:
        watched.name_run(Path(folder), f"{launch.launcher} -n {comm.size} ")
    try:
        with stop_signal() as stop:
            train(Path(folder), what, int(rank), comm, watched, stop)
    except ValueError as error:
        watched.fail(str(error))
        raise SystemExit(1) from None
    watched.done()
    return 130 if stop.signal else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
