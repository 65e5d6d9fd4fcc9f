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


def test_workers_with_norms_of_their_own_end_with_the_same_statistics(train, tmp_path):
    run = tmp_path / "run"
    train.good(2, "--epochs", 2, *OPTIONS, "--local-norm", "--out", run, "--quiet")  # weights are compared each epoch
    _, _, rows, _ = written(run)
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
