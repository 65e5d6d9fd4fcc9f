"""What launchers set, and the sentences for an MPI that does not fit. No process is started here."""

import sys
from types import SimpleNamespace

import pytest

from binnet.parallel.launcher import Launch, LaunchError, launched, require_mpi4py

HYDRA = {"PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"}
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3", "PMIX_RANK": "2"}
SRUN = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_NTASKS": "8"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (HYDRA, Launch(1, 4, "mpiexec", "MPICH")),
        (OPEN_MPI, Launch(2, 3, "mpiexec", "Open MPI")),
        (SRUN, Launch(3, 8, "srun", "")),
        ({**SRUN, "PMI_RANK": "3", "PMI_SIZE": "8"}, Launch(3, 8, "srun", "")),  # srun --mpi=pmi2
        ({**SRUN, "PMIX_RANK": "3"}, Launch(3, 8, "srun", "")),  # srun --mpi=pmix
        ({**HYDRA, **SRUN}, Launch(1, 4, "mpiexec", "MPICH")),  # mpiexec in a SLURM job, which it reaches by srun
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, None),  # a batch script
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),  # a shell within srun
        ({"PMI_RANK": "0"}, None),
        ({"PMI_RANK": "0", "PMI_SIZE": "many"}, None),
        ({"PMI_RANK": "0", "PMI_SIZE": "1"}, Launch(0, 1, "mpiexec", "")),
    ],
)
def test_launched(environment, expected):
    assert launched(environment) == expected


def fake_mpi4py(monkeypatch, library, size):
    mpi = SimpleNamespace(
        Get_library_version=lambda: library,
        Is_initialized=lambda: True,
        COMM_WORLD=SimpleNamespace(size=size),
    )
    package = SimpleNamespace(rc=SimpleNamespace(), MPI=mpi)
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", mpi)
    return package


def test_an_mpi_that_fits(monkeypatch):
    package = fake_mpi4py(monkeypatch, "MPICH Version: 5", 4)
    assert require_mpi4py(Launch(0, 4, "mpiexec", "MPICH")) is package.MPI
    assert (package.rc.initialize, package.rc.finalize) == (False, True)


def test_without_mpi4py(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(LaunchError, match=r"^mpiexec started 4 processes, but mpi4py is not .*binnet\[mpi\]"):
        require_mpi4py(Launch(0, 4, "mpiexec", "MPICH"))


@pytest.mark.parametrize(
    ("launch", "library", "size", "sentence"),
    [
        (Launch(0, 4, "mpiexec", "Open MPI"), "MPICH Version: 5", 4, "it belongs to Open MPI, while mpi4py uses MPICH"),
        (Launch(0, 4, "mpiexec", "MPICH"), "Open MPI v5", 4, "it belongs to MPICH, while mpi4py uses Open MPI"),
        (Launch(0, 4, "srun", ""), "MPICH Version: 5", 1, "but MPICH, which mpi4py uses, sees 1: .*, or with"),
    ],
)
def test_an_mpi_of_another_launcher(monkeypatch, launch, library, size, sentence):
    fake_mpi4py(monkeypatch, library, size)
    with pytest.raises(LaunchError, match=f"^{launch.launcher} started 4 processes, .*{sentence}"):
        require_mpi4py(launch)


def test_only_the_first_process_says_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    for name, value in HYDRA.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stop:
        require_mpi4py(Launch(1, 4, "mpiexec", "MPICH"))
    assert stop.value.code == 1
