"""Under a real launcher: what each process learns, and what is said when MPI does not fit."""

import pytest

WORLD = """
import sys
from binnet.parallel.launcher import launched, require_mpi4py
launch = launched()
MPI = require_mpi4py(launch)
assert (MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size) == (launch.rank, launch.size)
assert MPI.Query_thread() == MPI.THREAD_MULTIPLE
sys.stdout.write(f"{launch.mpi} {launch.rank} {launch.size}\\n")  # in one piece, as the launcher mixes them
"""

REFUSED = """
import sys
{before}
from binnet.parallel.launcher import LaunchError, launched, require_mpi4py
try:
    require_mpi4py(launched())
except LaunchError as error:
    sys.exit(f"binnet: error: {{error}}")
"""

MISSING = 'sys.modules["mpi4py"] = None'
NO_LIBRARY = """
import importlib.abc
class NoLibrary(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "mpi4py.MPI":
            raise RuntimeError("cannot load MPI library" + chr(10) + "libmpi.so: cannot open")  # what mpi4py raises
sys.meta_path.insert(0, NoLibrary())
"""
ANOTHER = """
import binnet.parallel.launcher as module
module._implementation = lambda environment: "Another MPI"
"""


def test_each_worker_knows_its_number(mpiexec):
    result = mpiexec(3, "-c", WORLD)
    assert (result.code, result.stderr, result.left) == (0, "", [])
    assert sorted(result.stdout.splitlines()) == [f"{mpiexec.mpi} {k} 3" for k in range(3)]


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (MISSING, 'but mpi4py is not installed: python -m pip install "binnet[mpi]"'),
        (NO_LIBRARY, 'but mpi4py finds no MPI library (cannot load MPI library): python -m pip install "binnet[mpi]"'),
        (ANOTHER, "but it belongs to Another MPI, while mpi4py uses {mpi}: start them with the mpiexec of {mpi}"),
    ],
)
def test_one_sentence_when_mpi_does_not_fit(mpiexec, before, reason):
    result = mpiexec(3, "-c", REFUSED.format(before=before))
    assert result.code == 1
    assert result.left == []
    assert result.sentences == [f"binnet: error: mpiexec started 3 processes, {reason.format(mpi=mpiexec.mpi)}"]
