"""``binnet train``."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from binnet_system import commands

from ..console import Console
from ..models.own_network import is_own
from ..parallel.communicator import Communicator
from ..parallel.start import connected
from ..profiler import Profile
from ..signals import TerminatedError
from ..train.config import ConfigError, TrainConfig
from ..train.options.config_file import read_toml
from ..train.options.together import check_given
from ..train.output import whole
from ..train.output.run_folder import new_folder
from . import options

if TYPE_CHECKING:
    from ..train import Result

_IMAGE_OPTIONS = (
    "data",
    "val",
    "classes",
    "layout",
    "max_corrupt",
)  # may move: resuming compares the images themselves
_RESUMABLE = (*_IMAGE_OPTIONS, "epochs", "workers", "checkpoint_every", "tensorboard")  # options that --resume accepts
HELP = "train a network, keep the best epoch and pack it to one bit per weight"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    parser.add_argument(
        "images", metavar="DATA", nargs="?", help="image store, or folder or archive of images; same as --data"
    )
    options.add_config(parser)
    parser.add_argument("--config", metavar="FILE", help="TOML file with any of these options; flags override it")
    parser.add_argument("--out", metavar="DIR", help="run folder (default: runs/<dataset>-<model>-<binarize>-<time>)")
    parser.add_argument(
        "--resume",
        metavar="DIR",
        help="continue the training in this run folder, bit for bit; a larger --epochs makes it longer. The Python "
        "file of a custom network is executed again and must be unchanged; --model tells where it is now",
    )
    options.add_threads(parser)
    parser.add_argument(
        "--worker-timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="of several workers that mpiexec has started: end all when one shows no life for so long (default: 60)",
    )
    parser.add_argument(
        "--profile", action="store_true", help="show where the time of a training step goes, and write profile.txt"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options.add_json(parser)


_LEAST_TIMEOUT = 3.0  # seconds; a sign of life comes each second


def run(arguments: argparse.Namespace) -> int:
    """Train a network and return the exit code."""
    if not arguments.worker_timeout >= _LEAST_TIMEOUT:  # NaN too
        raise ConfigError(
            f"--worker-timeout must be at least {_LEAST_TIMEOUT:g} seconds, got {arguments.worker_timeout}"
        )
    with connected(arguments.worker_timeout) as communicator:
        # Here, because an error that all workers have is then said once.
        if arguments.images is not None:
            if hasattr(arguments, "data"):
                raise ConfigError(f"the data is named twice: {arguments.images} and --data {arguments.data}")
            arguments.data = arguments.images
        options.set_threads(arguments)  # of each worker
        return _train(arguments, communicator)


def _train(arguments: argparse.Namespace, communicator: Communicator) -> int:
    from ..train import TrainingInterruptedError, fit

    # The name of a new folder has the time in it, so the first worker chooses it for all.
    config, folder = communicator.first(
        lambda: _new_run(arguments) if arguments.resume is None else _resumed_run(arguments)
    )
    console = Console(quiet=arguments.quiet or not communicator.speaks, to_stderr=arguments.json)
    is_new = arguments.out is None or not folder.exists()
    profile = None
    if arguments.profile:
        profile = Profile(done=lambda seen: communicator.first(lambda: _report(seen, folder, console)))
    try:
        with (
            contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext()
        ):  # code of a custom network may print, and standard output must be JSON only
            how: dict[str, Any] = {"console": console, "profile": profile, "communicator": communicator}
            result = fit(config, folder, resume=arguments.resume is not None, **how)
    except TrainingInterruptedError as interrupted:
        communicator.first(lambda: _report_stop(communicator, folder, ", everything is saved"))
        return 128 + interrupted.signal
    except (KeyboardInterrupt, TerminatedError) as stop:  # before or after the training loop, or a second signal
        if not whole.is_begun(folder):
            raise
        if communicator.speaks:
            _report_stop(communicator, folder, "")
        return 130 if isinstance(stop, KeyboardInterrupt) else 128 + stop.signal
    finally:
        if is_new and arguments.resume is None:
            # rmdir removes only an empty folder: when the training could not begin.
            with contextlib.suppress(OSError):
                folder.rmdir()
    if arguments.json and communicator.speaks:
        print(json.dumps({**asdict(result), "factor": result.factor}))
    if profile is not None and not profile.total:
        console.say(f"no profile: it needs {profile.skip + profile.steps} training steps")
    console.say("")
    console.table(("accuracy", "size in float32", "size packed", "factor", "time"), [_row(result)])
    console.say(f"\npacked model: {folder / 'packed.h5'}")
    return 0


def _report_stop(communicator: Communicator, folder: Path, saved: str) -> None:
    command = communicator.launcher + commands.line(["binnet", "train", "--resume", str(folder)])
    print(f"binnet: stopped{saved}; continue with: {command}", file=sys.stderr)


def _new_run(arguments: argparse.Namespace) -> tuple[TrainConfig, Path]:
    """Configuration and folder of a new run; ConfigError when the folder already holds a run."""
    values = {} if arguments.config is None else read_toml(arguments.config)
    given = options.given_config(arguments)
    if given.get("model", values.get("model")) != values.get("model"):
        values.pop("model_options", None)  # those of another network
    values |= given  # flags override the file
    config = _configured(values)
    check_given(given.keys() & config.changed().keys(), config.to_dict())
    if arguments.out is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        data = config.dataset or Path(config.data or "").resolve().stem
        model = Path(str(config.model).rpartition(":")[0]).stem if is_own(config.model) else config.model
        name = "-".join(part for part in (data, model, config.binarize, stamp) if part)
        # Created at once, because two trainings that start in the same second need two folders.
        return config, new_folder(Path("runs") / name)
    if not arguments.out:
        raise ConfigError("--out must name a folder, got an empty name")
    folder = Path(arguments.out)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out must be a folder, but {folder} is a file")
    if whole.is_begun(folder):
        resume = commands.line(["--resume", str(folder)])
        raise ConfigError(f"{folder} already holds a training; continue with {resume}, or choose another --out")
    return config, folder


def _configured(values: dict[str, Any]) -> TrainConfig:
    """The configuration with these options, and with those of the model of ``--init`` where they are open."""
    if not isinstance(values.get("init"), str):
        return TrainConfig.from_dict(values)
    from ..train.pretrained.model import configured

    return configured(values)


def _resumed_run(arguments: argparse.Namespace) -> tuple[TrainConfig, Path]:
    """Configuration and folder of a run to resume; only options that do not change its steps may be given."""
    folder, given = Path(arguments.resume), options.given_config(arguments)
    changed = {name: given.pop(name) for name in _RESUMABLE if name in given}
    model = given.pop("model", None)
    fixed = sorted(given) + [name for name in ("out", "config") if getattr(arguments, name) is not None]
    if fixed:
        flag = "--" + fixed[0].replace("_", "-")
        raise ConfigError(f"{flag} cannot be given with --resume: a resumed training keeps its configuration")
    if not whole.is_begun(folder):
        raise ConfigError(f"there is nothing to resume in {folder}: it holds no last.h5")
    values = whole.read(folder)
    if model is not None:
        if not is_own(model) or not is_own(values.get("model")):
            raise ConfigError(
                f"--model cannot be given with --resume: this training has the model {values.get('model')}"
            )
        changed["model"] = model
    if "epochs" in changed and values.get("time_budget") is not None:
        raise ConfigError("--epochs cannot be given with --resume: this training has a time budget instead")
    return TrainConfig.from_dict({**values, **changed}), folder


def _report(profile: Profile, folder: Path, console: Console) -> None:
    """Print the profile with the limits of this machine, and write it into the run folder."""
    from ..lab.bench import machine, profile_table
    from ..lab.bench.report import header

    rows, total = profile_table.table(profile, machine.measure_peak(0.3), machine.measure_bandwidth(0.3))
    console.say(f"where the time of {profile.steps} steps went:")
    console.table(profile_table.HEADS, rows, total)
    text = "\n".join([*header(machine.this_machine().to_dict()), "", *profile_table.lines(rows, total), ""])
    (folder / "profile.txt").write_text(text, "utf-8", newline="\n")


def _row(r: Result) -> tuple[str, ...]:
    return (
        f"{r.top1:.2%}",
        f"{r.float32_bytes / 1e3:,.1f} kB",
        f"{r.packed_bytes / 1e3:,.1f} kB",
        f"{r.factor:.1f}",
        f"{r.seconds:.1f} s",
    )
