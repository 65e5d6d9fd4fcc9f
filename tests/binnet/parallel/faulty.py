"""A program for mpiexec: ``binnet``, with a fault in one worker at one step.

``faulty.py WORD...`` runs the command line of binnet. The variable ``FAULT`` holds WHAT, RANK and STEP: what happens in
which worker (-1: in all) before which training step, counted from 0. With ``pause`` the file ``FAULT_FILE`` appears
then, and each further step takes a while, so that a test can send signals.
"""

import errno
import os
import signal
import sys
import time
from pathlib import Path


def fail(text):
    """Raise the error of a wrong program."""
    raise ValueError(text)


def fill_disk():
    """Let no file be written from now on."""

    def no_space(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Path.write_bytes = no_space


def pause():
    """Show that the step has been reached, and slow down."""
    Path(os.environ["FAULT_FILE"]).touch()
    time.sleep(0.1)


def tell_threads():
    """Write the number of threads of this worker to standard error."""
    import binnet_kernels as bk  # here, because it reads the variables that a fault may change

    sys.stderr.write(f"threads: {bk.get_num_threads()}\n")


STEP_FAULTS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "error": lambda: fail("the network is wrong"),
    "disk": fill_disk,
    "pause": pause,
    "threads": tell_threads,
}


def differ(what):
    """Make this worker different from the others before it starts."""
    if what == "cpu":
        os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"] = "generic", ""
    elif what == "version":
        from binnet.parallel import agreement

        agreement.__version__ = "0.0.0"
    elif what == "images":
        os.chdir(os.environ["FAULT_FILE"])


def at_step(what, step):
    """Let it happen in a training step."""
    from binnet.train import loop

    original, seen = loop.training_step, 0

    def training_step(*args):
        nonlocal seen
        if seen == step or (seen > step and what == "pause"):
            STEP_FAULTS[what]()
        seen += 1
        return original(*args)

    loop.training_step = training_step


def main():
    """Run binnet."""
    what, rank, step = os.environ.get("FAULT", "none 0 0").split()
    own = os.environ.get("PMI_RANK") or os.environ.get("OMPI_COMM_WORLD_RANK") or "0"
    if rank in (own, "-1"):
        differ(what)
        if what in STEP_FAULTS:
            at_step(what, int(step))
    from binnet.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
