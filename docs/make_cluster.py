"""Fill in the tables of docs/cluster.md: what a step would take on 2 to 64 nodes, and how well that is known.

    python docs/make_cluster.py                          the table of nodes: measures this machine, computes the rest
    mpiexec -n 2 python docs/make_cluster.py --confirm   two workers on a network that is made slow, beside the model

The model: one worker runs a step as if there were N. The others are pretended, so computing takes the time that it
takes, and what would go over the network is written down. These records are then played for a network of given
latency and bandwidth. In the page, the text between ``<!-- nodes -->`` or ``<!-- confirmed -->`` and ``<!-- end -->``
is replaced.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet.lab.bench import machine
from binnet.lab.bench.report import header
from binnet.models import ModelSpec, build_spec
from binnet.parallel.communicator import Communicator
from binnet.parallel.delayed import Delayed, Network, Tapped
from binnet.parallel.start import connected
from binnet.parallel.workers import Workers
from binnet.train.builders import build_optimizer
from binnet.train.config import TrainConfig
from binnet.train.step import Targets, training_step

PAGE = Path(__file__).resolve().parent / "cluster.md"
LATENCY = 50e-6  # seconds; MPI over TCP on Ethernet
GIGABIT = 1e9 / 8
NODES = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Job:
    """A training of which a step is run: network, side of its images, classes, images a worker, steps that count."""

    model: str
    pixels: int
    classes: int
    images: int
    steps: int


JOBS = (Job("resnet18", 64, 200, 32, 5), Job("alexnet", 224, 1000, 16, 3))
CONFIRMED = (
    (Job("resnet18", 64, 200, 16, 15), Network(50e-6, 1 * GIGABIT)),
    (Job("quick", 64, 20, 32, 31), Network(1e-3, 0.2 * GIGABIT)),
)
# What is sent, and options of the workers: floats; weights of binary layers as signs and α; gradients in two bits, too.
WAYS: dict[str, dict[str, Any]] = {
    "floats": {"send_signs": False},
    "signs and α": {},
    "compressed": {"compress": 2},
}


@dataclass(frozen=True)
class Record:
    """What a worker does in a step: computing, then something with the network.

    Attributes
    ----------
    computing : float
        Seconds since the record before.
    what : str
        ``all`` for what all wait for, ``begun`` for an exchange of gradients, ``wait`` for its end,
        and ``end`` of the step.
    messages : int
        One after the other; of ``wait``, the number of the exchange.
    size : int
        Bytes.
    """

    computing: float
    what: str
    messages: int = 0
    size: int = 0


class Recorder(Tapped):
    """Writes down what goes over the network, and how long was computed in between."""

    def __init__(self, inner: Communicator) -> None:
        super().__init__(inner)
        self.begin()

    def begin(self) -> None:
        """Begin a new step."""
        self.records: list[Record] = []
        self._exchanges, self._last = 0, time.perf_counter()

    def note(self, what: str, messages: int = 0, size: int = 0) -> None:
        """Add a record."""
        now = time.perf_counter()
        self.records.append(Record(now - self._last, what, messages, size))
        self._last = now

    def finished(self, messages: int, size: int) -> None:
        self.note("all", messages, size)

    def begun(self, size: int) -> Callable[[], None]:
        self.note("begun", 1, size)
        self._exchanges += 1
        number = self._exchanges - 1
        return lambda: self.note("wait", number)


class Pretended(Communicator):
    """The first of ``size`` workers. The others say what it says itself, and send gradients of 0."""

    def __init__(self, size: int) -> None:
        self.size = size

    def gather(self, value: Any) -> list[Any]:
        return [value] * self.size

    def exchange(self, send: Sequence[Any], receive: Sequence[Any]) -> Callable[[], None]:
        for array in receive:
            array.fill(0)  # what a network does to memory, too
        return super().exchange(send, receive)

    def join(self, rows: Any, counts: Sequence[int]) -> Any:
        return np.resize(rows, (sum(counts), *rows.shape[1:]))


def prepared(job: Job, communicator: Communicator, **options: Any) -> Callable[[], object]:
    """A function that runs a step: forward, backward, update. Each worker has one micro-batch."""
    n, rng = job.images * communicator.size, np.random.default_rng(0)
    values = {"model": job.model, "batch_size": n, "micro_batches": communicator.size, "dataset": "digits"}
    config, workers = TrainConfig.from_dict(values), Workers(communicator, communicator.size, **options)
    network = build_spec(ModelSpec(job.model, "xnor", job.classes, 3, (job.pixels, job.pixels)), 0).train()
    optimizer = build_optimizer(config, network, None, workers)
    images = rng.standard_normal((job.images, job.pixels, job.pixels, 3), dtype=np.float32)
    targets = Targets(rng.integers(0, job.classes, n))

    def step() -> None:
        # With a learning rate of 0 all steps are equal.
        training_step(network, optimizer, images, targets, config, lr=0.0)
        communicator.agreed(0)  # on a stop, as the training loop does

    return step


def recorded(job: Job, size: int, **options: Any) -> list[Record]:
    """The records of the step that took the median time, of the first of ``size`` workers."""
    recorder = Recorder(Pretended(size))
    step = prepared(job, recorder, **options)
    step()  # compiles, and fills the caches
    found = []
    for _ in range(job.steps):
        recorder.begin()
        step()
        recorder.note("end")
        found.append(recorder.records)
    return sorted(found, key=lambda records: sum(record.computing for record in records))[len(found) // 2]


@dataclass(frozen=True)
class Played:
    """Seconds of a step on a network; of computing in it; of all messages if nothing were computed meanwhile."""

    seconds: float
    computing: float
    messages: float


def play(records: list[Record], network: Network) -> Played:
    """A step on a network: a link carries one thing after the other, and exchanges go on during computing."""
    now = free = messages = 0.0
    ends: list[float] = []
    for record in records:
        now += record.computing
        if record.what == "wait":
            now = max(now, ends[record.messages])
        elif record.what != "end":
            seconds, latency = record.size / network.bandwidth, record.messages * network.latency
            free, messages = max(free, now) + seconds, messages + seconds + latency
            if record.what == "begun":
                ends.append(free + latency)
            else:
                now = free + latency
    return Played(now, sum(record.computing for record in records), messages)


HEADS = (
    "network",
    "nodes",
    "sent as",
    "MB",
    "operations",
    *(f"{what}, {speed} GbE" for speed in (10, 25) for what in ("ms", "waiting", "images")),
)


def nodes() -> str:
    """The table of nodes, in Markdown."""
    lines = [_row(HEADS), "|---|" + "---:|" + "---|" + "---:|" * (len(HEADS) - 3)]
    for job in JOBS:
        image = _seconds_of_an_image(job)
        for size in NODES:
            for way, options in WAYS.items():
                records = recorded(job, size, **options)
                lines.append(_row((f"{job.model}, {job.images} images", size, way, *_cells(records, image))))
            print(*lines[-3:], sep="\n", flush=True)
    return "\n".join([*_machine(), "", *lines])


def _seconds_of_an_image(job: Job) -> float:
    """How much longer computing takes for one more image, without the update and the sums of micro-batches."""
    whole, half = (
        sum(record.computing for record in recorded(replace(job, images=images, steps=2 * job.steps), 8))
        for images in (job.images, job.images // 2)
    )
    return (whole - half) / (job.images - job.images // 2)


def _cells(records: list[Record], image: float) -> list[str]:
    operations = sum(record.what not in ("wait", "end") for record in records)
    cells = [f"{sum(record.size for record in records if record.what != 'wait') / 1e6:.1f}", str(operations)]
    for speed in (10, 25):
        played = play(records, Network(LATENCY, speed * GIGABIT))
        even = played.messages / image
        cells += [f"{played.seconds * 1e3:,.0f}", f"{1 - played.computing / played.seconds:.0%}", f"{even:.0f}"]
    return cells


def confirmed(communicator: Communicator) -> str:
    """Measured steps of the workers on a network that is made slow, beside the model; in Markdown."""
    heads = ("network", "images a worker", "latency", "Gbit/s", "computing, ms", "model, ms", "measured, ms", "ratio")
    lines = [_row(heads), "|---|" + "---:|" * (len(heads) - 1)]
    for job, network in CONFIRMED:
        # All workers record at the same time, because they share memory and caches.
        played = play(recorded(job, communicator.size), network)
        played = communicator.gather(played)[0]
        step, times = prepared(job, Delayed(communicator, network)), []
        for _ in range(job.steps + 1):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        measured = statistics.median(times[1:])
        cells = (f"{network.latency * 1e3:g} ms", f"{network.bandwidth / GIGABIT:g}", f"{played.computing * 1e3:.1f}")
        ratio = f"{measured / played.seconds:.2f}"
        lines.append(
            _row((job.model, job.images, *cells, f"{played.seconds * 1e3:.1f}", f"{measured * 1e3:.1f}", ratio))
        )
    return "\n".join([*_machine(), "", *lines])


def _machine() -> list[str]:
    return [f"- {line}" for line in header(machine.this_machine().to_dict())]


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _fill(name: str, text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    PAGE.write_text(mark.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page), encoding="utf-8")


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description="Fill in the tables of docs/cluster.md.")
    parser.add_argument("--confirm", action="store_true", help="measure two workers on a network that is made slow")
    if not parser.parse_args().confirm:
        print(f"{bk.get_num_threads()} threads")
        _fill("nodes", nodes())
        return 0
    with connected() as communicator:
        text = confirmed(communicator)
        communicator.first(lambda: (_fill("confirmed", text), print(text)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
