"""What several workers print, with which threads they run, and that they compile the same kernels at once."""

import json
import os

import pytest

from mpi_trainings import OPTIONS, written


def test_json_comes_once(train, tmp_path):
    result = train(2, "--epochs", 1, *OPTIONS, "--out", tmp_path / "run", "--json", "--quiet")
    assert (result.code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["out"] == str(tmp_path / "run")


def test_the_first_worker_speaks_and_profiles(train, tmp_path):
    words = ["--epochs", 4, *OPTIONS, "--out", tmp_path / "run", "--profile"]
    result = train(2, *words, fault="threads -1 0")
    assert result.code == 0
    for line in ("where the time of", "backward, communication of workers", "epoch   4/4", "packed model: "):
        assert result.stdout.count(line) == 1, line
    assert (tmp_path / "run/profile.txt").read_text().count("backward, communication of workers") == 1
    share = max(len(os.sched_getaffinity(0)) // 2, 1)
    assert result.stderr.splitlines() == [f"threads: {share}"] * 2


@pytest.mark.slow
@pytest.mark.compiled
def test_a_cold_cache(train, alone, tmp_path):
    words = ["--epochs", 2, *OPTIONS, "--out", tmp_path / "run", "--quiet"]
    result = train(4, *words, timeout=600, BINNET_CACHE_DIR=str(tmp_path / "cache"))
    assert (result.code, result.stderr) == (0, "")
    assert written(tmp_path / "run") == alone(*OPTIONS)
