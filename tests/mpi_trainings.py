"""Trainings by several workers, with or without a fault, and what they write."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from binnet.modelfile import container

PROGRAM = Path(__file__).parent / "binnet/parallel/faulty.py"
# Batches of 200 of the 1,437 digits: the last one has 37, and its 8 micro-batches have 4 or 5 images.
OPTIONS = ["--batch-size", "200", "--micro-batches", "8"]
TIMES = {"images_per_s", "seconds", "wait"}


def written(folder):
    """What a training has computed: arrays of its checkpoint, rows of its table but for times, its packed model."""
    rows = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    _, arrays, description = container.load(folder / "last.h5")
    progress = {name: value for name, value in description["progress"].items() if name != "seconds"}
    return (
        {name: (array.dtype, array.tobytes()) for name, array in arrays.items()},
        progress,
        [{name: cell for name, cell in row.items() if name not in TIMES} for row in rows],
        (folder / "packed.h5").read_bytes(),
    )


class Trainings:
    """Trainings in folders below ``folder``."""

    def __init__(self, mpiexec, folder):
        self._mpiexec, self.folder, self.mpi = mpiexec, folder, mpiexec.mpi

    def start(self, n, *words, fault="none 0 0", **environment):
        """Start ``binnet train`` on n workers."""
        return self._mpiexec.start(n, PROGRAM, "train", *words, FAULT=fault, **environment)

    def __call__(self, n, *words, fault="none 0 0", timeout=120.0, **environment):
        """Run ``binnet train`` on n workers to its end; no process may be left."""
        result = self.start(n, *words, fault=fault, **environment).finish(timeout)
        assert result.left == []
        return result

    def good(self, n, *words):
        """Run one that succeeds, and return the result."""
        result = self(n, *words)
        assert (result.code, result.stderr) == (0, "")
        return result


@pytest.fixture
def train(mpiexec, tmp_path):
    """Run ``binnet train`` by mpiexec."""
    return Trainings(mpiexec, tmp_path)


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """What a single process computes in two epochs, with options beside :data:`OPTIONS`."""
    known = {}

    def train(*options):
        if options not in known:
            folder = tmp_path_factory.mktemp("alone") / "run"
            command = [sys.executable, PROGRAM, "train", "--epochs", "2", *options, "--out", folder, "--quiet"]
            subprocess.run(command, check=True)
            known[options] = written(folder)
        return known[options]

    return train
