"""Real workers that are killed, frozen, interrupted or fail: all end soon, and one sentence says why."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("guarded.py")
WORKERS = 3
HOST = socket.gethostname()


@pytest.fixture
def run(mpiexec, tmp_path):
    """Run the program on three workers; in 'left' of the result there must be nothing."""

    def run(what, rank=-1, timeout=60):
        result = mpiexec(WORKERS, PROGRAM, tmp_path, what, rank, timeout)
        assert result.left == []
        return result

    return run


def logged(folder):
    """The lines of log.txt without their times."""
    return [line.split("  ", 1)[1] for line in (folder / "log.txt").read_text().splitlines()]


def test_a_normal_end_says_nothing(run, tmp_path):
    result = run("end")
    assert (result.code, result.stderr, result.stdout) == (0, "", "")
    assert not (tmp_path / "log.txt").exists()


@pytest.mark.parametrize("rank", range(WORKERS))
def test_a_killed_worker_is_named(run, tmp_path, rank):
    (tmp_path / "last.h5").touch()
    result = run("kill", rank)
    assert result.code != 0
    sentence = (
        f"binnet: error: worker {rank} (of 3, on {HOST}) was lost; "
        f"continue with: mpiexec -n 3 binnet train --resume {tmp_path}"
    )
    assert result.sentences == [sentence]
    assert logged(tmp_path) == [sentence]


def test_without_a_checkpoint_there_is_nothing_to_resume(run):
    assert run("kill", 1).sentences == [f"binnet: error: worker 1 (of 3, on {HOST}) was lost"]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_frozen_worker_is_named(run, tmp_path, rank):
    result = run("freeze", rank, timeout=3)
    assert result.code != 0
    assert result.seconds < 20
    assert result.sentences == [f"binnet: error: worker {rank} (of 3, on {HOST}) has not answered for 3 s"]


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_worker_ends_all(run, tmp_path, rank):
    (tmp_path / "last.h5").touch()
    result = run("error", rank)
    assert result.code == 1
    (sentence,) = result.sentences
    start = f"binnet: error: worker {rank} (of 3, on {HOST}): no space is left; continue with: "
    assert sentence.startswith(start)
    assert logged(tmp_path) == [sentence]


def test_the_same_error_of_all_workers_names_none(run):
    result = run("error")
    assert result.code == 1
    assert result.sentences == ["binnet: error: no space is left"]
    assert "abort" not in result.stderr.lower()


def test_different_errors_of_all_workers(run):
    result = run("errors")
    assert result.code == 1
    (sentence,) = result.sentences
    assert any(sentence == f"binnet: error: worker {k} (of 3, on {HOST}): no space is left on {k}" for k in range(3))


@pytest.fixture
def interrupted(mpiexec, tmp_path):
    """Start the workers, call a function with the job once they take steps, and return the result."""

    def interrupted(interrupt, timeout=60):
        job = mpiexec.start(WORKERS, PROGRAM, tmp_path, "nothing", -1, timeout)
        try:
            while len(list(tmp_path.glob("pid*"))) < WORKERS:
                assert job.process.poll() is None
                time.sleep(0.05)
            time.sleep(0.5)
            interrupt(job)
        finally:
            result = job.finish()
        assert result.left == []
        assert result.sentences == []
        # Open MPI sends SIGTERM after a quarter of a second, and SIGKILL after a half.
        assert result.code == (1 if mpiexec.mpi == "Open MPI" else 130)
        if mpiexec.mpi != "Open MPI":
            assert len(list(tmp_path.glob("saved*"))) == WORKERS

    return interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_an_interrupt_is_no_loss(interrupted, number, send):
    interrupted(lambda job: send(job.process.pid, number))


def test_a_suspended_job_goes_on(interrupted, tmp_path):
    def suspend(job):
        pids = [int(file.read_text()) for file in tmp_path.glob("pid*")]
        for number, seconds in ((signal.SIGSTOP, 5), (signal.SIGCONT, 1)):
            for pid in pids:
                os.kill(pid, number)
            time.sleep(seconds)
        job.process.send_signal(signal.SIGINT)

    interrupted(suspend, timeout=3)
