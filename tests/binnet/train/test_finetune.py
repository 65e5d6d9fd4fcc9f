"""Fine-tuning: which arrays are taken from a trained model, which layers are frozen, and rejected models."""

import shutil
import tomllib
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import binnet
import binnet_datasets
from binnet import models, shipped
from binnet.autograd import Tensor
from binnet.modelfile import container
from binnet.modelfile.container import CHECKPOINT, PACKED, StorageError
from binnet.modelfile.info import DataInfo
from binnet.models import ModelSpec
from binnet.nn import BatchNorm, Flatten, Linear, Sequential
from binnet.nn.options import CHOICES
from binnet.train import TrainingInterruptedError, builders, fit, trainer
from binnet.train.config import ConfigError, TrainConfig
from binnet.train.output import checkpoint
from binnet.train.output.image_record import ImageRecord
from binnet.train.pretrained import finetune, freezing, model
from binnet.train.pretrained.finetune import Start
from binnet.train.pretrained.unpacking import calibrate

NAMES = tuple("0123456789")


def data_of(names, channels=1, ids=()):
    """What a data set says of itself."""
    return SimpleNamespace(
        name="images", class_names=tuple(names), class_ids=tuple(ids), num_classes=len(names), channels=channels
    )


DIGITS = data_of(NAMES)
NOTHING_NEW = Start("m.h5", PACKED, (), (), None, None)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


def network(mode="xnor", seed=0, **options):
    return models.build("lenet5", mode, in_channels=1, image_size=8, seed=seed, **options)


def trained(mode="xnor", **options):
    """A network whose normalisations have statistics of some images."""
    net, rng = network(mode, seed=5, **options), np.random.default_rng(1)
    for _, module in net.named_modules():
        if isinstance(module, BatchNorm):
            n = len(module.running_mean)
            module.running_mean[...], module.running_var[...] = rng.normal(size=n), rng.uniform(0.5, 3, n)
            module.gamma.data[...], module.beta.data[...] = rng.uniform(0.5, 2, n), rng.normal(size=n)
    return net


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short training on the digits."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    fit(TrainConfig(epochs=2, batch_size=100, lr=0.01), folder)
    return folder


def saved(tmp_path, net, names=NAMES):
    path = tmp_path / "packed.h5"
    binnet.pack(net, mean=0.5, std=0.25, class_names=names).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("xnor", {}),
        ("xnor", {"order": "cbap", "use_k": True}),
        ("xnor", {"scale": "learned"}),
        ("xnor", {"binary_gradient": "ternary", "grad_bits": 2}),
        ("xnor", {"binary_gradient": "paper", "order": "cbap"}),
        ("xnor", {"ste": "polynomial", "center": True}),
        ("xnor", {"weight_bits": 3, "act_bits": 2}),
        ("xnor", {"weight_bits": 2, "act_bits": 2, "scale": "learned", "clip": False}),
        ("bwn", {"classifier": "one-bit"}),
        ("bnn", {}),
        ("bnn", {"weight_bits": 4}),
        ("binaryconnect", {}),
        ("float", {}),
    ],
)
def test_a_packed_model_becomes_a_network_that_packs_to_the_same(tmp_path, mode, options):
    file, net = saved(tmp_path, trained(mode, **options)), network(mode, **options)
    start = finetune.begin(net, net.spec, model.read(file), DIGITS)
    assert (start.new, start.kind, start.mean, start.std) == ((), PACKED, (0.5,), (0.25,))
    assert set(start.taken) == {name for name, array in net.state_dict().items() if array.dtype.kind == "f"}
    expected = binnet.load(file).arrays()
    for name, array in binnet.pack(net, class_names=NAMES).arrays().items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, expected[name], rtol=2e-6, atol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_the_real_weights_of_a_packed_layer(tmp_path):
    """α sign(W); with learned scales, which may be negative, |α| sign(W), and the scales themselves."""
    net = trained(scale="learned")
    net.conv2.alpha.data[:3] *= -1
    file, alpha = saved(tmp_path, net), net.conv2.alpha.data.copy()
    signs = np.where(net.conv2.weight.data < 0, -1, 1)
    for scale, sizes in (("learned", np.abs(alpha)), ("mean", alpha)):
        other = network(scale=scale)
        finetune.begin(other, other.spec, model.read(file), DIGITS)
        np.testing.assert_allclose(other.conv2.weight.data, sizes[:, None, None, None] * signs, rtol=1e-6)
        hat = np.multiply(
            other.conv2.binary_weight()[1][:, None, None, None], np.where(other.conv2.weight.data < 0, -1, 1)
        )
        np.testing.assert_allclose(hat, alpha[:, None, None, None] * signs, rtol=1e-6)
    bnn, fresh = network("bnn"), network("bnn")
    finetune.begin(bnn, bnn.spec, model.read(saved(tmp_path, trained("bnn"))), DIGITS)
    sizes = [np.abs(layer.weight.data).mean(axis=(1, 2, 3)) for layer in (bnn.conv2, fresh.conv2)]
    np.testing.assert_allclose(*sizes, rtol=1e-5)


def test_calibration_changes_the_variance_and_not_the_function(tmp_path):
    net = network()
    start = finetune.begin(net, net.spec, model.read(saved(tmp_path, trained())), DIGITS)
    before, data = binnet.pack(net).arrays(), binnet_datasets.load("digits")
    loader = builders.build_loader(TrainConfig(batch_size=100), data, (8, 8))
    assert net.conv1_norm.running_var[0] == np.float32(1 - net.conv1_norm.eps)
    calibrate(net, start.taken, loader)
    for name, array in binnet.pack(net).arrays().items():
        np.testing.assert_allclose(array, before[name], rtol=1e-5, err_msg=name)
    images = np.concatenate([x for x, _ in loader.epoch(0)][:3])
    net.eval()
    maps = net.conv1(images).numpy().reshape(-1, 20)
    np.testing.assert_allclose(net.conv1_norm.running_var, maps.var(axis=0), rtol=1e-4)
    assert "forward" not in vars(net.conv1_norm)


@pytest.mark.parametrize("kind", ["packed.h5", "best.h5"])
@pytest.mark.parametrize(
    ("names", "fresh"),
    [
        (NAMES, False),
        (("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), True),
        (NAMES[:5], True),
        ((*NAMES[:9], "eleven"), True),
    ],
)
def test_the_classifier_is_new_where_classes_differ(run, kind, names, fresh):
    net = models.build("lenet5", num_classes=len(names), in_channels=1, image_size=8, seed=1)
    before = net.state_dict()
    start = finetune.begin(net, net.spec, model.read(str(run / kind)), data_of(names))
    assert start.new == (("dense4.weight", "dense4.bias") if fresh else ())
    assert start.kind == (PACKED if kind == "packed.h5" else CHECKPOINT)
    assert (net.dense4.weight.data == before["dense4.weight"]).all() == fresh
    assert (net.conv1.weight.data != before["conv1.weight"]).any()
    assert Start.from_dict(start.to_dict()) == start


@pytest.mark.parametrize("kind", ["best.h5", "packed.h5"])
def test_the_rows_of_the_classifier_follow_the_classes(run, kind):
    source, orders = model.read(str(run / kind)), (NAMES, NAMES[3:] + NAMES[:3])
    networks = [network(seed=1), network(seed=2)]
    for net, names in zip(networks, orders, strict=True):
        assert finetune.begin(net, net.spec, source, data_of(names)).new == ()
    x = Tensor(np.random.default_rng(0).random((3, 8, 8, 1), np.float32))
    same, turned = (net.eval()(x).array for net in networks)
    np.testing.assert_allclose(turned, np.roll(same, -3, axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", shipped.names())
def test_all_weights_of_a_model_that_comes_with_binnet_are_taken(name):
    source = model.read(name)
    net = models.build_spec(replace(source.spec, num_classes=3))
    start = finetune.begin(net, net.spec, source, data_of("abc", 3))
    assert start.new == ("dense.weight", "dense.bias")
    ids = source.info.provenance.get("class_ids", source.info.class_names)
    net = models.build_spec(source.spec)
    same = finetune.begin(net, net.spec, source, data_of(ids, 3))  # folders are often named by them
    assert same.new == ()


def test_classes_without_names_are_compared_by_their_number(tmp_path):
    for classes, new in ((10, 0), (5, 2)):
        net = models.build("lenet5", num_classes=classes, in_channels=1, image_size=8)
        data = data_of(NAMES[:classes], 3)
        start = finetune.begin(net, net.spec, model.read(saved(tmp_path, trained(), ())), data)
        assert len(start.new) == new
        assert start.sentence().endswith("new: dense4.weight, dense4.bias" if new else "nothing is new")
    info = DataInfo(mean=(0.5,) * 3, std=(0.5,) * 3)
    rgb = data_of(NAMES, 3)
    source = replace(model.read(saved(tmp_path, trained())), info=info)
    assert finetune.begin(net, net.spec, source, rgb).mean == info.mean


def test_what_cannot_be_begun_with(run, tmp_path):
    net, packed = models.build("quick", image_size=16), model.read(saved(tmp_path, trained()))
    message = r"no array of .*packed.h5 fits this network by name and shape: the network's conv1.weight has shape "
    with pytest.raises(StorageError, match=message + r"\(32, 3, 3, 3\), and the model has one of \S+ \(20, 5, 5, 1\)"):
        finetune.begin(net, net.spec, packed, data_of(NAMES[:9]))
    size = packed.arrays["dense4.weight"].shape[1]
    dense = Sequential(("flat", Flatten()), ("dense4", Linear(size, 10, rng=0)))
    spec = ModelSpec("dense", "", 10, 1, (1, size))
    with pytest.raises(StorageError, match="it has a classifier alone, and the classes are others"):
        finetune.begin(dense, spec, packed, data_of("abcdefghij"))
    last = Sequential(("flat", Flatten()), ("last", Linear(2, 3, rng=0)))
    with pytest.raises(StorageError, match=r"the network's last.weight has shape \(3, 2\), and the model has none"):
        finetune.begin(last, ModelSpec("last", "", 3, 1, (1, 2)), packed, DIGITS)
    source = model.read(str(run / "best.h5"))
    source.arrays["conv2.weight"][0] = np.nan
    with pytest.raises(StorageError, match=r"best.h5 is damaged: conv2.weight has values that are not finite"):
        finetune.begin(network(), source.spec, source, DIGITS)
    cut = tmp_path / "cut.h5"
    cut.write_bytes((run / "best.h5").read_bytes()[:-100])
    for file, message in {
        tmp_path / "none.h5": "there is no file .*none.h5",
        cut: "cut.h5 is damaged",
        "quick-tiny21": "there is no file quick-tiny21, and no model of this name comes with binnet",
    }.items():
        with pytest.raises(StorageError, match=message):
            model.read(str(file))
    assert model.read(str(run)).kind == CHECKPOINT  # best.h5 of a run folder
    assert model.read("quick-tiny20").spec.name == "quick"


def test_options_of_the_model(run):
    source = model.read(str(run / "best.h5"))
    found = source.options({}, own_images=True)
    assert (found["model"], found["binarize"], found["image_size"], found["use_k"]) == ("lenet5", "xnor", 8, False)
    assert "image_size" not in source.options({}, own_images=False)
    assert "use_k" not in source.options({"use_k": True}, own_images=True)
    assert source.options({"model": "nin"}, own_images=True) == {"image_size": 8}
    config = TrainConfig.from_dict({"recipe": "lenet5-bwn", "lr": 0.5}, {"binarize": "bnn", "use_k": True, "lr": 1.0})
    assert (config.binarize, config.use_k, config.lr) == ("bwn", True, 0.5)  # the recipe comes after the model


def test_a_recipe_for_any_network_keeps_that_of_the_model_and_one_of_a_network_does_not():
    """A network's own options go with it, and those that are given change single ones."""

    def config(**given):
        return model.configured({"data": "photos", "init": "reactnet18-cifar10", **given})

    for recipe in (None, "best", "finetune", "imagenet-64", "reactnet18-xnor"):
        found = config(recipe=recipe)
        assert (found.model, found.model_options, found.binarize) == ("reactnet18", "width=32", "xnor"), recipe
    found = config(recipe="quick2-bwn")
    assert (found.model, found.model_options, found.binarize, found.image_size) == ("quick2", None, "bwn", 32)
    assert config(model_options="activation=relu").model_options == "activation=relu,width=32"
    assert config(model_options="width=64").model_options is None  # the network's default
    assert config(model="quick2").model_options is None
    with pytest.raises(ConfigError, match=r"^--model-options: unknown option 'with'"):
        config(model_options="with=3")


@pytest.mark.parametrize("text", ["activation=relu,width=64", "width=64", "activation=relu"])
def test_a_configuration_that_was_written_builds_the_same_network_when_it_is_read(text):
    """Options at the network's default are written too, or the model would set them."""
    written = model.configured({"data": "photos", "init": "reactnet18-cifar10", "model_options": text})
    assert model.configured(tomllib.loads(written.to_toml())) == written


def test_values_of_the_wrong_type_are_found_before_the_model_is_read():
    for name in ("model", "model_options", "init", "recipe"):
        with pytest.raises(ConfigError, match=f"^--{name.replace('_', '-')} must be a word, got 3$"):
            model.configured({"data": "photos", "init": "there-is-none.h5", name: 3})


@pytest.mark.parametrize(
    ("mode", "options", "stages"),
    [("xnor", {}, 3), ("xnor", {"weights": "real"}, 3), ("bnn", {}, 3), ("bwn", {}, 2), ("float", {}, 1)],
)
def test_the_recipe_best_has_the_stages_of_the_mode_of_the_model(tmp_path, mode, options, stages):
    path = tmp_path / "packed.h5"
    binnet.pack(models.build("quick2", mode, image_size=16, **options)).save(path)
    found = model.configured({"data": "photos", "init": str(path), "recipe": "best"})
    assert (found.model, found.binarize, found.stages, found.weights) == ("quick2", mode, stages, "binary")


def test_an_error_says_which_options_come_from_the_model_or_the_recipe():
    under = model.read("reactnet18-cifar10").options({}, own_images=True)
    message = r"are 1, got ternary with 1 and 2; --binary-gradient ternary comes from the model of --init$"
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict({"data": "photos", "act_bits": 2}, under)
    with pytest.raises(ConfigError, match=r"got ternary with 1 and 2$"):
        TrainConfig.from_dict({"data": "photos", "act_bits": 2, "binary_gradient": "ternary"}, under)
    with pytest.raises(ConfigError, match=r"got squared_hinge; --loss squared_hinge comes from the recipe cifar_vgg-"):
        TrainConfig.from_dict({"recipe": "cifar_vgg-xnor", "mixup": 0.2}, under)


def test_a_network_of_ones_own_needs_its_file(run):
    source = model.read(str(run / "best.h5"))
    own = replace(source, spec=replace(source.spec, name="net.py:build", source="x = 1", binarize=""))
    for each in (own, replace(source, spec=None)):
        with pytest.raises(ConfigError, match=r"is not of a network that comes with binnet: name .* --model FILE"):
            each.options({}, own_images=True)
    assert set(own.options({"model": "a/net.py:build"}, own_images=True)) == {"image_size", *CHOICES}
    assert own.options({"model": "lenet5"}, own_images=True) == {"image_size": 8}
    assert replace(source, spec=None).options({"model": "lenet5"}, own_images=True) == {"image_size": 8}


def test_options_that_need_a_model_to_begin_with():
    for name, value in (("freeze_until", "conv1"), ("body_lr", 0.5)):
        flag = "--" + name.replace("_", "-")
        with pytest.raises(ConfigError, match=f"{flag} needs --init"):
            TrainConfig(**{name: value})


def test_frozen_layers_stay_as_they_are(run, tmp_path):
    config = TrainConfig(epochs=1, batch_size=100, lr=0.01, init=str(run / "best.h5"), freeze_until="conv2")
    fit(config, tmp_path / "run")
    before, after = (container.load(file)[1] for file in (run / "best.h5", tmp_path / "run" / "last.h5"))
    same = {name for name in after if name.startswith("network.") and (before[name] == after[name]).all()}
    frozen = {name for name in after if name.split(".")[1] in ("conv1", "conv1_norm", "conv2_norm", "conv2")}
    assert {name for name in frozen if name.startswith("network.")} == same
    assert len(same) == 10
    text = (tmp_path / "run" / "log.txt").read_text()
    assert f"from {run / 'best.h5'} (binnet checkpoint): 17 of 17 arrays; nothing is new" in text
    assert "frozen up to conv2: 105,110 of 130,690 parameters learn" in text


def test_a_learned_scale_that_a_checkpoint_has_not_is_that_of_its_weights(tmp_path):
    checkpoint = replace(model.read(saved(tmp_path, trained())), kind=CHECKPOINT, arrays=trained().state_dict())
    net = network(scale="learned")
    assert finetune.begin(net, net.spec, checkpoint, DIGITS).new == ()
    np.testing.assert_allclose(net.conv2.alpha.array, np.abs(net.conv2.weight.array).mean(axis=(1, 2, 3)), rtol=1e-6)


def test_frozen_layers_must_not_be_new():
    net, start = models.build("quick2", "float", image_size=16), replace(NOTHING_NEW, new=("conv1.weight",))
    with pytest.raises(ConfigError, match=r"^--freeze-until conv1 would freeze arrays that begin fresh: conv1.weight"):
        freezing.freeze(net, net.spec, "conv1", start)
    assert freezing.freeze(net, net.spec, "conv1", replace(NOTHING_NEW, new=("dense.weight",)))


@pytest.mark.parametrize(
    ("mode", "options", "message"),
    [
        ("bnn", {}, r"^--binarize must be as \S+packed.h5 has it, xnor, with --freeze-until, got bnn$"),
        ("xnor", {"use_k": True}, r"^--use-k must be as \S+packed.h5 has it, False, with --freeze-until, got True$"),
        (
            "xnor",
            {"weights": "real"},
            r"^--weights must be as \S+packed.h5 has it, binary, with --freeze-until, got real$",
        ),
        ("xnor", {"ste": "polynomial"}, None),  # it changes how the layers learn, which they do not
    ],
)
def test_frozen_layers_compute_the_same_as_those_of_the_model(tmp_path, mode, options, message):
    source, net = model.read(saved(tmp_path, trained())), network(mode, **options)
    with pytest.raises(ConfigError, match=message) if message else nullcontext():
        freezing.freeze(net, net.spec, "conv2", NOTHING_NEW, source)


def test_which_layers_are_frozen():
    net = models.build("quick", image_size=16)
    frozen = {module.path for module in freezing.freeze(net, net.spec, "block1.body.conv1", NOTHING_NEW)}
    assert {"conv1", "conv1_norm", "block1.body.conv1"} <= frozen
    assert not {"block1", "block1.body", "block1.body.conv2"} & frozen
    learning = {name for name, p in net.named_parameters() if p.requires_grad}
    assert {"block1.body.conv2.weight", "block1.shortcut.conv.weight", "dense.bias"} < learning
    assert not {"conv1.weight", "block1.body.conv1.weight"} & learning
    with pytest.raises(ConfigError, match=r"unknown layer 'block' .*; there are: conv1, conv1_norm, block1, bl"):
        freezing.freeze(net, net.spec, "block", NOTHING_NEW)
    with pytest.raises(ConfigError, match="--freeze-until dense leaves nothing to learn"):
        freezing.freeze(net, net.spec, "dense", NOTHING_NEW)


@pytest.mark.parametrize("frozen", ["conv1", "conv1_norm", "conv2_norm", "conv2"])
def test_gradients_of_the_layers_that_learn_do_not_change(frozen):
    """Both networks are in evaluation mode and have the same statistics."""
    x, labels = np.random.default_rng(0).standard_normal((8, 8, 8, 1), dtype=np.float32), np.arange(8)
    grads = []
    for until in (None, frozen):
        net = trained().eval()
        if until:
            freezing.freeze(net, net.spec, until, NOTHING_NEW)
        binnet.cross_entropy(net(binnet.Tensor(x)), labels).backward()
        grads.append({name: p.grad for name, p in net.named_parameters() if p.requires_grad})
    assert 0 < len(grads[1]) < len(grads[0])
    for name, grad in grads[1].items():
        np.testing.assert_array_equal(grad, grads[0][name], err_msg=name)


def test_the_learning_rate_of_what_was_taken():
    net = network()
    start = Start("x.h5", PACKED, ("conv1.weight", "conv2.weight"), ("dense4.weight",), None, None)
    config = TrainConfig(init="x.h5", body_lr=0.25, lr=0.5)
    optimizer = builders.build_optimizer(config, net, start)
    assert [(len(group.params), group.lr_factor) for group in optimizer.groups] == [(2, 0.25), (9, 1.0)]
    assert {id(p) for p in optimizer.groups[0].params} == {id(net.conv1.weight), id(net.conv2.weight)}
    net.conv1.weight.requires_grad = False
    optimizer = builders.build_optimizer(config, net, start)
    assert [(len(group.params), group.lr_factor) for group in optimizer.groups] == [(1, 0.25), (9, 1.0)]
    assert len(builders.build_optimizer(replace(config, body_lr=1.0), net, start).groups) == 1


def test_going_on_needs_no_file_and_gives_the_same_bits(run, tmp_path, interrupt_at):
    file = tmp_path / "start.h5"
    file.write_bytes((run / "packed.h5").read_bytes())
    config = TrainConfig(epochs=2, batch_size=200, lr=0.01, init=str(file), freeze_until="conv1_norm", body_lr=0.1)
    fit(config, tmp_path / "whole")
    interrupt_at(9)
    with pytest.raises(TrainingInterruptedError):
        fit(config, tmp_path / "run")
    file.unlink()
    fit(config, tmp_path / "run", resume=True)
    for name in ("last.h5", "packed.h5"):
        one, other = (container.load(tmp_path / folder / name)[1] for folder in ("whole", "run"))
        assert set(one) == set(other)
        for key, array in one.items():
            np.testing.assert_array_equal(other[key], array, err_msg=key)
    assert checkpoint.read(tmp_path / "run" / "last.h5").start.file == str(file)


@pytest.fixture
def photos(tmp_path):
    """A folder of images of three classes that the digits do not have."""
    data = binnet_datasets.load("digits")
    for label, name in enumerate(("nought", "one", "two")):
        images = data.train.images[data.train.labels == label][:24]
        for number, image in enumerate(images):
            path = tmp_path / "photos" / ("train" if number < 16 else "val") / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:, :, 0]).save(path)
    return tmp_path / "photos"


def test_from_the_command_line(run, photos, tmp_path, say, monkeypatch):
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "data"))
    flags = ["--init", run, "--data", photos, "--recipe", "finetune", "--epochs", 2, "--crop-pad", 0, "--no-flip"]
    code, _, err = say("train", *flags, "--out", tmp_path / "run")
    assert (code, err) == (0, "")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert f"from {run} (binnet checkpoint): 15 of 17 arrays; new: dense4.weight, dense4.bias\n" in log
    assert "lenet5 (xnor, " in log
    assert "8x8 pixels: 48 training images, 24 for validation" in log
    model, first = binnet.load(tmp_path / "run" / "packed.h5"), binnet.load(run / "packed.h5")
    assert (model.info.mean, model.info.std) == (first.info.mean, first.info.std)
    assert model.info.class_names == ("nought", "one", "two")
    config = checkpoint.read_config(tmp_path / "run" / "last.h5")
    assert (config.model, config.image_size, config.init, config.recipe) == ("lenet5", 8, str(run), "finetune")
    code, _, err = say("train", "--init", run, "--data", photos, "--freeze-until", "conv9", "--out", tmp_path / "no")
    assert code == 1
    assert "unknown layer 'conv9' in --freeze-until; there are: conv1, conv1_norm, conv2_norm, conv2" in err


@pytest.mark.parametrize("how", ["init", "teacher"])
def test_images_of_the_model_before_count_as_trained_on(photos, tmp_path, how):
    """Validation on them is reported, an evaluation leaves them out, and a resumed training still knows them."""
    common = {"model": "lenet5", "epochs": 1, "image_size": 8, "seed": 2}
    fit(TrainConfig(data=str(photos), **common), tmp_path / "first")
    swapped = tmp_path / "swapped"
    for part, other in (("train", "val"), ("val", "train")):
        shutil.copytree(photos / part, swapped / other)
    config, out = TrainConfig(data=str(swapped), **common, **{how: str(tmp_path / "first")}), tmp_path / "second"
    fit(config, out)
    told = "was trained on 48 of the 48 validation images: the accuracy will be better"
    assert told in (out / "log.txt").read_text()
    assert told not in (tmp_path / "first" / "log.txt").read_text()
    dataset = binnet_datasets.load(None, swapped)
    everything = np.union1d(dataset.train.images.keys, dataset.test.images.keys)
    np.testing.assert_array_equal(binnet.load(out / "packed.h5").info.trained_on, everything)
    fit(replace(config, epochs=2), out, resume=True)
    _, arrays, description = container.load(out / "best.h5")
    record = ImageRecord.read(dataset.class_names, arrays, description)
    np.testing.assert_array_equal(record.train, np.sort(dataset.train.images.keys))
    np.testing.assert_array_equal(record.seen, everything)
    next((swapped / "val" / "one").glob("*.png")).unlink()
    with pytest.raises(StorageError, match="was trained on other images: 1 removed; put them back"):
        fit(replace(config, epochs=3), out, resume=True)
