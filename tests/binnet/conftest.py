"""Fixtures of the differentiable half."""

import signal

import numpy as np
import pytest

import binnet
from binnet.cli import main


@pytest.fixture(params=["fast", "reference"])
def backend(request):
    """Run the test with each of the two backends."""
    with binnet.use_backend(request.param):
        yield request.param


@pytest.fixture
def rng():
    """A generator of the test's own."""
    return np.random.default_rng(7)


@pytest.fixture
def leaf(rng):
    """Make a tensor that requires a gradient, from its shape."""

    def make(*shape, scale=1.0):
        return binnet.Tensor(scale * rng.standard_normal(shape), requires_grad=True)

    return make


@pytest.fixture
def say(capsys):
    """Run a command in this process: gives the exit code, standard output and standard error."""

    def run_main(*argv):
        capsys.readouterr()
        try:
            code = main([*map(str, argv)])
        except SystemExit as stop:  # from argparse
            code = stop.code
        return code, *capsys.readouterr()

    return run_main


@pytest.fixture
def interrupt_at(monkeypatch):
    """Send SIGINT to this process in the training steps of these numbers."""

    # Imported here, as most tests need no training.
    from binnet.train import loop

    def at(*numbers):
        original, count = loop.training_step, iter(range(10**9))

        def step(*args):
            if next(count) in numbers:
                signal.raise_signal(signal.SIGINT)
            return original(*args)

        monkeypatch.setattr(loop, "training_step", step)

    return at
