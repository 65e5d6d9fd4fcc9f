"""The configuration of a training: flags, config files and rejected values."""

import re
from dataclasses import fields

import numpy as np
import pytest

from binnet import models
from binnet.cli import main, options, parser
from binnet.train.config import ConfigError, TrainConfig, type_of
from binnet.train.options.config_file import read_toml
from binnet_datasets import Dataset, Split

# another value than the default for every option
OTHERS = {
    "recipe": "nin-bnn",
    "dataset": None,
    "data": "some/where",
    "val": "0.25",
    "classes": "5",
    "layout": "splits",
    "max_corrupt": 0.5,
    "model": "alexnet",
    "init": "some.h5",
    "freeze_until": "conv1",
    "body_lr": 0.25,
    "binarize": "bnn",
    "epochs": 7,
    "time_budget": "1h30m",
    "stages": 3,
    "batch_size": 5,
    "lr": 0.125,
    "optimizer": "sgd",
    "momentum": 0.5,
    "nesterov": True,
    "weight_decay": 1e-05,
    "decay_until": 0.25,
    "schedule": "step",
    "milestones": [0.125, 0.5, 0.75],
    "factors": [0.5, 0.1, 0.001],
    "warmup_epochs": 1.5,
    "loss": "squared_hinge",
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "class_weights": "none",
    "teacher": "other.h5",
    "teacher_share": 0.25,
    "temperature": 3.5,
    "accumulate": 3,
    "micro_batches": 4,
    "local_norm": True,
    "statistics_until": 0.25,
    "ema": 0.5,
    "patience": 4,
    "clip_norm": 2.5,
    "image_size": 40,
    "scale_min": 48,
    "scale_max": 60,
    "crop_pad": 2,
    "flip": True,
    "weight_gradient": "paper",
    "use_k": True,
    "scale": "learned",
    "order": "cbap",
    "clip": False,
    "center": True,
    "ste": "polynomial",
    "pad_value": -1,
    "classifier": "one-bit",
    "binary_gradient": "off",
    "grad_bits": 4,
    "weight_bits": 2,
    "act_bits": 3,
    "weights": "binary",
    "model_options": "wide=64",
    "compress": 2,
    "seed": 123456789012345678901234567890,
    "workers": 3,
    "checkpoint_every": 0.5,
    "tensorboard": True,
}
NAMES = [f.name for f in fields(TrainConfig)]
PARSER = parser()


def flags(values):
    for name, value in values.items():
        flag = name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            yield from (f"--{flag}", ",".join(map(str, value)) if isinstance(value, list) else str(value))


def given(*argv):
    """The options on a command line of ``binnet train``."""
    return options.given_config(PARSER.parse_args(["train", *argv]))


def test_all_options_are_covered_here():
    assert set(OTHERS) == set(NAMES)
    default = TrainConfig().to_dict()
    same = [name for name in NAMES if OTHERS[name] == default[name]]
    # smoothing and a mixture do not go with a hinge, a binary gradient and real weights not with several bits
    assert same == ["label_smoothing", "mixup", "class_weights", "binary_gradient", "weights"]


def test_every_flag_is_in_the_help_with_its_default(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "--help"])
    assert caught.value.code == 0
    usage, _, text = " ".join(capsys.readouterr().out.split()).partition("what to train, and how")
    for option in fields(TrainConfig):
        name = option.name.replace("_", "-")
        entry = re.search(rf" --{name}(, --no-{name})? (.*?)(?= --[a-z]|$)", text)
        assert "".join(option.metadata["help"].split()) in "".join(entry[2].split())  # lines may break at hyphens
        default = {True: "on", False: "off"}.get(option.default) if type_of(option) is bool else option.default
        default = ",".join(map(str, default)) if isinstance(default, tuple) else default
        assert (f"(default: {default})" in entry[2]) == (default is not None), name
    for flag in ("--config", "--out", "--resume", "--threads", "--quiet", "--json"):
        assert f"[{flag}" in usage


def test_every_flag_arrives():
    config = TrainConfig.from_dict(given(*flags(OTHERS)))
    assert config.to_dict() == OTHERS
    assert given() == {}  # so that flags which were not given do not override a config file


@pytest.mark.parametrize("values", [{}, OTHERS])
def test_toml_round_trip(values, tmp_path):
    config = TrainConfig(**values)
    (tmp_path / "c.toml").write_text(config.to_toml(), encoding="utf-8")
    again = TrainConfig.from_dict(read_toml(tmp_path / "c.toml"))
    assert again == config
    assert [type(v) for v in again.to_dict().values()] == [type(v) for v in config.to_dict().values()]


def test_flags_come_after_the_config_file(tmp_path, monkeypatch):
    (tmp_path / "c.toml").write_text("epochs = 9\nlr = 1\nflip = true\n")
    seen = []
    monkeypatch.setattr("binnet.train.fit", lambda config, *a, **k: seen.append(config) or exit_here())

    def exit_here():
        raise ValueError("seen enough")

    argv = ["train", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "o")]
    assert main([*argv, "--epochs", "3", "--no-flip"]) == 1
    assert (seen[0].epochs, seen[0].lr, seen[0].flip) == (3, 1.0, False)
    assert isinstance(seen[0].lr, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"epoch": 3},
            "unknown option 'epoch'; there are: accumulate, act_bits, .*, weight_gradient",
        ),
        (
            {"act_bits": 2, "binary_gradient": "ternary"},
            "--binary-gradient must be off unless --weight-bits and --act-bits are 1, got ternary",
        ),
        ({"weight_bits": 9}, "unknown --weight-bits 9; there are: 1, 2, 3, 4, 5, 6, 7, 8"),
        ({"epochs": 2.0}, "--epochs must be a whole number of at least 1, got 2.0"),
        ({"epochs": "2"}, "--epochs must be a whole number of at least 1, got '2'"),
        ({"epochs": True}, "--epochs must be a whole number of at least 1, got True"),
        ({"epochs": None}, "--epochs must be a whole number of at least 1, got None"),
        ({"epochs": 0}, "--epochs must be a whole number of at least 1, got 0"),
        ({"batch_size": 2, "micro_batches": 3}, r"--micro-batches must be at most --batch-size \(2\), got 3"),
        ({"batch_size": 0}, "--batch-size must be a whole number of at least 1, got 0"),
        ({"lr": -0.1}, "--lr must be a finite number of at least 0, got -0.1"),
        ({"lr": float("nan")}, "--lr must be a finite number of at least 0, got nan"),
        ({"lr": float("inf")}, "--lr must be a finite number of at least 0, got inf"),
        ({"lr": 10**400}, "--lr must be a finite number of at least 0, got 10{79}$"),
        ({"lr": True}, "--lr must be a finite number of at least 0, got True"),
        ({"momentum": 1.0}, "--momentum must be a number of at least 0 and below 1, got 1.0"),
        ({"model": "foo", "model_options": "a=1"}, "unknown --model 'foo'; there are: .*or FILE.py:FUNCTION"),
        ({"momentum": 0.5}, "--momentum needs --optimizer sgd, got adam"),
        ({"nesterov": True}, "--nesterov needs --optimizer sgd, got adam"),
        ({"momentum": -0.5}, "--momentum must be a number of at least 0 and below 1, got -0.5"),
        ({"label_smoothing": 1}, "--label-smoothing must be a number of at least 0 and below 1, got 1"),
        ({"warmup_epochs": 3.5, "epochs": 3}, r"--warmup-epochs must be at most --epochs \(3\), got 3.5"),
        ({"weight_decay": -1}, "--weight-decay must be a finite number of at least 0, got -1"),
        ({"crop_pad": -1}, "--crop-pad must be a whole number of at least 0, got -1"),
        ({"decay_until": 1.5}, "--decay-until must be a number from 0 to 1, got 1.5"),
        ({"statistics_until": 1.5}, "--statistics-until must be a number above 0 and at most 1, got 1.5"),
        ({"statistics_until": 0}, "--statistics-until must be a number above 0 and at most 1, got 0"),
        ({"milestones": 0.5}, "--milestones must be a row of finite numbers, got 0.5"),
        ({"milestones": "0.5"}, "--milestones must be a row of finite numbers, got '0.5'"),
        ({"milestones": [0.5, "x"]}, r"--milestones must be a row of finite numbers, got \[0.5, 'x'\]"),
        ({"milestones": [0.5]}, "--milestones: there must be a factor for each milestone, got 1 and 2"),
        ({"factors": [1, float("nan")]}, r"--factors must be a row of finite numbers, got \[1, nan\]"),
        ({"factors": [1, True]}, r"--factors must be a row of finite numbers, got \[1, True\]"),
        ({"factors": [1, -1]}, "--milestones: factors must be numbers of at least 0, got 1, -1"),
        ({"time_budget": "soon"}, "--time-budget: a duration is written like 90s, .*; got 'soon'"),
        ({"time_budget": 20}, "--time-budget must be a word, got 20"),
        ({"scale_min": 64}, "--scale-min and --scale-max must be a range, or both 0, got 64 and 0"),
        ({"scale_max": 64}, "--scale-min and --scale-max must be a range, or both 0, got 0 and 64"),
        ({"scale_min": 64, "scale_max": 60}, "must be a range, or both 0, got 64 and 60"),
        ({"mixup": 0.2, "loss": "squared_hinge"}, "--mixup needs --loss cross_entropy, got squared_hinge"),
        ({"mixup": -0.2}, "--mixup must be a finite number of at least 0, got -0.2"),
        ({"clip_norm": -1}, "--clip-norm must be a finite number of at least 0, got -1"),
        ({"image_size": 0}, "--image-size must be a whole number of at least 1, got 0"),
        ({"workers": -1}, "--workers must be a whole number of at least 0, got -1"),
        ({"checkpoint_every": -1}, "--checkpoint-every must be a finite number of at least 0, got -1"),
        ({"seed": -1}, "--seed must be a whole number of at least 0, got -1"),
        ({"flip": 1}, "--flip must be true or false, got 1"),
        ({"flip": "yes"}, "--flip must be true or false, got 'yes'"),
        ({"pad_value": 2}, "unknown --pad-value 2; there are: 0, 1, -1"),
        ({"pad_value": True}, "--pad-value must be a whole number, got True"),
        ({"dataset": "cifar"}, "unknown --dataset 'cifar'; there are: digits, mnist, fashion-mnist, cifar10"),
        ({"model": "lenet"}, "unknown --model 'lenet'; there are: lenet5, .*quick"),
        ({"binarize": "xor"}, "unknown --binarize 'xor'; there are: float, bwn, xnor, bnn, binaryconnect"),
        ({"optimizer": "Adam"}, "unknown --optimizer 'Adam'; there are: adam, sgd"),
        ({"schedule": "up"}, "unknown --schedule 'up'; there are: .*cosine"),
        ({"loss": "hinge"}, "unknown --loss 'hinge'; there are: cross_entropy, squared_hinge"),
        ({"order": "abcp"}, "unknown --order 'abcp'; there are: bacp, cbap"),
        ({"ste": ["clip"]}, "--ste must be a word, got"),
        ({"weights": "float"}, "unknown --weights 'float'; there are: binary, real"),
        ({"weights": "real", "use_k": True}, "--use-k must be False with --weights real, got True"),
        ({"weights": "real", "act_bits": 2}, "--act-bits must be 1 with --weights real, got 2"),
        ({"model_options": "dropout"}, "--model-options: expected NAME=VALUE with commas between, got 'dropout'"),
        ({"model_options": "wide=3"}, "--model-options: unknown option 'wide'; there are: dropout"),
        ({"model": "nin", "model_options": "a=3"}, "--model-options: nin has no options of its own, got 'a=3'"),
        ({"model": "a.py:f", "model_options": "a=3"}, "--model-options: a network of your own has its options in its"),
        ({"data": 3}, "--data must be a word, got 3"),
    ],
)
def test_refused(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        TrainConfig.from_dict(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--binarize float --use-k", "--use-k has no effect here: it needs --binarize xnor, got float"),
        ("--binarize bnn --scale learned", "--scale has no effect here: it needs --binarize xnor or bwn, got bnn"),
        ("--weights real --scale learned", "--scale has no effect here: it needs --weights binary, got real"),
        (
            "--teacher quick2-tiny20 --teacher-share 1 --label-smoothing 0.1",
            "--label-smoothing has no effect here: it needs --teacher-share below 1, got 1",
        ),
        ("--binarize bwn --act-bits 2", "--act-bits has no effect here: it needs --binarize xnor or bnn, got bwn"),
        ("--binarize bwn --binary-gradient ternary", "--binary-gradient has no effect here: it needs --binarize xnor"),
        (
            "--binarize float --no-clip",
            "--no-clip has no effect here: it needs --binarize bwn, xnor, bnn or binaryconn",
        ),
        (
            "--recipe alexnet-bwn --data x --pad-value 1",
            "--pad-value has no effect here: it needs --binarize xnor or b",
        ),
        ("--act-bits 2 --ste polynomial", "--ste has no effect here: it needs --act-bits 1, got 2"),
        ("--weight-bits 2 --ste polynomial", "--ste has no effect here: it needs --weight-bits 1, got 2"),
        ("--grad-bits 2", "--grad-bits has no effect here: it needs --binary-gradient ternary or even, got off"),
        ("--milestones 0.2,0.4", "--milestones has no effect here: it needs --schedule step, got cosine"),
        ("--decay-until 0.5", "--decay-until has no effect here: it needs --weight-decay above 0, got 0"),
    ],
)
def test_a_flag_without_effect(flags, message, tmp_path, capsys):
    assert main(["train", *flags.split(), "--out", str(tmp_path / "o")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("flags", "file"),
    [
        ("--schedule cosine --recipe alexnet-bwn --data x", ""),  # the recipe has milestones
        ("--binarize bwn", 'binarize = "xnor"\nact_bits = 2\nuse_k = true\n'),
        ("--binarize float --no-use-k --grad-bits 1", ""),
        ("--model net.py:build --binarize float --scale learned", ""),  # the function may use it
        ("--binarize bnn --classifier one-bit --scale learned", ""),  # of the classifier
        ("--order cbap --weight-bits 2 --ste polynomial", ""),
        ("--stages 2 --act-bits 2 --ste polynomial", ""),  # of the stage with signs
    ],
)
def test_options_without_effect_that_are_accepted(flags, file, tmp_path, monkeypatch, capsys):
    (tmp_path / "c.toml").write_text(file)

    def seen(*args, **options):
        raise ValueError("it begins")

    monkeypatch.setattr("binnet.train.fit", seen)
    argv = ["train", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "o"), *flags.split()]
    assert main(argv) == 1
    assert "it begins" in capsys.readouterr().err


def test_a_config_file_of_an_editor_that_marks_utf_8(tmp_path):
    (tmp_path / "c.toml").write_text('epochs = 3\r\nmodel = "quick"\r\n', "utf-8-sig")
    assert read_toml(tmp_path / "c.toml") == {"epochs": 3, "model": "quick"}


def test_config_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the config file .*none.toml: No such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot read the config file"):
        read_toml(tmp_path)
    for content in (b"epochs = \n", b"epochs: 3", b"\xff\xfe", b"a = 1\na = 2"):
        (tmp_path / "c.toml").write_bytes(content)
        with pytest.raises(ConfigError, match=r"c.toml is not a TOML file: "):
            read_toml(tmp_path / "c.toml")


def test_binary_options_are_those_that_models_take():
    config = TrainConfig(**OTHERS)
    net = models.build("lenet5", "xnor", **config.binary_options())
    for name, value in config.binary_options().items():
        assert net.spec.options[name] == value == OTHERS[name]
    assert len(config.binary_options()) == 14


def test_every_word_that_can_be_chosen_is_taken():
    for option in fields(TrainConfig):
        for word in option.metadata["choices"]:
            photos = {"data": "x"} if option.name == "layout" else {}
            TrainConfig(**{option.name: word}, **photos)
            if type_of(option) is not bool:
                assert given(f"--{option.name.replace('_', '-')}={word}") == {option.name: word}


def test_the_help_says_nothing_about_a_missing_path():
    assert not re.search(r"default: None", parser().format_help())


def images(h, w, channels, grey=False):
    pixels = np.random.default_rng(0).integers(0, 256, (4, h, w, 1 if grey else channels), np.uint8)
    split = Split(np.repeat(pixels, channels, axis=3) if grey else pixels, np.zeros(4, np.int64))
    return Dataset("x", split, split, ("a",))


def test_what_is_left_open():
    """The defaults are digits and lenet5; for a user's images they depend on the images."""
    assert (TrainConfig().dataset, TrainConfig().model) == ("digits", "lenet5")
    assert (TrainConfig(dataset="cifar10", data="x").dataset, TrainConfig(dataset="cifar10").model) == (
        "cifar10",
        "lenet5",
    )
    alone = TrainConfig(data="x")
    assert (alone.dataset, alone.model) == (None, None)
    assert alone.resolved(images(28, 28, 1)).model == "lenet5"
    assert alone.resolved(images(28, 28, 3, grey=True)).model == "lenet5"
    assert alone.resolved(images(28, 28, 3)).model == "quick2"
    assert alone.resolved(images(65, 30, 1)).model == "quick2"
    assert TrainConfig(data="x", model="nin").resolved(images(28, 28, 1)).model == "nin"


@pytest.mark.parametrize(
    ("options", "shape", "expected"),
    [
        ({}, (64, 80, 3), (8, True)),
        ({}, (65, 80, 1), (8, True)),
        ({}, (64, 64, 1), (0, False)),  # letters and digits
        ({}, (7, 7, 3), (0, True)),
        ({"image_size": 32, "model": "nin"}, (64, 80, 3), (4, True)),
        ({"flip": False, "crop_pad": 3}, (64, 80, 3), (3, False)),
        ({"scale_min": 70, "scale_max": 80}, (64, 80, 3), (0, False)),
        ({"dataset": "cifar10"}, (32, 32, 3), (0, False)),
        ({"recipe": "alexnet-xnor"}, (64, 80, 3), (0, True)),
        ({"recipe": "imagenet-64"}, (32, 32, 3), (8, True)),
    ],
)
def test_photographs_are_mirrored_and_cropped(options, shape, expected):
    config = TrainConfig.from_dict({"data": "x", **options})
    assert (config.resolved(images(*shape)).crop_pad, config.resolved(images(*shape)).flip) == expected


def test_letters_in_a_folder_are_not_mirrored():
    """Grey images of a folder have three equal channels."""
    config = TrainConfig(data="x").resolved(images(28, 28, 3, grey=True))
    assert (config.crop_pad, config.flip) == (0, False)


def test_changed_options():
    assert TrainConfig().changed() == {}
    config = TrainConfig(lr=0.5, milestones=(0.5,), factors=(0.1,), data="x")
    expected = {"lr": 0.5, "milestones": [0.5], "factors": [0.1], "data": "x"}
    open_ = dict.fromkeys(("dataset", "model", "crop_pad", "flip"))
    assert config.changed() == expected | open_


def test_rows_of_numbers_on_the_command_line(capsys):
    assert given("--milestones", "0.25, 0.5", "--factors", "") == {"milestones": (0.25, 0.5), "factors": ()}
    with pytest.raises(SystemExit):
        given("--milestones", "0.25;0.5")
    assert "argument --milestones: invalid" in capsys.readouterr().err
