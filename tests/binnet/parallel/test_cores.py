"""How cores are divided among the workers of a host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet.parallel.cores import threads_for


@pytest.mark.parametrize(
    ("affinities", "threads"),
    [
        ([set(range(8))], [8]),
        ([set(range(8))] * 2, [4, 4]),  # MPICH binds no process
        ([set(range(8))] * 3, [2, 2, 2]),
        ([{0, 1, 2}] * 3, [1, 1, 1]),
        ([{0}] * 4, [1] * 4),  # more workers than cores
        ([{0}, {1}, {2}], [1, 1, 1]),  # Open MPI binds each process to a core
        ([{0, 1}, {2, 3, 4}], [2, 3]),
        ([{0, 1, 2, 3}, {2, 3}], [3, 1]),
        ([set(), {0}], [1, 1]),
    ],
)
def test_threads_for(affinities, threads):
    assert [threads_for(affinities, own) for own in range(len(affinities))] == threads


@given(st.lists(st.sets(st.integers(0, 7), min_size=1), min_size=1, max_size=8))
def test_cores_are_not_given_twice(affinities):
    threads = [threads_for(affinities, own) for own in range(len(affinities))]
    assert sum(threads) <= len(set().union(*affinities)) + threads.count(1)
    assert all(1 <= n <= len(cores) for n, cores in zip(threads, affinities, strict=True))
