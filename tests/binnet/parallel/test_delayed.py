"""A communicator that is as slow as a network."""

import time

import numpy as np
import pytest

from binnet.parallel.communicator import Communicator
from binnet.parallel.delayed import Delayed, Network, Tapped


class _Four(Communicator):
    """One of four workers, which all say the same."""

    size = 4

    def join(self, rows, counts):
        return np.resize(rows, (sum(counts), *rows.shape[1:]))


@pytest.fixture
def clock(monkeypatch):
    """Time passes in sleep only; the list has the seconds since the start."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


def _delayed():
    return Delayed(_Four(), Network(latency=1.0, bandwidth=8.0))


def test_every_method_is_passed_on():
    # A method of the base class would answer for a single worker.
    methods = {name for name, value in vars(Communicator).items() if callable(value) or isinstance(value, property)}
    assert {name for name in methods if not name.startswith("_")} <= set(vars(Tapped))


def test_a_collective_takes_two_messages_and_the_parts_of_the_others(clock):
    found = _delayed().join(np.ones(2, np.float32), [2] * 4)
    assert found.tolist() == [1] * 8
    assert clock == [2 + 24 / 8]


def test_the_result_of_the_other_communicator_is_given(clock):
    slow = _delayed()
    assert (slow.rank, slow.size, slow.speaks, slow.agreed(5), slow.first(lambda: "x")) == (0, 4, True, 5, "x")
    assert clock == [4.0]


def test_an_exchange_goes_on_during_computing(clock):
    slow, eight = _delayed(), [np.zeros(2, np.float32)] * 4
    wait = slow.exchange(eight, eight)
    assert clock == [0]
    clock[0] = 2.5  # 24 bytes take 3 s, and 1 s until they arrive
    wait()
    assert clock == [4]


def test_messages_share_the_link(clock):
    slow, eight = _delayed(), [np.zeros(2, np.float32)] * 4
    waits = [slow.exchange(eight, eight) for _ in range(2)]
    slow.complete(np.zeros(8, np.float32), [2] * 4)
    assert clock == [3 + 3 + 3 + 2]
    for wait in waits:
        wait()
    assert clock == [11]
