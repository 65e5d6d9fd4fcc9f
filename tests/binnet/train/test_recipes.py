"""Recipes: the paper's values, and the precedence of options."""

from dataclasses import fields
from pathlib import Path

import pytest

from binnet import models
from binnet.cli import main
from binnet.schedules import learning_rate, weight_decay
from binnet.train import stages
from binnet.train.config import ConfigError, TrainConfig
from binnet.train.options import recipes

IMAGES = {"data": "some/where"}


def test_every_network_in_every_mode():
    expected = {f"{network}-{mode}" for network in models.names() for mode in models.MODES}
    assert set(recipes.names()) == expected | {"imagenet-64", "finetune", "best"}
    assert len(recipes.names()) == len(expected) + 3


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_a_configuration(name):
    config = TrainConfig.from_dict({"recipe": name, **IMAGES, "init": "some.h5" if name == "finetune" else None})
    found = recipes.values(name, IMAGES)
    assert config.recipe == name
    assert set(found) <= {f.name for f in fields(TrainConfig)}
    own = config.to_dict()
    assert {option: own[option] for option in found} == found
    if name not in recipes.OF_PHOTOS:
        assert f"{config.model}-{config.binarize}" == name
    again = TrainConfig.from_dict(config.to_dict())  # as from a checkpoint: nothing is applied twice
    assert again == config


@pytest.mark.parametrize(("mode", "count"), [(None, 3), ("bnn", 3), ("bwn", 2), ("binaryconnect", 2), ("float", 1)])
def test_the_best_recipe_has_the_stages_that_the_mode_has(mode, count):
    given = {"recipe": "best", **IMAGES} | ({} if mode is None else {"binarize": mode})
    config = TrainConfig.from_dict(given)
    assert (config.model, config.stages, config.binarize) == ("quick2", count, mode or "xnor")
    assert len(stages.configurations(config, Path("run"))) == count
    assert TrainConfig.from_dict({**given, "stages": 1, "model": "nin"}).stages == 1


def test_the_recipe_for_fine_tuning_needs_a_model():
    with pytest.raises(ConfigError, match="the recipe finetune needs a model to begin from: name it with --init"):
        TrainConfig.from_dict({"recipe": "finetune", **IMAGES})


def test_alexnet_as_its_authors_trained_it():
    xnor, bwn = (TrainConfig.from_dict({"recipe": f"alexnet-{mode}", **IMAGES}) for mode in ("xnor", "bwn"))
    for config, optimizer, lr in ((xnor, "adam", 1e-3), (bwn, "sgd", 1e-2)):
        assert (config.optimizer, config.lr, config.batch_size, config.epochs) == (optimizer, lr, 512, 55)
        assert (config.image_size, config.scale_min, config.scale_max, config.flip) == (224, 256, 256, True)
        shape = {"milestones": config.milestones, "factors": config.factors}
        rates = [learning_rate(e * 10, 550, config.lr, "step", **shape) / lr for e in range(55)]  # 10 steps an epoch
        expected = [1] * 18 + [0.5] * 11 + [0.1] * 14 + [0.05] * 9 + [0.01] * 3
        assert rates == pytest.approx(expected)
        decays = [weight_decay(e * 10, 550, config.weight_decay, config.decay_until) for e in range(55)]
        assert decays == [5e-4] * 29 + [0] * 26
    assert bwn.momentum == 0.9


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18-xnor", {"epochs": 58, "batch_size": 256, "scale_min": 256, "scale_max": 480, "optimizer": "adam"}),
        ("resnet18-float", {"lr": 0.1, "optimizer": "sgd", "schedule": "step"}),
        ("googlenet-bwn", {"epochs": 80, "batch_size": 128, "schedule": "polynomial", "scale_max": 320, "lr": 0.1}),
        ("lenet5-xnor", {"epochs": 60, "batch_size": 128, "lr": 0.01, "image_size": None, "flip": False}),
        ("nin-xnor", {"epochs": 320, "batch_size": 128, "lr": 0.01}),
        ("cifar_vgg-bwn", {"loss": "squared_hinge", "epochs": 500}),
        ("imagenet-64", {"model": None, "epochs": 15, "batch_size": 64, "crop_pad": 8, "lr": 0.001, "flip": True}),
        ("quick-bwn", {"model": "quick", "binarize": "bwn", "epochs": 15}),
    ],
)
def test_some_values(name, expected):
    config = TrainConfig.from_dict({"recipe": name, **IMAGES}).to_dict()
    assert {option: config[option] for option in expected} == expected


def test_what_is_given_comes_after_the_recipe():
    config = TrainConfig.from_dict({"recipe": "alexnet-xnor", **IMAGES, "epochs": 16, "lr": 0.5, "binarize": "bnn"})
    assert (config.epochs, config.lr, config.binarize, config.batch_size) == (16, 0.5, "bnn", 512)
    assert config.milestones == pytest.approx((18 / 55, 29 / 55, 43 / 55, 52 / 55))  # shares: they scale


def test_another_image_size_scales_the_range_of_the_short_side():
    config = TrainConfig.from_dict({"recipe": "resnet18-xnor", **IMAGES, "image_size": 112})
    assert (config.image_size, config.scale_min, config.scale_max) == (112, 128, 240)
    config = TrainConfig.from_dict({"recipe": "resnet18-xnor", **IMAGES, "image_size": 112, "scale_min": 120})
    assert (config.scale_min, config.scale_max) == (120, 240)


def test_data_sets_of_recipes():
    assert TrainConfig.from_dict({"recipe": "nin-xnor"}).dataset == "cifar10"
    assert TrainConfig.from_dict({"recipe": "lenet5-xnor"}).dataset == "mnist"
    assert TrainConfig.from_dict({"recipe": "lenet5-xnor", "dataset": "digits"}).dataset == "digits"
    assert TrainConfig.from_dict({"recipe": "lenet5-xnor", **IMAGES}).dataset is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recipe": "alexnet"}, "unknown --recipe 'alexnet'; there are: alexnet-float, .*, imagenet-64"),
        ({"recipe": 3}, "--recipe must be a word, got 3"),
        ({"recipe": "quick2-xnor"}, "the recipe quick2-xnor needs images: name a store or folder of them with --data"),
        (
            {"recipe": "alexnet-xnor"},
            "the recipe alexnet-xnor needs images: name a store or folder of them with --data",
        ),
        (
            {"recipe": "alexnet-xnor", **IMAGES, "image_size": "big"},
            "--image-size must be a whole number of at least 1, got 'big'",
        ),
        ({"recipe": "alexnet-xnor", **IMAGES, "image_size": [2]}, "--image-size must be a whole number"),
    ],
)
def test_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict(values)


def test_no_such_recipe():
    with pytest.raises(ValueError, match="unknown --recipe 'x'"):
        recipes.values("x", {})


def test_defaults_recipe_file_flags(tmp_path, monkeypatch):
    """Defaults, recipe, file and flags override each other in this order; the file may name the recipe."""
    (tmp_path / "c.toml").write_text('recipe = "nin-xnor"\nbatch_size = 9\nlr = 0.5\n')
    seen = []

    def fit(config, *args, **kwargs):
        seen.append(config)
        raise ValueError("seen enough")

    monkeypatch.setattr("binnet.train.fit", fit)
    argv = ["train", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "o"), "--lr", "0.25"]
    assert main(argv) == 1
    assert main([*argv, "--recipe", "lenet5-bwn"]) == 1
    nin, lenet5 = seen
    assert (nin.model, nin.epochs, nin.batch_size, nin.lr, nin.momentum) == ("nin", 320, 9, 0.25, 0.9)
    assert (lenet5.model, lenet5.binarize, lenet5.epochs, lenet5.batch_size) == ("lenet5", "bwn", 60, 9)
