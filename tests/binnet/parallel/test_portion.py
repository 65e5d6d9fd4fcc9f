"""Which images of a batch each worker loads and runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet.parallel.communicator import Communicator
from binnet.parallel.workers import Workers
from binnet.train.portion import Mix, Portion


class Place(Communicator):
    """The place of one worker among others that do not exist: enough to divide a batch."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


def portions(size, micro_batches, n, accumulate=1, mix=None):
    """The portions of all workers."""
    return [Portion(Workers(Place(rank, size), micro_batches), n, accumulate, mix) for rank in range(size)]


@given(size=st.integers(1, 6), more=st.integers(0, 5), n=st.integers(1, 40), accumulate=st.integers(1, 3))
def test_workers_run_disjoint_images_and_together_the_batch(size, more, n, accumulate):
    micro_batches = size + more
    found = []
    for portion in portions(size, micro_batches, n, accumulate):
        for part, own in portion.runs:
            length = part.stop - part.start
            assert part.start <= own.start < own.stop <= part.stop  # at least one image, which may not count
            if micro_batches > 1:
                batch = Workers(Place(0, 1), micro_batches).batch(length)
                assert batch.cuts[-1] == length
        if n >= micro_batches * accumulate * 2:
            found += [i for _, own in portion.runs for i in range(own.start, own.stop)]
    if n >= micro_batches * accumulate * 2:  # then everybody has images of its own in every part
        assert sorted(found) == list(range(n))


@given(size=st.integers(1, 4), n=st.integers(8, 40))
def test_only_the_images_that_are_needed_are_loaded(size, n):
    for portion in portions(size, 4, n):
        ((_, own),) = portion.runs
        np.testing.assert_array_equal(portion.loads, np.arange(own.start, own.stop))


@given(size=st.integers(1, 4), n=st.integers(8, 30), accumulate=st.integers(1, 2), seed=st.integers(0, 99))
def test_mixed_images_are_those_of_an_undivided_batch(size, n, accumulate, seed):
    x = np.arange(n * 3, dtype=np.float32).reshape(n, 1, 1, 3)
    mix = Mix.draw(0.4, n, seed, 0, 0)
    whole = mix.images(x, x[mix.partner])
    for portion in portions(size, 4, n, accumulate, mix):
        loaded = x[portion.loads]
        for _, own in portion.runs:
            np.testing.assert_array_equal(portion.images(loaded, own), whole[own])


def test_more_workers_than_micro_batches_are_refused():
    with pytest.raises(ValueError, match="4 workers need as many micro-batches at least: give --micro-batches 4 or"):
        Workers(Place(0, 4), 3)


def test_a_training_that_divides_nothing_has_no_batch():
    assert Workers().batch(8) is None
    assert Workers().rows(np.zeros((4, 4))) is None
    assert Workers().own(5) == slice(0, 5)


def test_statistics_of_a_worker_need_two_images():
    workers = Workers(Place(0, 4), 4, local_norm=True)
    assert [workers.batch(n).local_norm for n in (16, 8, 7)] == [True, True, False]
