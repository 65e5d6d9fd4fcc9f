"""Fixtures of the tests with several processes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not
import mpi_jobs


@pytest.fixture(scope="session")
def mpiexec():
    """Run Python programs by mpiexec: ``mpiexec(n, *args)`` gives stdout, stderr, code, seconds (see mpi_jobs.py)."""
    found = mpi_jobs.find()
    if isinstance(found, str):
        pytest.skip(found)
    return found
