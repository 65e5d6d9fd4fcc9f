"""Parsing of durations, and the number of steps that fit into them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet.train import budget


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("1h30m", 5400), ("1h0m5s", 3605), ("0.25s", 0.25)],
)
def test_durations(text, expected):
    assert budget.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "20", "m", "20 m", "20m ", "-5m", "1d", "0s", "0h0m", "5min", "1e3s", "1..5h"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match=r"a duration is written like 90s, 20m, 1\.5h or 1h30m, and is not 0; got"):
        budget.seconds(text)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (24, 20),  # two epochs of ten steps, and the end of each takes two seconds
        (25.9, 20),  # the rest is not even enough for the end of an epoch
        (29.1, 23),  # three steps more and the end of an epoch
        (26.7, 20),  # less than one step
        (0, 10),
        (-5, 10),
        (11.9, 10),
    ],
)
def test_steps_by_hand(left, expected):
    assert budget.steps_within(left, 1.0, 2.0, 10) == expected


@given(
    left=st.floats(1, 1e5), step=st.floats(1e-3, 10), epoch_end=st.floats(0, 100), steps_per_epoch=st.integers(1, 1000)
)
def test_what_fits_is_used(left, step, epoch_end, steps_per_epoch):
    """The steps never exceed the time, except for the minimum of one epoch, and little of the time is left unused."""
    steps = budget.steps_within(left, step, epoch_end, steps_per_epoch)
    assert steps >= steps_per_epoch
    taken = steps * step + -(-steps // steps_per_epoch) * epoch_end
    if steps > steps_per_epoch:
        assert taken <= left * (1 + 1e-9) + 1e-6
    assert left - taken <= epoch_end + max(steps_per_epoch / 20, 1) * step + 1e-6 * left


@pytest.mark.parametrize(
    ("total", "done", "left", "expected"),
    [
        (40, 20, 24, 40),  # two epochs of ten steps of 1 s, and 2 s at the end of each: just right
        (40, 20, 29, 40),  # within a twentieth of 100 s
        (40, 20, 19, 40),
        (40, 20, 36, 50),  # time for one epoch more
        (40, 20, 14, 30),  # one epoch, and then not enough for the end of another
        (40, 20, 15, 31),  # or just one step
        (40, 20, 1, 20),  # it has to end here
        (40, 20, -50, 20),
        (40, 40, 60, 40),  # the learning rate has come to its end: no way back
        (45, 20, 100, 102),
    ],
)
def test_corrections_by_hand(total, done, left, expected):
    assert budget.corrected(total, done, left, 100, 1.0, 2.0, 10) == expected


@pytest.mark.parametrize(("steps", "words"), [(10, "1 epoch"), (25, "2.5 epochs"), (5, "0.5 epochs")])
def test_steps_in_epochs(steps, words):
    assert budget.in_epochs(steps, 10) == words
