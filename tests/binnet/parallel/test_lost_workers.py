"""A training whose worker is killed, frozen, interrupted or fails ends soon, says why once, and can be continued."""

import os
import re
import signal
import socket
import time

import pytest

from binnet.modelfile import container
from mpi_trainings import OPTIONS, written

HOST = socket.gethostname()
EVERY_STEP = ["--checkpoint-every", "0.00001"]  # minutes
NEW = ["--epochs", 2, *OPTIONS, "--quiet"]


def continued(train, alone, folder, n):
    """Continue the training on n workers; it must end as if nothing had happened."""
    train.good(n, "--resume", folder, "--checkpoint-every", 10, "--quiet")  # the configuration is in the files, too
    assert written(folder) == alone(*OPTIONS)


@pytest.mark.parametrize(("rank", "then"), [(0, 3), pytest.param(1, 1, marks=pytest.mark.slow)])
def test_a_killed_worker(train, alone, tmp_path, rank, then):
    folder = tmp_path / "run"
    result = train(2, *NEW, *EVERY_STEP, "--out", folder, fault=f"kill {rank} 12")
    assert result.code != 0
    (sentence,) = result.sentences
    # The guard learns the number of the step each second.
    assert re.fullmatch(
        rf"binnet: error: worker {rank} \(of 2, on {HOST}\) was lost( after step \d+)?; "
        rf"continue with: mpiexec -n 2 binnet train --resume {folder}",
        sentence,
    )
    progress = container.load(folder / "last.h5")[2]["progress"]
    assert (progress["epoch"], progress["batch"]) == (1, 4)
    continued(train, alone, folder, then)


@pytest.mark.slow
def test_a_frozen_worker(train, tmp_path):
    result = train(2, *NEW, "--worker-timeout", 3, "--out", tmp_path, fault="freeze 1 3")
    assert result.code != 0
    assert result.seconds < 30
    (sentence,) = result.sentences
    assert sentence.startswith(f"binnet: error: worker 1 (of 2, on {HOST}) has not answered for 3 s; continue with: ")


def test_an_error_of_one_worker(train, tmp_path):
    result = train(2, *NEW, "--out", tmp_path, fault="error 1 5")
    assert result.code == 1
    (sentence,) = result.sentences
    assert sentence.startswith(f"binnet: error: worker 1 (of 2, on {HOST}): the network is wrong; continue with: ")
    assert "Traceback" not in result.stderr


def test_a_full_disk(train, tmp_path):
    result = train(2, *NEW, *EVERY_STEP, "--out", tmp_path, fault="disk 0 5")
    assert result.code == 1
    assert result.sentences == [f"binnet: error: cannot write {tmp_path}/last.h5: No space left on device"]
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)])
def test_a_signal_saves_the_training(train, alone, tmp_path, number):
    folder, reached = tmp_path / "run", tmp_path / "reached"
    if train.mpi == "Open MPI" and number == signal.SIGINT:
        pytest.skip("Open MPI leaves no time for a checkpoint")
    job = train.start(2, *NEW, "--out", folder, fault="pause -1 11", FAULT_FILE=reached)
    try:
        while not reached.exists():
            assert job.process.poll() is None
            time.sleep(0.05)
        os.kill(job.process.pid, number)
    finally:
        result = job.finish()
    assert result.left == []
    assert result.code == 128 + number
    assert result.sentences == [
        f"binnet: stopped, everything is saved; continue with: mpiexec -n 2 binnet train --resume {folder}"
    ]
    continued(train, alone, folder, 3)
