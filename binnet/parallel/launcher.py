"""What an MPI launcher tells this process, and the check that mpi4py belongs to that launcher.

A launcher such as mpiexec starts N processes of the same command. Without MPI each would be a training of its own, and
all would write into one run folder; so it matters to know, before mpi4py is imported, that there are others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_INSTALL = 'python -m pip install "binnet[mpi]"'


class LaunchError(ValueError):
    """The launcher and the installed MPI cannot work together."""


@dataclass(frozen=True)
class Launch:
    """What the launcher says of this process: its number among ``size`` processes, and what started it."""

    rank: int
    size: int
    launcher: str  # the command: mpiexec or srun
    mpi: str  # the MPI that the launcher is part of, "" if it serves several


# Variables with the rank and with the size.
_VARIABLES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("PMI_RANK", "PMI_SIZE"),  # MPICH and Intel MPI, and srun --mpi=pmi2
    # Last, as mpiexec itself uses srun to reach the hosts. A batch script, which runs once, has SLURM_NTASKS alone.
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """What a launcher says of this process by its environment variables; None for a process that a shell started.

    Knows Open MPI, MPICH, Intel MPI, and srun of SLURM if it started more than one task: an interactive SLURM shell is
    a task, too.
    """
    for rank, size in _VARIABLES:
        numbers = environment.get(rank, ""), environment.get(size, "")
        if not all(number.isdecimal() for number in numbers):
            continue
        mpi = _implementation(environment)
        launcher = "srun" if not mpi and "SLURM_PROCID" in environment else "mpiexec"
        if launcher == "mpiexec" or int(numbers[1]) > 1:
            return Launch(int(numbers[0]), int(numbers[1]), launcher, mpi)
    return None


def _implementation(environment: Mapping[str, str]) -> str:
    if "OMPI_COMM_WORLD_RANK" in environment:
        return "Open MPI"
    return "MPICH" if "MPI_LOCALRANKID" in environment else ""


def speaks() -> bool:
    """Whether this process says what all processes of its launcher would say; the first one does."""
    launch = launched()
    return launch is None or launch.rank == 0


def leave_the_word_to_the_first(code: int) -> None:
    """End this process with an exit code, unless it is the first one, which is about to say the same sentence."""
    if not speaks():
        # A launcher ends all processes when one has failed, and the first one has yet to speak.
        time.sleep(3)
        raise SystemExit(code)


def require_mpi4py(launch: Launch) -> Any:
    """Import mpi4py, initialise MPI with support for threads, and return the module ``mpi4py.MPI``.

    Returns
    -------
    module
        ``mpi4py.MPI``; its world has ``launch.size`` processes. MPI is finalised when Python exits.

    Raises
    ------
    LaunchError
        When mpi4py is missing, finds no MPI library, or has another MPI than the launcher. Only the first process
        raises it; the others exit with code 1, so that the sentence appears once.
    """
    try:
        return _initialised(launch)
    except LaunchError:
        leave_the_word_to_the_first(1)
        raise


def _initialised(launch: Launch) -> Any:
    started = f"{launch.launcher} started {launch.size} processes"
    try:
        import mpi4py

        # An MPI that does not fit the launcher may abort the process in MPI_Init, so that is for later.
        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
        from mpi4py import MPI
    except ModuleNotFoundError as error:
        raise LaunchError(f"{started}, but mpi4py is not installed: {_INSTALL}") from error
    except (ImportError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise LaunchError(f"{started}, but mpi4py finds no MPI library ({reason}): {_INSTALL}") from error
    library = "Open MPI" if MPI.Get_library_version().startswith("Open MPI") else "MPICH"
    remedy = f"start them with the mpiexec of {library}"
    if launch.launcher == "srun":
        remedy += ", or with another --mpi of srun"
    if launch.mpi not in ("", library):
        raise LaunchError(f"{started}, but it belongs to {launch.mpi}, while mpi4py uses {library}: {remedy}")
    if not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
    if MPI.COMM_WORLD.size != launch.size:
        raise LaunchError(f"{started}, but {library}, which mpi4py uses, sees {MPI.COMM_WORLD.size}: {remedy}")
    return MPI
