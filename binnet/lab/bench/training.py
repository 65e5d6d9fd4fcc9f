"""``binnet bench training``: time and memory of a training step."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

import numpy as np

import binnet_kernels as bk
from binnet_system import memory

from ...models import ModelSpec, Network, build_spec
from ...optim import Optimizer
from ...train.builders import build_optimizer
from ...train.config import TrainConfig
from ...train.step import Targets, training_step
from .layers import Row, Tick
from .timing import check, runs

ROUNDS = 5
_STEPS = 6  # steps for the memory peak, which still grows after the first because freed memory is fragmented
# Defaults of each network: batch size, image size, channels, classes.
DEFAULTS = {
    "lenet5": (64, 28, 1, 10),
    "nin": (64, 32, 3, 10),
    "cifar_vgg": (64, 32, 3, 10),
    "alexnet": (8, 224, 3, 1000),
    "resnet18": (32, 64, 3, 200),
    "googlenet": (32, 64, 3, 200),
    "quick": (64, 64, 3, 20),
    "birealnet18": (64, 32, 3, 10),
    "reactnet18": (64, 32, 3, 10),
    "quick2": (64, 64, 3, 20),
}


@dataclass(frozen=True)
class Step:
    """A training step to measure: forward, backward and update on random images.

    Attributes
    ----------
    config : TrainConfig
        Batch size, loss and optimiser.
    spec : ModelSpec
        Network, classes and image size.
    """

    config: TrainConfig
    spec: ModelSpec

    @classmethod
    def of(cls, config: TrainConfig, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> Step:
        """A step of the network that the configuration names, for images (rows, columns) and classes as given."""
        options = config.binary_options()
        return cls(config, ModelSpec(str(config.model), config.binarize, num_classes, in_channels, image_size, options))

    def build(self) -> tuple[Network, Optimizer]:
        """A new network in training mode and its optimiser; ValueError when the network cannot be built."""
        network = build_spec(self.spec, self.config.seed)
        return network.train(), build_optimizer(self.config, network)

    def prepare(self) -> Callable[[], object]:
        """Build network, optimiser and batch; calling the result runs one step.

        With a learning rate of 0 all arithmetic is done but the weights do not change, so that all steps are equal.
        """
        (network, optimizer), spec, n = self.build(), self.spec, self.config.batch_size
        rng = np.random.default_rng(0)
        images = rng.standard_normal((n, *spec.image_size, spec.in_channels), dtype=np.float32)
        targets = Targets(rng.integers(0, spec.num_classes, n))
        return lambda: training_step(network, optimizer, images, targets, self.config, lr=0.0)

    def state_bytes(self) -> int:
        """Bytes of the weights and of the optimiser's moments."""
        _, optimizer = self.build()
        moments = (array for state in optimizer.state for array in state.values())
        return sum(p.array.nbytes for p in optimizer.params) + sum(array.nbytes for array in moments)

    def small(self) -> Step:
        """A small step of the same kind, which loads the same kernels but needs little memory."""
        # Two images, because batch normalisation needs a variance.
        return Step(replace(self.config, batch_size=2), replace(self.spec, name="quick", image_size=(16, 16)))


def times(steps: Mapping[str, Step], seconds: float, rounds: int, tick: Tick) -> dict[str, float]:
    """Measure the median time of each step, in seconds.

    The steps take turns, ``rounds`` times, so that other load on the machine affects all of them alike. A turn builds
    the network, runs one step that is not counted, and then runs steps for ``seconds / rounds``, at least one. The
    result is the median over the turns of the median within each turn. Only one network is in memory at a time.

    Parameters
    ----------
    steps
        Steps by name.
    seconds
        Time for each step without warm-up, more than 0; ValueError otherwise.
    rounds
        Number of turns, at least 1; ValueError otherwise.
    tick
        Called with a name after each turn.
    """
    check(seconds)
    if rounds < 1:
        raise ValueError(f"--rounds must be at least 1, got {rounds}")
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            call = step.prepare()
            call()  # compiles, and fills the caches and the allocator
            found[name].append(statistics.median(runs(call, seconds / rounds)))
            tick(name)
    return {name: statistics.median(each) for name, each in found.items()}


def measure(
    steps: Mapping[str, Step], against: Mapping[str, str], seconds: float, rounds: int, tick: Tick
) -> list[Row]:
    """Measure time and memory of each step, see :func:`times` and :func:`peak`.

    Parameters
    ----------
    steps, seconds, rounds, tick
        As for :func:`times`.
    against
        Baselines of the times: key, and name of a step. ``{"float": "full precision"}`` gives each row a
        ``float_ratio``, its time as a multiple of that of ``full precision``.

    Returns
    -------
    list of rows ready for JSON
        Times in seconds, memory in bytes.
    """
    found = times(steps, seconds, rounds, tick)  # before memory, so that the new processes find compiled kernels
    rows = []
    for name, step in steps.items():
        ratios = {f"{key}_ratio": found[name] / found[other] for key, other in against.items()}
        rate = step.config.batch_size / found[name]
        rows.append({"variant": name, "step_s": found[name], "images_per_s": rate, **ratios})
        rows[-1] |= {"peak": peak(step), "state": step.state_bytes()}
        tick(name)
    return rows


def peak(step: Step) -> int | None:
    """Peak memory of a step in bytes, measured in a new process; None where the system does not report it.

    It is the peak of the process less its memory after the imports and a small step of the same kind: weights, moments,
    gradients, the batch, and the arrays that are kept for the backward pass.
    """
    spawn = multiprocessing.get_context("spawn")  # a forked process would start with this one's memory
    try:
        with ProcessPoolExecutor(1, mp_context=spawn) as process:
            found: int | None = process.submit(_peak, step, bk.get_num_threads()).result()
    except BrokenProcessPool as error:  # killed, most likely because memory ran out
        raise ValueError("a new process failed; there may be too little memory for it") from error
    return found


def _peak(step: Step, threads: int) -> int | None:
    bk.set_num_threads(threads)
    step.small().prepare()()  # compiled code and thread pools are loaded before the memory is read
    before = memory.start_peak()
    call = step.prepare()
    for _ in range(_STEPS):
        call()
    after = memory.peak()
    return None if before is None or after is None else after - before
