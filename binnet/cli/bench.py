"""``binnet bench``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import models
from ..console import Console
from ..engine.weights import REAL
from ..nn.options import CHOICES
from . import options

if TYPE_CHECKING:
    from ..lab.bench.layers import Row

HELP = "measure how fast binnet is on this machine"
_NOT_SETTINGS = ("run", "measure", "what", "json", "plot")  # of the namespace; they do not affect the measurement
_AGAINST = {"float": "full precision", "exact": "exact gradient"}  # baselines of the ratios of training steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each measurement."""
    kinds = parser.add_subparsers(title="what to measure", metavar="WHAT", dest="what", required=True)
    for name, text, add, measure in (
        ("layers", "binary layers: time of each part, share of the CPU's peak, speed-up", _add_layers, _layers),
        ("figure4", "figure 4 of the paper: memory and speed-up, measured and in theory", _add_figure4, _figure4),
        ("network", "a whole packed network, and the time of each kind of step", _add_network, _network),
        ("training", "a training step in every mode: time and memory", _add_training, _training),
        ("cold", "import, first call and first prediction in a new process", _add_cold, _cold),
    ):
        sub = kinds.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add(sub)
        sub.add_argument("--json", type=Path, metavar="FILE", help="write machine, options and results to this file")
        sub.set_defaults(measure=measure)


def run(arguments: argparse.Namespace) -> int:
    """Run a measurement, print its report and return the exit code."""
    from numba import config

    from ..lab.bench import machine, plot, report

    if config.DISABLE_JIT:
        raise ValueError("bench measures compiled code, but NUMBA_DISABLE_JIT switches compilation off")
    options.set_threads(arguments)
    # A measurement takes minutes, so files that cannot be written are reported before it.
    if arguments.json:
        report.check_writable(arguments.json)
    if getattr(arguments, "plot", None):
        plot.check(arguments.plot)
        report.check_writable(arguments.plot)
    console, settings = Console(), {k: v for k, v in vars(arguments).items() if k not in _NOT_SETTINGS}
    if "target" in settings:
        settings["target"] = Path(settings["target"]).name  # reports do not show folders of this machine
    where = machine.this_machine().to_dict()  # before measuring, which would raise the load average in it
    tables = arguments.measure(arguments, console)
    result = report.Report(arguments.what, report.command(arguments.what, settings), where, settings, tables)
    result.show(console)
    if arguments.json:
        result.save(arguments.json)
    if getattr(arguments, "plot", None):
        plot.draw(tables, f"{where['cpu']}, {where['instructions']}, threads: {where['threads']}", arguments.plot)
    return 0


# ---------------------------------------------------------------------------------------------- flags


def _add_one_thread(parser: argparse.ArgumentParser) -> None:
    # One thread by default: the baseline of the paper's speed-up, plain float loops, has one too.
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="number of threads (default: 1)")


def _add_seconds(parser: argparse.ArgumentParser, default: float) -> None:
    text = f"seconds for each measurement (default: {default:g})"
    parser.add_argument("--seconds", type=float, default=default, metavar="X", help=text)


def _add_layers(parser: argparse.ArgumentParser) -> None:
    shapes = "networks (resnet18, alexnet, nin, lenet5, all) or shapes C,H,O,k,s,p, separated by ; (default: all)"
    parser.add_argument("--shapes", default="all", metavar="SHAPES", help=shapes)
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="batch size (default: 1)")
    parser.add_argument("--use-k", action="store_true", help="multiply by the scale map K of Eq. 11")
    _add_one_thread(parser)
    _add_seconds(parser, 0.3)


def _add_figure4(parser: argparse.ArgumentParser) -> None:
    _add_one_thread(parser)
    _add_seconds(parser, 0.3)
    parser.add_argument("--quick", action="store_true", help="measure only a few points")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the figure into this .png, .svg or .pdf file")


def _add_network(parser: argparse.ArgumentParser) -> None:
    text = f"packed model or checkpoint, or a network with random weights: {', '.join(models.names())}"
    parser.add_argument("target", metavar="FILE|NAME", help=text)
    text = "batch size that is measured besides 1 (default: 64)"
    parser.add_argument("--batch", type=int, default=64, metavar="N", help=text)
    parser.add_argument("--binarize", choices=models.MODES, default="xnor", help="mode of NAME (default: xnor)")
    words, text = CHOICES["classifier"], "last layer of NAME (default: real)"
    parser.add_argument("--classifier", choices=words, default="real", help=text)
    text = "type of the real layers of NAME (default: float32)"
    parser.add_argument("--real", choices=(*REAL, "int8"), default="float32", help=text)
    text = "number of classes of NAME (default: 1000)"
    parser.add_argument("--num-classes", type=int, default=1000, metavar="N", help=text)
    text = "number of image channels of NAME (default: 3)"
    parser.add_argument("--in-channels", type=int, default=3, metavar="N", help=text)
    text = "image size of NAME in pixels (default: the network's own)"
    parser.add_argument("--image-size", type=int, metavar="N", help=text)
    options.add_threads(parser)
    _add_seconds(parser, 2)


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="NAME", choices=models.names(), help=f"network: {', '.join(models.names())}")
    words = {
        "batch": "batch size",
        "image-size": "image size in pixels",
        "in-channels": "number of image channels",
        "num-classes": "number of classes",
    }
    for name, text in words.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{text} (default: depends on the network)")
    options.add_threads(parser)
    _add_seconds(parser, 4)
    text = "rounds into which that time is divided; the networks take turns (default: 5)"
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help=text)


def _add_cold(parser: argparse.ArgumentParser) -> None:
    text = "number of processes for each measurement (default: 3)"
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help=text)
    options.add_threads(parser)


# ---------------------------------------------------------------------------------------------- measurements


def _layers(arguments: argparse.Namespace, console: Console) -> dict[str, list[Row]]:
    from ..lab.bench import layers, machine, shapes

    todo = shapes.parse(arguments.shapes)
    peak = machine.measure_peak(arguments.seconds)
    with console.progress(len(todo), "layers") as advance:
        a, tick = arguments, _one(advance)
        rows = layers.measure(todo, a.batch, a.use_k, a.seconds, peak, tick)
    return {"peak": [{"popcount": peak.popcount, "fma": peak.fma}], "layers": rows}


def _figure4(arguments: argparse.Namespace, console: Console) -> dict[str, list[Row]]:
    from ..lab.bench import figure4

    by_channels, by_filter = figure4.points(arguments.quick)
    with console.progress(len(by_channels) + len(by_filter), "points") as advance:
        channels, filters = (
            figure4.speed(layers, arguments.seconds, _one(advance)) for layers in (by_channels, by_filter)
        )
    return {"memory": figure4.memory(), "channels": channels, "filters": filters}


def _network(arguments: argparse.Namespace, console: Console) -> dict[str, list[Row]]:
    from ..lab.bench import network

    a = arguments
    shape = a.num_classes, a.in_channels, a.image_size
    model = network.open_network(a.target, a.binarize, *shape, a.classifier, a.real)
    tables: dict[str, list[Row]] = {"sizes": network.sizes(model), "network": [], "kinds": []}
    batches = sorted({1, a.batch})  # latency of one image, and throughput
    with console.progress(len(batches), "batches") as advance:
        for batch in batches:
            whole, kinds = network.measure(model, batch, a.seconds)
            tables["network"] += whole
            tables["kinds"] += kinds
            advance(1, f"batch {batch}")
    return tables


def _training(arguments: argparse.Namespace, console: Console) -> dict[str, list[Row]]:
    from ..lab.bench import training
    from ..train.config import TrainConfig

    a = arguments
    given = zip((a.batch, a.image_size, a.in_channels, a.num_classes), training.DEFAULTS[a.target], strict=True)
    batch, size, channels, classes = (usual if own is None else own for own, usual in given)
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, got {batch}")
    steps = {
        name: training.Step.of(TrainConfig.from_dict({**row, "batch_size": batch}), classes, channels, (size, size))
        for name, row in _variants(a.target).items()
    }
    step = {"batch": batch, "rows": size, "columns": size, "channels": channels, "classes": classes}
    # Each network is timed once a round, and its memory is measured once.
    with console.progress(len(steps) * (a.rounds + 1), "measurements") as advance:
        rows = training.measure(steps, _AGAINST, a.seconds, a.rounds, _one(advance))
    return {"step": [step], "training": rows}


def _variants(model: str) -> dict[str, dict[str, Any]]:
    """Training options of the networks to compare, by label: those of ``binnet reproduce``, and BWN."""
    from ..lab import reproduce

    gradients, bits = (reproduce.table(name).with_model(model).rows for name in ("gradients", "bits"))
    modes = {"full precision": "float", "BWN": "bwn"}
    found: dict[str, dict[str, Any]] = {label: {"model": model, "binarize": mode} for label, mode in modes.items()}
    found |= {row.label: dict(row.options) for row in gradients}
    # Both tables have full precision and plain XNOR-Net, which are measured once.
    more = [row for row in bits if dict(row.options) not in found.values()]
    return found | {f"weights, inputs: {row.label}": dict(row.options) for row in more}


def _cold(arguments: argparse.Namespace, console: Console) -> dict[str, list[Row]]:
    from ..lab.bench import cold

    with console.progress(cold.STEPS, "measurements") as advance:
        return {"cold": cold.measure(arguments.repeats, arguments.threads, _one(advance))}


def _one(advance: Any) -> Any:
    """A callback that advances the progress by one and shows a label."""
    return lambda label: advance(1, label)
