"""Learning rates at single steps."""

import itertools
import math

import pytest

from binnet.schedules import SCHEDULES, is_past, learning_rate, weight_decay


def rates(schedule, total=8, **options):
    return [learning_rate(step, total, 2.0, schedule, **options) for step in range(total + 2)]


def test_constant():
    assert rates("constant") == [2.0] * 10


def test_step():
    assert rates("step") == pytest.approx([2] * 4 + [0.2] * 2 + [0.02] * 4)
    assert rates("step", milestones=(0.25,), factors=(0.5,)) == pytest.approx([2] * 2 + [1] * 8)
    assert rates("step", milestones=(), factors=()) == [2.0] * 10


def test_linear():
    assert rates("linear") == pytest.approx([2 - step / 4 for step in range(8)] + [0, 0])


def test_polynomial():
    assert rates("polynomial") == pytest.approx([2 * (1 - step / 8) ** 4 for step in range(8)] + [0, 0])


def test_weight_decay():
    assert [weight_decay(step, 8, 0.5, 0.375) for step in range(5)] == [0.5] * 3 + [0] * 2
    assert [weight_decay(step, 8, 0.5) for step in (0, 7, 8, 99)] == [0.5] * 4
    assert weight_decay(0, 8, 0.5, 0.0) == 0


def test_cosine():
    expected = [1 + math.cos(math.pi * step / 8) for step in range(8)] + [0, 0]
    assert rates("cosine") == pytest.approx(expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up(schedule):
    values = rates(schedule, warmup_steps=4)
    assert values[:4] == pytest.approx([0.5, 1, 1.5, 2])
    if schedule != "step":
        assert values[4] == pytest.approx(2)
    assert all(a >= b for a, b in itertools.pairwise(values[4:]))
    if schedule == "linear":
        assert values[4:] == pytest.approx([2, 1.5, 1, 0.5, 0, 0])
    assert rates(schedule, total=4, warmup_steps=4)[3] == pytest.approx(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8, 1.0, "cos"), "'cos'; there are: constant, step, cosine, linear, polynomial"),
        ((-1, 8, 1.0, "step"), "step must be"),
        ((0, 0, 1.0, "step"), "total_steps"),
        ((0, 8, -1.0, "step"), "base_lr"),
        ((0, 8, math.nan, "step"), "base_lr"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        learning_rate(*arguments)


def test_a_warm_up_longer_than_the_training_is_refused():
    with pytest.raises(ValueError, match="warmup_steps must lie in 0…8, got 9"):
        learning_rate(0, 8, 1.0, warmup_steps=9)


@pytest.mark.parametrize(
    ("milestones", "factors", "message"),
    [
        ((0.5,), (), "a factor for each milestone, got 1 and 0"),
        ((0.5, 0.25), (1, 1), "rising shares in 0…1, got 0.5, 0.25"),
        ((0.5, 1.5), (1, 1), "rising shares"),
        ((math.nan,), (1,), "rising shares"),
        ((0.5,), (-1,), "factors must be numbers of at least 0, got -1"),
        ((0.5,), (math.inf,), "factors must be"),
    ],
)
def test_milestones_that_are_refused(milestones, factors, message):
    with pytest.raises(ValueError, match=message):
        learning_rate(0, 8, 1.0, "step", milestones=milestones, factors=factors)


@pytest.mark.parametrize("total", [7, 58, 97, 1000])
def test_a_milestone_given_as_a_share_is_at_its_step(total):
    for step in range(total):
        options = {"milestones": (step / total,), "factors": (0.1,)}
        assert learning_rate(step, total, 1.0, "step", **options) == 0.1
        assert step == 0 or learning_rate(step - 1, total, 1.0, "step", **options) == 1.0
        assert weight_decay(step, total, 0.5, step / total) == 0.0
        assert is_past(step, total, step / total)
        assert step == 0 or not is_past(step - 1, total, step / total)
        assert step == 0 or weight_decay(step - 1, total, 0.5, step / total) == 0.5


def test_nothing_comes_after_the_whole_training():
    assert not is_past(10, 10, 1.0)
    assert is_past(0, 10, 0.0)
