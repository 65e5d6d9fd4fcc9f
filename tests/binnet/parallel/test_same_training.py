"""``mpiexec -n N binnet train`` writes the same files for each N, and continues what another N has begun."""

import pytest

from mpi_trainings import OPTIONS, written


@pytest.mark.parametrize("n", [1, 2, pytest.param(3, marks=pytest.mark.slow), 4])
def test_the_number_of_workers_changes_nothing(train, alone, n, tmp_path):
    train.good(n, "--epochs", 2, *OPTIONS, "--out", tmp_path / "run", "--quiet")
    assert written(tmp_path / "run") == alone(*OPTIONS)


# Options that sum over images, draw numbers for each of them, or send other weights than the defaults.
VARIANTS = [
    ["--mixup", "0.3", "--accumulate", "2", "--clip-norm", "1", "--class-weights", "balanced", "--scale", "learned"],
    ["--binary-gradient", "ternary", "--grad-bits", "2", "--optimizer", "sgd", "--center"],
    ["--weight-bits", "2", "--act-bits", "2", "--label-smoothing", "0.1"],
    # The last batch has three images for four workers.
    ["--batch-size", "239", "--ema", "0.9", "--statistics-until", "0.6"],
]


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: options[0])
def test_with_other_options_neither(train, alone, options, tmp_path):
    options = [*OPTIONS, *options]
    train.good(4, "--epochs", 2, *options, "--out", tmp_path / "run", "--quiet")
    assert written(tmp_path / "run") == alone(*options)


def test_a_packed_model_begins_alike_for_all(train, alone, tmp_path):
    """Its running variances are measured on images, the same for all workers."""
    train.good(1, "--epochs", 1, *OPTIONS, "--out", tmp_path / "first", "--quiet")
    options = [*OPTIONS, "--init", str(tmp_path / "first" / "packed.h5")]
    train.good(3, "--epochs", 2, *options, "--out", tmp_path / "run", "--quiet")
    assert written(tmp_path / "run") == alone(*options)


def test_a_teacher_gives_all_workers_the_same_scores(train, alone, tmp_path):
    """Each worker computes those of its own images, which mixup blends with images of others."""
    train.good(1, "--epochs", 1, *OPTIONS, "--binarize", "float", "--out", tmp_path / "teacher", "--quiet")
    options = [*OPTIONS, "--teacher", str(tmp_path / "teacher"), "--mixup", "0.3", "--accumulate", "2"]
    train.good(2, "--epochs", 2, *options, "--out", tmp_path / "run", "--quiet")
    assert written(tmp_path / "run") == alone(*options)


def test_stages_begin_alike_for_all(train, alone, tmp_path):
    train.good(3, "--epochs", 2, *OPTIONS, "--stages", 2, "--out", tmp_path / "run", "--quiet")
    # The packed model names the checkpoint that the last stage began with, which is in another folder.
    assert written(tmp_path / "run")[:3] == alone(*OPTIONS, "--stages", "2")[:3]


def test_one_micro_batch_is_a_whole_batch(train, alone, tmp_path):
    train.good(1, "--epochs", 2, "--batch-size", 200, "--micro-batches", 1, "--out", tmp_path / "run", "--quiet")
    assert written(tmp_path / "run") == alone("--batch-size", "200")


def test_workers_with_norms_of_their_own_end_with_the_same_statistics(train, tmp_path):
    run = tmp_path / "run"
    options = [*OPTIONS, "--local-norm", "--statistics-until", "0.6"]
    train.good(2, "--epochs", 2, *options, "--out", run, "--quiet")  # weights are compared each epoch
    _, _, rows, _ = written(run)
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
