"""Training in stages: their configurations and lengths, what each begins with, stopping and resuming, refusals."""

import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from binnet.cli import main
from binnet.console import Console
from binnet.modelfile import container
from binnet.modelfile.container import StorageError
from binnet.models.own_network import OwnNetworkError
from binnet.train import TrainingInterruptedError, fit, stages, trainer
from binnet.train.config import ConfigError, TrainConfig
from binnet.train.output import whole
from binnet.train.output.figures import read_figures
from binnet.train.trainer import Result

OUT = Path("run")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


# ------------------------------------------------------------------------------------------------- configurations

KINDS = {
    ("xnor", 2): [("xnor", "real"), ("xnor", "binary")],
    ("xnor", 3): [("float", "binary"), ("xnor", "real"), ("xnor", "binary")],
    ("bnn", 2): [("bnn", "real"), ("bnn", "binary")],
    ("bnn", 3): [("float", "binary"), ("bnn", "real"), ("bnn", "binary")],
    ("bwn", 2): [("float", "binary"), ("bwn", "binary")],
    ("binaryconnect", 2): [("float", "binary"), ("binaryconnect", "binary")],
}


@pytest.mark.parametrize("mode", ["xnor", "bnn", "bwn", "binaryconnect", "float"])
def test_one_stage_is_the_training_itself(mode):
    config = TrainConfig(binarize=mode, weight_decay=0.1, freeze_until="conv1", init="a.h5")
    assert stages.configurations(config, OUT) == (config,)


@pytest.mark.parametrize(("mode", "count"), KINDS, ids=str)
def test_what_the_stages_are(mode, count):
    config = TrainConfig(
        binarize=mode, stages=count, epochs=10, weight_decay=0.25, decay_until=0.5, init="begin.h5", lr=0.5, seed=3
    )
    found = stages.configurations(config, OUT)
    assert [(stage.binarize, stage.weights) for stage in found] == KINDS[mode, count]
    places = ["begin.h5", *(str(OUT / name / "best.h5") for name in ("stage1", "stage2"))][:count]
    assert [stage.init for stage in found] == places
    assert [stage.weight_decay for stage in found] == [*[0.25] * (count - 1), 0.0]
    assert [stage.epochs for stage in found] == ([4, 6] if count == 2 else [4, 1, 5])
    # Nothing else differs from what was asked for.
    changed = ("binarize", "weights", "init", "weight_decay", "epochs", "stages", "teacher")
    free = {name: getattr(config, name) for name in changed}
    assert [replace(stage, **free) for stage in found] == [config] * count
    assert [stage.stages for stage in found] == [1] * count
    assert stages.folders(OUT, count) == (*[OUT / "stage1", OUT / "stage2"][: count - 1], OUT)


def test_a_real_first_stage_is_the_teacher_of_the_later_ones():
    def teachers(**options):
        return [stage.teacher for stage in stages.configurations(TrainConfig(**options), OUT)]

    first = str(OUT / "stage1" / "best.h5")
    assert teachers(stages=3) == [None, first, first]
    assert teachers(stages=2, binarize="bwn") == [None, first]
    assert teachers(stages=2) == [None, None]
    kept = str(OUT / "stage1" / "teacher.h5")
    assert teachers(stages=3, teacher="t.h5") == ["t.h5", kept, kept]
    assert teachers(stages=2, teacher="t.h5") == ["t.h5", kept]
    config = TrainConfig(stages=3, teacher_share=0.5, temperature=4.0)
    found = stages.configurations(config, OUT)
    assert [(stage.teacher_share, stage.temperature) for stage in found] == [(0.9, 2.0), (0.5, 4.0), (0.5, 4.0)]


def test_real_weights_have_no_options_of_binary_ones():
    config = TrainConfig(stages=2, weight_bits=2, use_k=True)
    first, second = stages.configurations(config, OUT)
    assert (first.weight_bits, first.use_k, first.binary_gradient) == (1, False, "off")
    assert replace(second, init=None, epochs=50, stages=2) == config
    first, second = stages.configurations(TrainConfig(stages=2, binary_gradient="ternary"), OUT)
    assert (first.binary_gradient, second.binary_gradient) == ("off", "ternary")
    with pytest.raises(
        ConfigError, match="--stages 2: stage 1 is not possible: --act-bits must be 1 with --weights real"
    ):
        stages.configurations(TrainConfig(stages=2, act_bits=3), OUT)
    for count, stage in ((2, 1), (3, 2)):
        message = f"--stages {count}: stage {stage} is not possible: its weights are real, and first_bits above 1 needs"
        with pytest.raises(ConfigError, match=message):
            stages.configurations(TrainConfig(stages=count, model="quick2", model_options="first_bits=2"), OUT)


@pytest.mark.parametrize("count", [2, 3])
def test_all_epochs_are_divided(count):
    shares = {2: [0.4, 0.6], 3: [0.4, 0.1, 0.5]}[count]
    for epochs in range(count, 200):
        lengths = [s.epochs for s in stages.configurations(TrainConfig(stages=count, epochs=epochs), OUT)]
        assert sum(lengths) == epochs
        assert min(lengths) >= 1
        np.testing.assert_allclose(lengths, np.multiply(shares, epochs), atol=1.01)


def test_a_time_budget_is_divided():
    two = stages.configurations(TrainConfig(stages=2, time_budget="100s", epochs=1), OUT)
    three = stages.configurations(TrainConfig(stages=3, time_budget="1h", epochs=1), OUT)
    assert [stage.time_budget for stage in two] == ["40.000s", "60.000s"]
    assert [stage.time_budget for stage in three] == ["1440.000s", "360.000s", "1800.000s"]
    assert {stage.epochs for stage in (*two, *three)} == {1}  # without meaning


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ([40, 10], ["40.000s", "10.000s", "50.000s"]),
        ([10, 30], ["40.000s", "15.000s", "60.000s"]),  # 90 s are left: 1/6 of them
        ([52, 38], ["40.000s", "8.000s", "10.000s"]),
        ([150, 1], ["40.000s", "1.000s", "1.000s"]),  # nothing is left, and each stage has one epoch all the same
    ],
)
def test_later_stages_get_what_earlier_ones_left(tmp_path, monkeypatch, used, expected):
    seen = []

    def train(config, out, place, **_):
        seen.append((config.time_budget, out, place.followed, place.before))
        return Result(str(out), 0, 0, 1, 1, 1, [*used, 0][len(seen) - 1])

    monkeypatch.setattr(trainer, "fit_stage", train)
    monkeypatch.setattr(whole, "saved_at", lambda place: 1e12)  # in the future: packing takes no time
    out = tmp_path / "run"
    fit(TrainConfig(stages=3, time_budget="100s"), out)
    first, second = out / "stage1", out / "stage2"
    assert [each[0] for each in seen] == expected
    assert [each[1:] for each in seen] == [
        (first, True, None),
        (second, True, first / "last.h5"),
        (out, False, second / "last.h5"),
    ]


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binarize": "bwn", "stages": 3}, "--stages must be 1 or 2 for --binarize bwn, got 3"),
        ({"binarize": "binaryconnect", "stages": 3}, "--stages must be 1 or 2 for --binarize binaryconnect, got 3"),
        ({"binarize": "float", "stages": 2}, "--stages must be 1 for --binarize float, got 2"),
        ({"weights": "real"}, "--stages 2 ends with binary weights, and cannot be given with --weights real"),
        ({"init": "a.h5", "body_lr": 0.5}, "--body-lr cannot be given with --stages"),
        ({"init": "a.h5", "freeze_until": "conv1"}, "--freeze-until cannot be given with --stages"),
        ({"temperature": 5.0}, "--temperature needs --teacher: of the 2 stages of xnor none is real and could teach"),
        ({"teacher_share": 0.5}, "--teacher-share needs --teacher: of the 2 stages of xnor none is real"),
        ({"stages": 3, "epochs": 2}, "--epochs must be at least 3, one for each of the --stages, got 2"),
        ({"epochs": 10, "warmup_epochs": 5}, "--warmup-epochs must be at most 4, the epochs of the shortest stage"),
    ],
)
def test_stages_that_cannot_be(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        fit(TrainConfig(**{"stages": 2, **options}), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_the_number_of_stages():
    with pytest.raises(ConfigError, match="unknown --stages 4; there are: 1, 2, 3"):
        TrainConfig(stages=4)


@pytest.mark.parametrize("place", [".", "stage1", "stage2"])
def test_a_folder_in_use(tmp_path, capsys, place):
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "last.h5").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", "--stages", "3", "--out", str(tmp_path)]) == 1
    assert "already holds a training; continue with --resume" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_one_stage_where_several_began(tmp_path):
    (tmp_path / "stages.toml").write_text("stages = 2\n")
    with pytest.raises(StorageError, match="already holds a training"):
        fit(TrainConfig(), tmp_path)


def test_nothing_is_left_of_a_training_without_data(tmp_path, capsys):
    out = tmp_path / "run"
    argv = ["train", "--stages", "2", "--data", str(tmp_path / "none"), "--out", str(out)]
    assert main(argv) == 1
    assert "none" in capsys.readouterr().err
    assert not out.exists()
    wide = [*argv[:3], "--crop-pad", "8", "--out", str(out)]  # the first stage makes its folder before this is noticed
    assert main(wide) == 1
    assert not out.exists()
    assert main([*argv[:3], "--epochs", "2", "--batch-size", "400", "--out", str(out), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("takes", "count", "message"),
    [
        ("num_classes, weights", 3, "--binarize would have no effect, because net.py:build does not take binarize"),
        ("num_classes, binarize", 3, "--weights would have no effect, because net.py:build does not take weights"),
    ],
)
def test_own_network_that_knows_no_stages(tmp_path, takes, count, message):
    """It is refused before the first stage."""
    file = tmp_path / "net.py"
    file.write_text(f"def build({takes}):\n    raise AssertionError('never called')\n")
    with pytest.raises(OwnNetworkError, match=message):
        fit(TrainConfig(stages=count, model=f"{file}:build"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------------- trainings

CONFIG = TrainConfig(stages=3, epochs=5, batch_size=300, lr=0.01, weight_decay=1e-4)
STEPS = 5  # in an epoch: 1,437 images


class Stopping(Console):
    """It stops the training by SIGTERM after so many steps, or by Ctrl-C where a certain text is shown."""

    def __init__(self, steps=0, text=None):
        super().__init__(quiet=True)
        self.steps, self.text, self.lines = steps, text, []

    def say(self, text):
        self.lines.append(text)
        if self.text is not None and text.startswith(self.text):
            os.kill(os.getpid(), signal.SIGINT)

    @contextmanager
    def progress(self, total, unit="images"):
        def advance(count, label):
            self.steps -= 1
            if self.steps == 0:
                os.kill(os.getpid(), signal.SIGTERM)

        yield advance


class Interrupting(Stopping):
    """It interrupts the training in stage ``steps`` before its first step, when its first checkpoint is written."""

    @contextmanager
    def progress(self, total, unit="images"):
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt
        yield lambda count, label: None


def arrays(path, prefix=""):
    return {name: array for name, array in container.load(path)[1].items() if name.startswith(prefix)}


def assert_equal(one, other):
    assert set(one) == set(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a training in three stages, 2, 1 and 2 epochs, and what was said."""
    folder, console = tmp_path_factory.mktemp("runs") / "run", Stopping()
    result = fit(CONFIG, folder, console=console)
    return folder, console.lines, result


def test_run_folders(run):
    folder, lines, result = run
    assert [len(read_figures(place)) for place in stages.folders(folder, 3)] == [2, 1, 2]
    for place in stages.folders(folder, 3):
        for name in ("config.toml", "metrics.csv", "health.csv", "log.txt", "last.h5", "best.h5", "packed.h5"):
            assert (place / name).is_file(), (place, name)
    assert TrainConfig.from_dict(whole.read(folder)) == CONFIG
    best = [max(float(row["val_top1"]) for row in read_figures(place)) for place in stages.folders(folder, 3)]
    assert result.out == str(folder)
    assert result.top1 == pytest.approx(best[2], abs=1e-5)
    seconds = [float(read_figures(place)[-1]["seconds"]) for place in stages.folders(folder, 3)]
    assert result.seconds == pytest.approx(sum(seconds), rel=1e-4)  # the table has fewer digits
    assert lines[-2:] == [
        f"stage 1 of 3 (float): accuracy {best[0]:.2%} in its best epoch; run folder {folder / 'stage1'}",
        f"stage 2 of 3 (xnor, real weights): accuracy {best[1]:.2%} in its best epoch; run folder {folder / 'stage2'}",
    ]
    assert [line for line in lines if line.startswith("stage")][:-2] == [
        "stage 1 of 3: float",
        "stage 2 of 3: xnor, real weights",
        "stage 3 of 3: xnor",
    ]


def test_a_stage_is_not_resumed_by_itself(run, capsys):
    folder, *_ = run
    before = {name: (folder / name).read_bytes() for name in ("log.txt", "stages.toml", "stage1/config.toml")}
    assert main(["train", "--resume", str(folder / "stage1"), "--epochs", "9"]) == 1
    assert f"stage1 is a stage of the training in {folder}; expected that folder itself" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="stage1 is a stage of the training in"):
        fit(CONFIG, folder / "stage1", resume=True)
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_each_stage_is_the_training_of_its_configuration(run, tmp_path):
    """The last stage by itself, from the best epoch of the stage before, gives the same bits."""
    folder, *_ = run
    last = stages.configurations(CONFIG, folder)[-1]
    assert last.init == str(folder / "stage2" / "best.h5")
    trainer.fit_stage(last, tmp_path / "alone")
    assert_equal(arrays(tmp_path / "alone" / "last.h5"), arrays(folder / "last.h5"))


def test_a_stage_begins_with_the_weights_of_the_one_before(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(replace(CONFIG, stages=2, epochs=2), folder, console=Interrupting(2))
    before, after = arrays(folder / "stage1" / "best.h5", "network."), arrays(folder / "last.h5", "network.")
    assert_equal(before, after)


def test_stopped_in_each_stage_and_resumed_gives_the_same_bits(run, tmp_path):
    folder, resume = tmp_path / "run", False
    stops = [
        Stopping(2),  # in stage 1
        Stopping(2 * STEPS - 2),  # in its last validation: the next stage does not begin
        Stopping(text="stage 2 of 3"),  # between stages
        Stopping(3),
        Stopping(text="stage 3 of 3"),
        Stopping(STEPS + 1),
    ]
    seen = []
    for console in stops:
        with pytest.raises((TrainingInterruptedError, KeyboardInterrupt)):
            fit(CONFIG, folder, resume=resume, console=console)
        resume = True
        seen.append([line for line in console.lines if line.startswith("stage")])
    last = Stopping()
    fit(CONFIG, folder, resume=True, console=last)
    one, two, three = "stage 1 of 3: float", "stage 2 of 3: xnor, real weights", "stage 3 of 3: xnor"
    assert seen == [[one], [one], [one, two], [two], [two, three], [three]]
    expected, lines, _ = run
    assert [line.split(";")[0] for line in last.lines[-2:]] == [line.split(";")[0] for line in lines[-2:]]
    for place, other in zip(stages.folders(folder, 3), stages.folders(expected, 3), strict=True):
        for name in ("last.h5", "best.h5"):
            assert_equal(arrays(place / name), arrays(other / name))


def test_any_signal_between_stages(tmp_path, capsys, monkeypatch):
    """SIGUSR1, too, which schedulers send some time before the end: all that is done is kept."""
    out, say = tmp_path / "run", Console.say

    def stop(console, text):
        say(console, text)
        if text.startswith("stage 2 of 2:"):
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(Console, "say", stop)
    flags = ["--stages", "2", "--epochs", "2", "--batch-size", "300"]
    assert main(["train", *flags, "--out", str(out)]) == 128 + signal.SIGUSR1
    assert capsys.readouterr().err == f"binnet: stopped; continue with: binnet train --resume {out}\n"
    assert whole.is_done(out / "stage1")
    assert not whole.has_last(out)


def test_the_command_resumes_stages_with_more_epochs(tmp_path, capsys):
    out = tmp_path / "run"
    with pytest.raises(TrainingInterruptedError):
        fit(replace(CONFIG, stages=2, epochs=2), out, console=Stopping(STEPS + 2))
    assert main(["train", "--resume", str(out), "--stages", "1"]) == 1
    assert "--stages cannot be given with --resume" in capsys.readouterr().err
    assert main(["train", "--resume", str(out), "--epochs", "4"]) == 0
    said = capsys.readouterr().out
    assert "stage 1 of 2 (xnor, real weights): accuracy" in said
    assert [len(read_figures(place)) for place in stages.folders(out, 2)] == [1, 2]  # stage 1 was done
    assert whole.read(out)["epochs"] == 4


def test_other_images_in_a_later_stage(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for number in range(6):
                pixels = rng.integers(0, 256, (12, 12, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / split / name / f"{number}.png")
    config = TrainConfig(data=str(tmp_path / "pets"), model="lenet5", stages=2, epochs=2, batch_size=6)
    with pytest.raises(KeyboardInterrupt):
        fit(config, tmp_path / "run", console=Stopping(text="stage 2 of 2"))
    (tmp_path / "pets" / "train" / "dog" / "5.png").unlink()
    with pytest.raises(StorageError, match=r"stage1.last.h5 was trained on other images: 1 removed"):
        fit(config, tmp_path / "run", resume=True)
