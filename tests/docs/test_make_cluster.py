"""The model of a step on a network, beside the communicator that waits as one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet.parallel.communicator import Communicator
from binnet.parallel.delayed import Delayed, Network

NETWORK = Network(latency=0.5, bandwidth=8.0)


@pytest.fixture(scope="module")
def cluster(script):
    return script("docs/make_cluster.py")


def test_an_exchange_goes_on_while_computing(cluster):
    record = cluster.Record
    records = [record(1.0, "begun", 1, 16), record(1.0, "wait", 0), record(2.0, "end")]
    # 16 bytes take 2 s, of which one is waited for, and half a second until they arrive.
    assert cluster.play(records, NETWORK) == cluster.Played(5.5, 4.0, 2.5)


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from(("all", "begun")), st.integers(0, 64)), max_size=12))
def test_the_model_waits_as_the_communicator_does(cluster, events):
    records = [cluster.Record(seconds, what, 1, size) for seconds, what, size in events]
    exchanges = sum(what == "begun" for _, what, _ in events)
    records += [cluster.Record(1, "wait", number) for number in range(exchanges)]
    now, slow, waits = [0.0], Delayed(Communicator(), NETWORK), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: now[0])
        patch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
        for record in records:
            now[0] += record.computing
            if record.what == "all":
                slow.finished(record.messages, record.size)
            elif record.what == "begun":
                waits.append(slow.begun(record.size))
            else:
                waits[record.messages]()
    assert cluster.play(records, NETWORK).seconds == now[0]
