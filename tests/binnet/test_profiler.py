"""The profile of training steps: what is counted, where, and that looking on changes nothing."""

import math

import numpy as np
import pytest

import binnet
import binnet_kernels as bk
from binnet import Tensor, profiler
from binnet.lab.bench import profile_table
from binnet.lab.bench.machine import Peak
from binnet.parallel.communicator import Communicator
from binnet.profiler import Profile, phase
from binnet_kernels.backend import COMMUNICATION, WORK, Work


def train(net, count, profile=None):
    """Some steps on the same images, each watched by ``profile``."""
    optimiser = binnet.optim.Adam(net.parameters(), lr=1e-2)
    x, labels = np.random.default_rng(1).standard_normal((4, 28, 28, 1)).astype(np.float32), np.arange(4)
    for _ in range(count):
        with (profile or Profile(steps=0)).step():
            optimiser.zero_grad()
            with phase("forward"):
                loss = binnet.cross_entropy(net(Tensor(x)), labels)
            with phase("backward"):
                loss.backward()
            with phase("update"):
                optimiser.step()


@pytest.fixture
def profile():
    """Of two steps of LeNet-5, after one that was not watched."""
    seen, done = Profile(steps=2, skip=1, done=lambda p: done.append(p)), []
    train(binnet.models.build("lenet5", in_channels=1), 4, seen)
    assert done == [seen]
    return seen


def test_all_time_is_somewhere(profile):
    rows = list(profile.rows())
    phases = set(profiler.PHASES) - {"teacher"}  # without a teacher, there is no such row
    assert {name for name, _, _ in rows} == phases
    for name in phases:
        assert sum(spent.seconds for where, _, spent in rows if where == name) == pytest.approx(profile.phases[name])
    assert all(spent.seconds > 0 for _, _, spent in rows)
    assert sum(profile.phases.values()) < profile.total
    found = {(where, kind) for where, kind, _ in rows}
    assert {("forward", "popcount convolution"), ("backward", "pooling"), ("update", "weights")} <= found
    assert ("forward", "loss") in found


def test_work_is_that_of_the_layers(profile):
    binary = 4 * (8 * 8 * 50 * 5 * 5 * 20 + 500 * 4 * 4 * 50)  # of one convolution of two layers, in one step
    spent = profile.spent
    assert spent["forward", "popcount convolution"].work == 2 * binary
    assert spent["backward", "float gradients of binary layers"].work == 2 * 2 * binary
    first, last = 4 * 24 * 24 * 20 * 5 * 5, 4 * 500 * 10
    assert spent["forward", "first, last and other real layers"].work == 2 * (first + last)
    # The convolution at the image is computed again in the backward pass, as is the binary one before a pooling.
    assert spent["backward", "first, last and other real layers"].work == 2 * (2 * first + 2 * last)
    assert spent["backward", "popcount convolution"].work == 2 * 4 * 8 * 8 * 50 * 5 * 5 * 20


def test_looking_on_changes_nothing():
    one, other = (binnet.models.build("lenet5", in_channels=1, seed=4) for _ in range(2))
    train(one, 3)
    train(other, 3, Profile(steps=2, skip=0))
    for (name, a), (_, b) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_every_front_door_has_a_kind():
    assert {work.kind for work in WORK.values()} <= set(profiler.KINDS)
    assert all(callable(getattr(owner or bk, name)) for owner, name in WORK)


def test_afterwards_the_kernels_are_as_before(profile):
    def functions():
        return {(owner, name): getattr(owner or bk, name) for owner, name in WORK}

    def fail():
        with Profile(steps=1, skip=0).step():
            assert all(function is not before[place] for place, function in functions().items())
            raise ZeroDivisionError

    before = functions()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert functions() == before


def test_a_layer_with_real_inputs_is_watched():
    seen = Profile(steps=1, skip=0)
    with seen.step(), phase("forward"):
        binnet.ops.bwn_conv2d(Tensor(np.ones((1, 4, 4, 3))), Tensor(np.ones((5, 3, 3, 3))))
    assert seen.spent["forward", "first, last and other real layers"].work == 2 * 2 * 5 * 27


def test_the_table(profile):
    rows, total = profile_table.table(profile, Peak(2e12, 1e11), 1e10)
    assert total[:3] == ("a step", f"{profile.total / 2 * 1e3:.2f}", "100.0%")
    assert sum(float(row[1]) for row in rows) == pytest.approx(float(total[1]), abs=0.01 * len(rows))
    [popcount] = [row for row in rows if row[0] == "forward, popcount convolution"]
    speed = profile.spent["forward", "popcount convolution"]
    assert popcount[3:] == (
        f"{speed.work / speed.seconds / 1e9:,.1f} GMAC/s",
        "2,000",
        f"{speed.work / speed.seconds / 2e12:.0%}",
    )
    [update] = [row for row in rows if row[0] == "update, weights"]
    assert update[3].endswith(" GB/s")
    text = profile_table.lines(rows, total)
    assert len({len(line) for line in text}) == 1
    assert len(text) == len(rows) + 2


def test_what_workers_send_is_counted_by_themselves(monkeypatch):
    class Two(Communicator):
        def join(self, rows, counts):
            self.sent += rows.nbytes
            return np.concatenate([rows, rows])

    monkeypatch.setitem(WORK, (Two, "join"), Work(COMMUNICATION))
    seen, worker = Profile(steps=2, skip=0), Two()
    for _ in range(2):
        with seen.step(), phase("backward"):
            worker.join(np.ones((500, 1000), np.float32), [500, 500])
    assert seen.spent["backward", COMMUNICATION].work == 4e6
    rows, _ = profile_table.table(seen, Peak(2e12, 1e11), 1e10)
    assert [row[3:] for row in rows if row[0] == "backward, communication of workers"] == [("2.000 MB sent", "", "")]


def test_the_command(say, tmp_path):
    arguments = ("train", "--epochs", 1, "--batch-size", 100, "--out", tmp_path / "run", "--profile")
    code, out, err = say(*arguments)
    assert (code, err) == (0, "")
    assert "where the time of 10 steps went:" in out
    text = (tmp_path / "run" / "profile.txt").read_text()
    assert "forward, popcount convolution" in text
    assert "GMAC/s" in text


def test_a_training_that_is_too_short_says_so(say, tmp_path):
    code, out, _ = say("train", "--epochs", 1, "--batch-size", 700, "--out", tmp_path / "run", "--profile")
    assert code == 0
    assert "no profile: it needs 13 training steps" in out
    assert not (tmp_path / "run" / "profile.txt").exists()
    assert math.isclose(Profile().total, 0)


def test_arguments_by_name_and_lists():
    rng, profile = np.random.default_rng(0), Profile(steps=1, skip=0)
    x, w = rng.standard_normal((1, 5, 5, 3)), rng.standard_normal((4, 3, 3, 3))
    grad = rng.standard_normal((1, 5, 5, 4))
    with profile.step():
        bk.conv2d(x, w.tolist(), 1, 1)
        bk.sign_grad_input(grad=grad, weight_signs=bk.pack_signs(w), alpha=np.ones(4), x_shape=x.shape, padding=1)
        bk.conv2d_grad_weight(x, grad.tolist(), weight_shape=w.shape, stride=1, padding=1)
    work = {kind: spent.work for _, kind, spent in profile.rows()}
    assert work["first, last and other real layers"] == 2 * 25 * 4 * 27
    assert work["float gradients of binary layers"] == 25 * 4 * 27


def test_a_second_profile_at_once_is_refused():
    plain = bk.conv2d
    with Profile(steps=1, skip=0).step():
        with pytest.raises(RuntimeError, match="another profile is running"), Profile(steps=1, skip=0).step():
            pass
        assert bk.conv2d is not plain
    assert bk.conv2d is plain
