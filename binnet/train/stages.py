"""Training in stages, each of which begins with the weights of the one before.

Real-to-Binary Net (arXiv:2003.11535) and ReActNet (arXiv:2003.03488) first train a network with binary activations and
real weights, and from it the binary network; Real-to-Binary begins with a real network before that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..console import Console
from ..models import own_network
from ..models.own_network import is_own
from ..nn.options import BinaryOptions
from ..parallel.communicator import Communicator
from ..profiler import Profile
from . import budget, trainer
from .config import ConfigError, TrainConfig
from .options.types import flag
from .output import checkpoint, whole
from .output.figures import read_figures
from .output.run_folder import STAGE, RunFolder
from .pretrained.teacher import TEACHER
from .trainer import Place, Result

# Which part of the length each stage gets, by the number of stages. Why: ADR 0036.
SHARES = {2: (0.4, 0.6), 3: (0.4, 0.1, 0.5)}
_FLOAT = {"binarize": "float"}
# Binary activations; the other options are about binary weights and the scales of their products.
_REAL_WEIGHTS = {"weights": "real", "weight_bits": 1, "use_k": False, "binary_gradient": "off"}
_DEFAULTS = TrainConfig()
# What is changed in the stages before the last one, by mode and number of stages.
_BEFORE: dict[str, dict[int, tuple[dict[str, Any], ...]]] = {
    "xnor": {2: (_REAL_WEIGHTS,), 3: (_FLOAT, _REAL_WEIGHTS)},
    "bnn": {2: (_REAL_WEIGHTS,), 3: (_FLOAT, _REAL_WEIGHTS)},
    "bwn": {2: (_FLOAT,)},
    "binaryconnect": {2: (_FLOAT,)},
    "float": {},
}


def configurations(config: TrainConfig, out: Path) -> tuple[TrainConfig, ...]:
    """The configurations of the stages of a training, each of which is one of a training in a single stage.

    Each stage but the first has the best epoch of the one before as its ``init``. Weight decay is 0 in the last stage.
    A real network in the first stage is the teacher of the later ones, unless the configuration names another.
    Epochs or time budget are divided by :data:`SHARES`.

    Parameters
    ----------
    config
        Configuration of the training as a whole.
    out
        Run folder of the whole. The stages before the last one have folders in it, see :func:`folders`.

    Returns
    -------
    tuple of TrainConfig
        ``config`` alone where ``stages`` is 1.

    Raises
    ------
    ConfigError
        When there are no such stages for the mode, epochs do not suffice, or an option does not go with stages.
    """
    count = config.stages
    if count == 1:
        return (config,)
    _check(config)
    changes = (*_BEFORE[config.binarize][count], {"weight_decay": 0.0})
    places, found = folders(out, count), []
    for number, own in enumerate(changes):
        how: dict[str, Any] = {"stages": 1, **own, **_length(config, number), **_teacher(config, number, places[0])}
        if number:
            how["init"] = str(places[number - 1] / "best.h5")
        try:
            found.append(replace(config, **how))
            BinaryOptions.of(found[-1].binary_options())
            if found[-1].weights == "real" and found[-1].own_options().get("first_bits", 1) > 1:
                raise ValueError("its weights are real, and first_bits above 1 needs binary ones: give first_bits=1")
        except ValueError as error:
            whose = "" if config.init is None else "; options that were not given are those of the model of --init"
            raise ConfigError(f"--stages {count}: stage {number + 1} is not possible: {error}{whose}") from error
    return tuple(found)


def _teacher(config: TrainConfig, number: int, first: Path) -> dict[str, Any]:
    """The options of the teacher in a stage: the one that was asked for, else the first stage where it is real."""
    if config.teacher is not None:
        # The first stage has kept a copy, whatever becomes of the file.
        return {"teacher": str(first / TEACHER)} if number else {}
    if number and _BEFORE[config.binarize][config.stages][0] == _FLOAT:
        return {"teacher": str(first / "best.h5")}
    return {"teacher_share": _DEFAULTS.teacher_share, "temperature": _DEFAULTS.temperature}


def folders(out: Path, count: int) -> tuple[Path, ...]:
    """The run folders of ``count`` stages: ``out/stage1``, ``out/stage2``, …, and ``out`` itself for the last one."""
    return (*(out / STAGE.format(number) for number in range(1, count)), out)


def seconds_for(config: TrainConfig, number: int, used: float) -> float:
    """The time budget of a stage: its part of what the stages before have left.

    Parameters
    ----------
    config
        Configuration of the whole, with a time budget.
    number
        Number of the stage, from 0 on.
    used
        Seconds that the stages before it took.

    Returns
    -------
    float
        Seconds, at least 1.
    """
    shares = SHARES[config.stages][number:]
    left = budget.seconds(str(config.time_budget)) - used
    return max(left * shares[0] / sum(shares), 1.0)


def fit(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    profile: Profile | None = None,
    communicator: Communicator | None = None,
) -> Result:
    """Train a network in its stages, keep the best epoch of the last one and pack it.

    Parameters
    ----------
    config
        Configuration. With ``resume`` it must be that of the run in ``out``, see
        :func:`binnet.train.output.whole.read`.
    out
        The run folder, which is that of the last stage. It receives ``config.toml``, ``metrics.csv``, ``health.csv``,
        ``log.txt``, ``last.h5``, ``best.h5``, ``packed.h5``, ``curves.png`` where matplotlib is installed,
        ``teacher.h5`` with a teacher, and a copy of the Python file of a custom network. Its folders ``stage1`` and
        ``stage2`` are complete run folders of the stages before, and ``stages.toml`` has the configuration.
    resume
        Continue where the run was stopped, bit for bit; stages that are done are not repeated. Another number of
        epochs is divided anew, and changes the stages that are not done.
    console
        Receives progress and messages; nothing is printed without it.
    profile
        Profiler that measures some of the first steps of the last stage.
    communicator
        Workers that share the training; all of them call this function.

    Returns
    -------
    Result
        That of the last stage, with the seconds of all stages.

    Raises
    ------
    TrainingError
        When the loss diverges or is no longer finite, or the packed model predicts differently from the trained one.
    TrainingInterruptedError
        After Ctrl-C, SIGTERM or SIGUSR1, when the state has been saved.
    WorkersDifferError
        When several workers have other programs, processors, options or images.
    OwnNetworkError
        When the Python file of a custom network cannot be run, does not build a network, or has changed on resume.
    ConfigError
        When the stages are not possible, see :func:`configurations`; when ``out`` is the folder of one of the stages of
        a training that is to be resumed; when ``tensorboard`` is set but not installed,
        ``epochs`` is smaller than the number already done, or an option does not fit the data: another teacher's
        classes, a crop as large as the images, a layer that there is not.
    ValueError
        When there are more workers than micro-batches.
    DataError, StorageError
        When data cannot be read or files cannot be written; when another training uses the folder or was started
        there; when the images differ from those that a resumed training started with.
    """
    out, group, console = Path(out), communicator or Communicator(), console or Console(quiet=True)
    stages, places = configurations(config, out), folders(out, config.stages)
    if resume:
        group.first(lambda: whole.require_whole(out))
    # With one stage the run folder itself says more precisely what is wrong.
    if not resume and (len(stages) > 1 or whole.has_stages(out)):
        group.first(lambda: whole.require_unused(places))
    how: dict[str, Any] = {"resume": resume, "console": console, "communicator": communicator}
    if len(stages) == 1:
        return trainer.fit_stage(config, out, profile=profile, **how)
    last, place = stages[-1], Place(out)
    if not group.first(lambda: whole.has_last(out)):
        _require_buildable(stages, places, group)
    with RunFolder(out, group).held() as run:
        run.note_stages(config)
        if not group.first(lambda: whole.has_last(out)):
            used = _train_before(config, stages, places, run, how)
            last, place = _timed(config, last, len(stages) - 1, used), Place(out, places[-2] / whole.LAST)
        elif config.time_budget is not None:
            last = group.first(lambda: _with_own_budget(last, out))
    console.say(f"stage {len(stages)} of {len(stages)}: {_kind(last)}")
    with _named(len(stages), len(stages)):
        result = trainer.fit_stage(last, out, profile=profile, place=place, **how)
    before = group.first(lambda: sum(whole.seconds(folder) for folder in places[:-1] if whole.has_last(folder)))
    for sentence in group.first(lambda: [_outcome(number, stages, places) for number in range(len(stages) - 1)]):
        console.say(sentence)
    return replace(result, seconds=before + result.seconds)


def _train_before(
    config: TrainConfig,
    stages: tuple[TrainConfig, ...],
    places: tuple[Path, ...],
    run: RunFolder,
    how: dict[str, Any],
) -> float:
    """Train all stages but the last one, as far as they are not done, and return the seconds that they took."""
    group, used, before = run.communicator, 0.0, None
    for number, place in enumerate(places[:-1]):
        done, begun = group.first(partial(_state, place))
        if done:
            used += group.first(partial(whole.seconds, place))
        else:
            how["console"].say(f"stage {number + 1} of {len(stages)}: {_kind(stages[number])}")
            stage = _timed(config, stages[number], number, used)
            if begun:
                stage = group.first(partial(_with_own_budget, stage, place))
            start = time.time()
            with _named(number + 1, len(stages)):
                result = trainer.fit_stage(stage, place, place=Place(run.path, before, followed=True), **how)
            # The times that workers measured differ, and all must go on with the same number.
            used += group.first(partial(_with_packing, result, place, start))
            run.log(group.first(partial(_outcome, number, stages, places)))
        before = place / whole.LAST
    return used


def _with_packing(result: Result, place: Path, start: float) -> float:
    """Seconds of a training that began at ``start``, and of the packing that followed its last checkpoint."""
    return result.seconds + max(time.time() - max(whole.saved_at(place), start), 0.0)


def _state(place: Path) -> tuple[bool, bool]:
    """Whether a stage is done, and whether it has begun."""
    return whole.is_done(place), whole.has_last(place)


def _check(config: TrainConfig) -> None:
    """ConfigError when the stages are not possible."""
    count, mode = config.stages, config.binarize
    if count not in _BEFORE[mode]:
        known = [str(each) for each in (1, *_BEFORE[mode])]
        raise ConfigError(f"--stages must be {' or '.join(known)} for --binarize {mode}, got {count}")
    if config.weights != "binary":
        raise ConfigError(f"--stages {count} ends with binary weights, and cannot be given with --weights real")
    for name, free in (("freeze_until", None), ("body_lr", 1)):
        if getattr(config, name) != free:
            raise ConfigError(
                f"{flag(name)} cannot be given with --stages: in each stage all arrays learn at the full rate"
            )
    if config.teacher is None and _BEFORE[mode][count][0] != _FLOAT:
        for name in ("teacher_share", "temperature"):
            if getattr(config, name) != getattr(_DEFAULTS, name):
                raise ConfigError(
                    f"{flag(name)} needs --teacher: of the {count} stages of {mode} none is real and could teach"
                )
    if config.time_budget is None:
        if config.epochs < count:
            raise ConfigError(f"--epochs must be at least {count}, one for each of the --stages, got {config.epochs}")
        shortest = min(_epochs(config.epochs, count))
        if config.warmup_epochs > shortest:
            raise ConfigError(
                f"--warmup-epochs must be at most {shortest}, the epochs of the shortest stage, "
                f"got {config.warmup_epochs:g}"
            )


def _length(config: TrainConfig, number: int) -> dict[str, Any]:
    """The options that say how long a stage is, when each stage before it took the time it was given."""
    if config.time_budget is None:
        return {"epochs": _epochs(config.epochs, config.stages)[number]}
    used = 0.0
    for earlier in range(number):
        used += seconds_for(config, earlier, used)
    return {"time_budget": _written(seconds_for(config, number, used))}


def _epochs(epochs: int, count: int) -> list[int]:
    before = [max(1, round(share * epochs)) for share in SHARES[count][:-1]]
    return [*before, epochs - sum(before)]


def _written(seconds: float) -> str:
    return f"{seconds:.3f}s"


def _timed(config: TrainConfig, stage: TrainConfig, number: int, used: float) -> TrainConfig:
    """The stage with its part of the time that the stages before have left, where there is a time budget."""
    if config.time_budget is None:
        return stage
    return replace(stage, time_budget=_written(seconds_for(config, number, used)))


def _with_own_budget(stage: TrainConfig, place: Path) -> TrainConfig:
    """The stage with the time budget that it began with."""
    return replace(stage, time_budget=checkpoint.read_config(place / whole.LAST).time_budget)


def _require_buildable(stages: tuple[TrainConfig, ...], places: tuple[Path, ...], group: Communicator) -> None:
    """OwnNetworkError unless a custom network has the options of all stages, and is the one that stages began with."""
    name = str(stages[0].model)
    if not is_own(name):
        return
    begun = group.first(lambda: next((checkpoint.read(p / whole.LAST) for p in places if whole.has_last(p)), None))
    how = f"undo the change (the original is kept in {places[0]}), or start a new training"
    own = own_network.load(name, None if begun is None else begun.spec, how)
    for stage in stages:
        asked = {"num_classes": 1, "in_channels": 1, "image_size": (1, 1), "binarize": stage.binarize}
        own.spec(asked | stage.binary_options(), stage.changed())


@contextmanager
def _named(number: int, count: int) -> Iterator[None]:
    """Context manager that says in a ConfigError which stage it is about."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"stage {number} of {count}: {error}") from error


def _kind(stage: TrainConfig) -> str:
    return "xnor, real weights" if stage.weights == "real" else stage.binarize


def _outcome(number: int, stages: tuple[TrainConfig, ...], places: tuple[Path, ...]) -> str:
    best = max((float(row["val_top1"]) for row in read_figures(places[number])), default=None)
    reached = "its figures are gone" if best is None else f"accuracy {best:.2%} in its best epoch"
    return f"stage {number + 1} of {len(stages)} ({_kind(stages[number])}): {reached}; run folder {places[number]}"
