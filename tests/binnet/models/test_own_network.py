"""Custom networks from the command line: what a file must build, what is refused, and what is never run."""

import json
import re
import sys

import numpy as np
import pytest

from binnet import Tensor, nn
from binnet.evaluation.evaluate import open_model, restore
from binnet.modelfile import container
from binnet.models import ModelSpec, build_spec
from binnet.models.own_network import OwnNetworkError, is_own, load, rebuild
from binnet.train import TrainingError, TrainingInterruptedError, fit, loop, trainer
from binnet.train.config import TrainConfig
from binnet.train.output import checkpoint

NET = '''
"""A binary convolution with a shortcut around it."""
from binnet import nn, ops

class Net(nn.Module):
    def __init__(self, num_classes, in_channels, seed):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 8, 3, padding=1, rng=seed)
        self.norm = nn.BatchNorm(8)
        self.binary = nn.BinConv2d(8, 8, 3, padding=1, rng=seed + 1)
        self.average = nn.GlobalAvgPool()
        self.dense = nn.Linear(8, num_classes, rng=seed + 2)

    def forward(self, x):
        x = self.norm(self.conv(x))
        return self.dense(self.average(ops.add(self.binary(x), x)))

def build(num_classes, in_channels, seed):
    return Net(num_classes, in_channels, seed)
'''
ASKED = {"num_classes": 3, "in_channels": 2, "image_size": (6, 5), "binarize": "xnor", "use_k": False, "clip": True}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


@pytest.fixture
def file(tmp_path):
    """The network above in a file."""
    path = tmp_path / "own" / "net.py"
    path.parent.mkdir()
    path.write_text(NET)
    return path


@pytest.fixture
def unpacked(monkeypatch):
    """Training without its last part, the packing."""
    monkeypatch.setattr(trainer, "_pack_best", lambda training: trainer.Result("run", 0.5, 0.75, 360, 8, 4, 1.0))


def built(path, text, function="build", **asked):
    """What a text builds for images (6, 5, 2) of 3 classes, and its description."""
    path.write_text(text)
    own = load(f"{path}:{function}")
    spec = own.spec(ASKED | asked, asked)
    return own.build(spec, seed=4), spec


def config_of(path, **options):
    return TrainConfig(model=f"{path}:build", **{"epochs": 1, "batch_size": 200, **options})


@pytest.mark.parametrize("name", ["net.py:build", "a b/net.py:Net_2", "C:\\x\\net.py:größe"])
def test_names_of_own_networks(name):
    assert is_own(name)
    assert TrainConfig(model=name).model == name


@pytest.mark.parametrize("name", ["net.py", "net:build", "net.py:", ":build", "net.py:a.b", "net.py:2", "net.py:a b"])
def test_what_is_no_name(name):
    assert not is_own(name)
    with pytest.raises(ValueError, match=r"unknown --model .*; or FILE.py:FUNCTION .*, such as net.py:build"):
        TrainConfig(model=name)


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("**given", {**ASKED, "seed": 4}),
        ("num_classes, **given", {**ASKED, "seed": 4}),
        ("image_size, seed=0, depth=3", {"image_size": (6, 5), "seed": 4, "depth": 3}),
        ("*, use_k, binarize", {"use_k": False, "binarize": "xnor"}),
        ("", {}),
    ],
)
def test_a_function_gets_what_it_takes(tmp_path, signature, expected):
    text = f"import binnet.nn as nn\nseen = []\ndef build({signature}):\n    seen.append(locals())\n"
    text += "    return nn.Sequential(nn.GlobalAvgPool(), nn.Linear(2, 3, rng=0))\n"
    _, spec = built(tmp_path / "net.py", text)
    (seen,) = sys.modules["binnet_own_net"].seen
    assert seen.pop("given", {}) | seen == expected
    assert spec.options == {name: ASKED[name] for name in ("use_k", "clip") if name in expected}
    assert spec.binarize == expected.get("binarize", "")
    assert (spec.name, spec.source) == ("net.py:build", text)
    assert ModelSpec.from_dict(spec.to_dict()) == spec


def test_a_class_is_a_function_too(tmp_path):
    net, _ = built(tmp_path / "net.py", NET, "Net")
    assert type(net).__name__ == "Net"
    other = load(f"{tmp_path}/net.py:build").build(ModelSpec("net.py:build", "", 3, 2, (6, 5)), seed=4)
    np.testing.assert_array_equal(net.conv.weight.data, other.conv.weight.data)


def test_modules_beside_the_file_are_found(tmp_path, monkeypatch):
    before = [*sys.path]
    monkeypatch.delitem(sys.modules, "beside_own", raising=False)
    (tmp_path / "beside_own.py").write_text(NET)
    built(tmp_path / "net.py", "from beside_own import build")
    assert sys.path == before
    del sys.modules["beside_own"]


LINEAR = "import binnet.nn as nn\ndef build(num_classes):\n    "
WRONG = {
    "raises": ("x = 1\nraise RuntimeError('no\\n luck')", r"net.py, line 2: it raised RuntimeError: no luck$"),
    "syntax": ("def build(:\n", r"net.py, line 1: it raised SyntaxError: "),
    "import": ("\nimport no_such_module", r"net.py, line 2: it raised ModuleNotFoundError: No module named 'no_such"),
    "exit": ("import sys\nsys.exit(0)", r"net.py, line 2: it raised SystemExit: 0$"),
    "null": ("x = '\0'", r"net.py.*: it raised (SyntaxError|ValueError): source code .* null bytes"),
    "nothing": ("", r"there is no function build in .*net.py$"),
    "other": ("def built(): ...\nclass Net: ...", r"there is no function build in .*net.py; it has built, Net$"),
    "value": ("build = 3", r"there is no function build in .*net.py$"),
    "needs": (
        "def build(depth, num_classes): ...",
        r"net.py:build needs depth, but is called by keyword with any",
    ),
    "positional": ("def build(seed, /): ...", r"net.py:build needs seed, but is called by keyword"),
    "inside": (
        "def build():\n    return 1 / 0",
        r"net.py, line 2: build\(\) raised ZeroDivisionError: division",
    ),
    "none": ("def build(): ...", r"net.py:build must return a binnet.nn.Module, got None$"),
    "wrong": ("def build(): return [1]", r"net.py:build must return a binnet.nn.Module, got a list$"),
    "class": ("from binnet import nn\ndef build(): return nn.Sequential", r"must return .*Module, got a type$"),
    "abstract": (LINEAR + "return nn.Module()", r"net.py.*: its network, on images \(2, 6, 5, 2\), raised NotImpl"),
    "input": (
        LINEAR + "return nn.Linear(7, 3, rng=0)",
        r"raised LayerError: Linear: expected input \(N, 7\), got",
    ),
    "shape": (
        LINEAR + "return nn.Conv2d(2, 3, 1, rng=0)",
        r"the network of net.py:build must map \(2, 6, 5, 2\) images to \(2, 3\) scores, .*, got \(2, 6, 5, 3\)$",
    ),
    "classes": (
        LINEAR + "return nn.Sequential(nn.Flatten(), nn.Linear(60, 4, rng=0))",
        r"\(2, 3\) scores.*\(2, 4\)$",
    ),
    "weightless": (LINEAR + "return nn.GlobalAvgPool()", r"the network of net.py:build has no parameters to learn$"),
    "array": (
        "from binnet import nn\nclass Net(nn.Linear):\n    def forward(self, x): return x.numpy()\n"
        "def build(): return Net(1, 1, rng=0)",
        r"the network of net.py:build must return a Tensor \(2, 3\), got a ndarray$",
    ),
    "hidden": (
        "from binnet import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layers = [nn.ReLU()]\ndef build(): return Net()",
        r"net.py, line 5: build\(\) raised TypeError: .*use nn.ModuleList",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_builds_no_network(tmp_path, case):
    text, message = WRONG[case]
    with pytest.raises(OwnNetworkError, match=message) as caught:
        built(tmp_path / "net.py", text)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'")
    (tmp_path / "large.py").write_bytes(b"#" * (1 << 21))
    for name, message in {
        "none": "there is no file .*none.py",
        "folder": "cannot read .*folder.py: Is a directory",
        "bytes": "bytes.py is not text in UTF-8",
        "large": "large.py has 2,097,152 bytes, expected a Python file of at most 1,048,576",
    }.items():
        with pytest.raises(OwnNetworkError, match=message):
            load(f"{tmp_path / name}.py:build")


@pytest.mark.parametrize(("option", "value"), [("use_k", True), ("binarize", "bwn")])
def test_an_option_without_effect_is_refused(tmp_path, option, value):
    flag = "--" + option.replace("_", "-")
    with pytest.raises(
        OwnNetworkError, match=f"{flag} would have no effect, because net.py:build does not take {option}"
    ):
        built(tmp_path / "net.py", NET, **{option: value})


def test_a_changed_source_in_a_file_is_noticed():
    values = ModelSpec("net.py:build", "", 3, 2, (6, 5), {}, "x = 1").to_dict()
    assert len(values["sha256"]) == 64
    for change in ({"source": "x = 2"}, {"source": 3}, {"sha256": ""}):
        with pytest.raises(ValueError, match=r"does not have the SHA-256 beside it|source must be text"):
            ModelSpec.from_dict({**values, **change})
    with pytest.raises(ValueError, match="a model spec has the fields"):
        ModelSpec.from_dict({name: value for name, value in values.items() if name != "sha256"})
    with pytest.raises(ValueError, match=r"net.py:build is a custom network, which only its file can build"):
        build_spec(ModelSpec.from_dict(values))


def test_what_a_training_keeps(file, tmp_path, unpacked):
    run = tmp_path / "run"
    fit(config_of(file), run)
    assert (run / "net.py").read_text() == NET
    assert f'model = "{file}:build"' in (run / "config.toml").read_text()
    _, arrays, description = container.load(run / "best.h5")
    assert description["model"]["source"] == NET
    assert re.fullmatch("[0-9a-f]{64}", description["model"]["sha256"])
    assert {"network.binary.weight", "network.norm.running_mean", "signs.binary"} < set(arrays)
    assert "net.py:build (754 parameters) on digits, 8x8 pixels" in (run / "log.txt").read_text()
    spec, network, _ = restore("best.h5", arrays, description, f"{file}:build")
    assert spec == checkpoint.read(run / "last.h5").spec
    np.testing.assert_array_equal(network.binary.weight.data, arrays["network.binary.weight"])
    assert (network.binary.weight.data != load(f"{file}:build").build(spec).binary.weight.data).any()


def test_opening_a_checkpoint_runs_nothing(file, tmp_path, unpacked):
    run, trace = tmp_path / "run", tmp_path / "trace"
    text = NET + f"\nwith open({str(trace)!r}, 'a') as f: f.write('x')\n"
    file.write_text(text)
    fit(config_of(file), run)
    assert trace.read_text() == "x"
    with pytest.raises(OwnNetworkError, match=r"best.h5 holds a custom network, .* --model net.py:build$"):
        open_model(run / "best.h5")
    file.write_text(text.replace("rng=seed + 2", "rng=seed + 3"))
    with pytest.raises(OwnNetworkError, match=r"net.py has changed since the training began \(SHA-256 .*… now\)"):
        open_model(run / "best.h5", f"{file}:build")
    assert trace.read_text() == "x"
    spec = checkpoint.read(run / "best.h5").spec
    with pytest.raises(OwnNetworkError, match=r"the training began with the function build of .*, got Net"):
        rebuild("best.h5", spec, f"{run / 'net.py'}:Net")
    with pytest.raises(OwnNetworkError, match=r"x.h5 holds a lenet5, which comes with binnet: leave out --model"):
        rebuild("x.h5", ModelSpec("lenet5", "xnor", 3, 1, (8, 8)), "net.py:build")
    assert trace.read_text() == "x"


def test_resuming_gives_the_same_bits(file, tmp_path, unpacked, interrupt_at):
    config = config_of(file, epochs=3, lr=0.01)
    fit(config, tmp_path / "whole")
    interrupt_at(10)
    with pytest.raises(TrainingInterruptedError):
        fit(config, tmp_path / "run")
    fit(config, tmp_path / "run", resume=True)
    one, other = (container.load(tmp_path / name / "last.h5")[1] for name in ("whole", "run"))
    assert set(one) == set(other)
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)


def test_resuming_with_a_changed_file(file, tmp_path, unpacked, say):
    run = tmp_path / "run"
    fit(config_of(file), run)
    file.write_text(NET + "raise RuntimeError('it was run')")
    code, _, err = say("train", "--resume", run, "--epochs", 2, "--quiet")
    assert code == 1
    assert f"{file} has changed since the training began (SHA-256 " in err
    assert f"; undo the change (the original is kept in {run / 'net.py'}), or start a new training" in err
    code, _, err = say("train", "--resume", run, "--epochs", 2, "--quiet", "--model", f"{run / 'net.py'}:build")
    assert (code, err) == (0, "")
    assert checkpoint.read_config(run / "last.h5").model == f"{run / 'net.py'}:build"
    code, _, err = say("train", "--resume", run, "--epochs", 3, "--model", "lenet5")
    assert code == 1
    assert f"this training has the model {run / 'net.py'}:build" in err


def test_what_a_file_prints_does_not_spoil_json(file, tmp_path, unpacked, say):
    file.write_text(
        "print('hello')\n" + NET.replace("        x = self.norm", "        print('forward')\n        x = self.norm")
    )
    out = tmp_path / "run"
    code, text, err = say("train", "--model", f"{file}:build", "--epochs", 1, "--out", out, "--json", "--quiet")
    assert code == 0
    assert json.loads(text)["top1"] == 0.5
    assert {"hello", "forward"} == set(err.split())


def test_a_file_that_raises_at_the_command_line(file, tmp_path, say, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file.write_text("raise ValueError('bad day')")
    code, out, err = say("train", "--model", f"{file}:build", "--epochs", 1)
    assert (code, out) == (1, "")
    assert err == f"binnet: error: {file}, line 1: it raised ValueError: bad day\n"
    assert not [*(tmp_path / "runs").iterdir()]  # no folder is left behind


def test_images_that_are_not_finite_are_refused(file, tmp_path, unpacked, monkeypatch):
    """A custom network need not look for them: signs would hide them."""
    original = loop.training_step

    def step(network, optimizer, images, *rest):
        images[0, 0, 0, 0] = np.nan
        return original(network, optimizer, images, *rest)

    monkeypatch.setattr(loop, "training_step", step)
    with pytest.raises(TrainingError, match="the images have values that are not finite at epoch 1, batch 1"):
        fit(config_of(file), tmp_path / "run")


def test_a_time_budget(file, tmp_path, unpacked):
    fit(config_of(file, time_budget="1s"), tmp_path / "run")
    assert "time budget 1s: " in (tmp_path / "run" / "log.txt").read_text()


def test_from_the_command_line_to_a_packed_model(file, tmp_path, say):
    run = tmp_path / "run"
    code, out, err = say("train", "--model", f"{file}:build", "--epochs", 1, "--out", run, "--quiet", "--json")
    assert (code, err) == (0, "")
    model = open_model(run / "best.h5", f"{file}:build")
    x = np.random.default_rng(0).standard_normal((5, 8, 8, 1), dtype=np.float32)
    np.testing.assert_array_equal(open_model(run / "packed.h5").logits(x), model.network(Tensor(x)).numpy())
    assert json.loads(out)["packed_bytes"] == (run / "packed.h5").stat().st_size
    assert isinstance(model.network, nn.Module)
    flags = (
        "--init",
        run / "packed.h5",
        "--freeze-until",
        "norm",
        "--epochs",
        1,
        "--quiet",
        "--out",
        tmp_path / "again",
    )
    code, _, err = say("train", "--model", f"{file}:build", *flags)
    assert (code, err) == (0, "")
    log = (tmp_path / "again" / "log.txt").read_text()
    assert f"from {run / 'packed.h5'} (binnet packed model): 8 of 8 arrays; nothing is new" in log
    assert "frozen up to norm: 666 of 754 parameters learn" in log
    code, _, err = say("train", *flags[:2], "--out", tmp_path / "no")
    assert code == 1
    assert "packed.h5 is not of a network that comes with binnet: name the Python file that builds it with" in err
