"""``mpiexec -n N binnet train`` writes the same files for each N, and continues what another N has begun."""

import pytest

from mpi_trainings import OPTIONS, written


@pytest.mark.parametrize("n", [1, 2, pytest.param(3, marks=pytest.mark.slow), 4])
def test_the_number_of_workers_changes_nothing(train, alone, n, tmp_path):
    train.good(n, "--epochs", 2, *OPTIONS, "--out", tmp_path / "run", "--quiet")
    assert written(tmp_path / "run") == alone(*OPTIONS)


def test_one_micro_batch_is_a_whole_batch(train, alone, tmp_path):
    train.good(1, "--epochs", 2, "--batch-size", 200, "--micro-batches", 1, "--out", tmp_path / "run", "--quiet")
    assert written(tmp_path / "run") == alone("--batch-size", "200")
