"""The page "Your own network", as a reader follows it: trained, packed, run without training code."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import binnet
import binnet_datasets
from binnet import Tensor, no_grad
from binnet.cli import main

PAGE = Path(__file__).parents[3] / "docs" / "own-network.md"
TRAINING = ("autograd", "recording", "ops", "nn", "optim", "models", "train", "packing")
FRESH = """
import sys, numpy as np, binnet
model = binnet.load({path!r})
np.save({out!r}, model(np.load({images!r})))
loaded = [name for name in sys.modules if name.startswith("binnet.") and name.split(".")[1] in {training!r}]
print(loaded)
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The folder with what the first script leaves, its names, and the last script."""
    text = PAGE.read_text(encoding="utf-8")
    scripts = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    folder = tmp_path_factory.mktemp("page")
    (folder / "net.py").write_text(scripts[0], encoding="utf-8")
    done = subprocess.run([sys.executable, "net.py"], cwd=folder, capture_output=True, text=True, check=True)
    names = {"__name__": "net"}
    exec(compile(scripts[0], "net.py", "exec"), names)
    exec(compile(scripts[1], "own-network.md", "exec"), names)
    return folder, done.stdout, names, scripts[2]


@pytest.mark.slow
def test_the_layer_is_as_the_page_says(page):
    layer = page[2]["layer"]
    assert layer.alpha.shape == (64,)
    assert layer(np.ones((1, 4, 4, 32))).shape == (1, 4, 4, 64)


def test_the_script_learns(page):
    _, said, _, _ = page
    word, accuracy = said.split()
    assert word == "accuracy"
    assert float(accuracy) > 0.9


def test_the_same_bits_in_a_process_without_training_code(page, tmp_path):
    folder, _, names, _ = page
    digits = binnet_datasets.load("digits")
    images = binnet_datasets.normalise(digits.test.images, *digits.mean_std())
    net = names["Net"](seed=3)
    binnet.cross_entropy(net(Tensor(images[:64])), digits.test.labels[:64]).backward()  # moves the running statistics
    with no_grad():
        expected = net.eval()(Tensor(images)).numpy()
    files = {name: str(tmp_path / f"{name}.npy") for name in ("images", "out")}
    np.save(files["images"], images)
    binnet.pack(net, input_shape=(8, 8, 1)).save(tmp_path / "net.h5")
    code = FRESH.format(path=str(tmp_path / "net.h5"), training=TRAINING, **files)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout == "[]\n"
    np.testing.assert_array_equal(np.load(files["out"]), expected)


def test_commands_take_its_file(page, capsys):
    folder = page[0]
    path, digit = str(folder / "net.h5"), folder / "digit.png"
    Image.fromarray(binnet_datasets.load("digits").test.images[0, :, :, 0]).save(digit)
    for line in (
        ["summary", path],
        ["inspect", path],
        ["inspect", path, "--layer", "block1.conv"],
        ["trace", path, str(digit), "--layer", "block2.conv"],
        ["bench", "network", path, "--seconds", "0.01"],
    ):
        assert main(line) == 0, line
    said = capsys.readouterr().out
    assert "depthwise" in said
    assert "7 of 7 comparisons" in said or "6 of 6 comparisons" in said
    assert main(["predict", path, str(digit), "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)[0]["classes"][0]["class"]
    assert predicted == binnet.load(path).predict(str(digit))[0][0]
    assert main(["evaluate", path, "--dataset", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] > 0.9


def test_the_table_names_every_kind():
    text = PAGE.read_text(encoding="utf-8")
    kinds = {name for name, kind in binnet.graph.KINDS.items() if kind.__module__.startswith("binnet.")}
    assert set(re.findall(r"`(\w+)`", text)) >= kinds - {"Input"}


def test_a_function_of_one_s_own(page):
    names = {}
    exec(compile(page[3], "own-network.md", "exec"), names)
    from binnet import nn
    from binnet.graph.tracer import CONVERTERS

    class Own(nn.Module):
        def forward(self, x):
            return names["HardTanh"].apply(x)

    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(1, 2, 3, 2)
    try:
        np.testing.assert_array_equal(binnet.pack(Own(), input_shape=(2, 3, 2))(x), x.clip(-1, 1))
    finally:
        del CONVERTERS[names["HardTanh"]], binnet.graph.KINDS["HardTanhNode"]


def test_a_binariser_of_one_s_own():
    names = {}
    script = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[3]
    exec(compile(script, "own-network.md", "exec"), names)
    layer, rng = names["layer"], np.random.default_rng(0)
    x, probe = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 5, 5, 8), (2, 5, 5, 16)))
    weight = layer.weight.data
    assert (layer.binary_weight()[1] == np.median(abs(weight).reshape(16, -1), axis=1)).all()
    np.testing.assert_array_equal(binnet.pack(layer, input_shape=(5, 5, 8))(x), layer.eval()(binnet.Tensor(x)).data)
    y = layer.train()(binnet.Tensor(x))
    y.backward(probe)
    # With α constant, dC/dW is α dC/dW_hat where |W| <= 1, and nothing else.
    plain = nn_with(names["Median"](weight_gradient="plain"), weight)
    plain(binnet.Tensor(x)).backward(probe)
    alpha = layer.binary_weight()[1][:, None, None, None]
    expected = np.where(abs(weight) <= 1, plain.weight.grad * alpha, 0)
    np.testing.assert_allclose(layer.weight.grad, expected, rtol=1e-5, atol=1e-6)
    layer.weight.data[0, 0, 0, 0] = np.inf  # the median does not show it
    with pytest.raises(ValueError, match="no longer finite"):
        layer(binnet.Tensor(x))


def nn_with(binariser, weight):
    from binnet import nn

    layer = nn.BinConv2d(8, 16, 3, padding=1, weight_binariser=binariser, rng=0)
    layer.weight.data = weight.copy()
    return layer


def test_element_wise_nodes_of_one_s_own():
    """They are neither replaced by thresholds nor put into epilogues, unless they say that they are monotonic."""
    from binnet import graph, nn
    from binnet.graph.tracer import CONVERTERS

    class HardSwish(binnet.Function):
        @staticmethod
        def forward(ctx, x):
            return (x * np.clip(x / 6 + 0.5, 0, 1)).astype(np.float32)

    @graph.kind
    @dataclass(frozen=True, eq=False)
    class HardSwishNode(graph.ElementWise):
        def compute(self, *inputs):
            return HardSwish.forward(None, *inputs)

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 8, 3, rng=0), nn.BinConv2d(8, 4, 3, rng=1)
            self.between = nn.BinConv2d(8, 8, 3, padding=1, rng=2)
            self.norm = nn.BatchNorm(8)

        def forward(self, x):
            x = HardSwish.apply(self.norm(self.first(x)))
            x = HardSwish.apply(self.between(x))
            return HardSwish.apply(self.last(x - 0.25))

    graph.register(HardSwish, HardSwishNode)
    x = np.random.default_rng(0).standard_normal((3, 9, 9, 3)).astype(np.float32)
    try:
        module = Own().eval()
        np.testing.assert_array_equal(binnet.pack(module, input_shape=(9, 9, 3))(x), module(binnet.Tensor(x)).data)
    finally:
        del CONVERTERS[HardSwish], graph.KINDS["HardSwishNode"]


def test_a_result_that_is_no_row_of_classes(tmp_path, capsys):
    from binnet import nn

    binnet.pack(nn.Sequential(nn.ReLU()), input_shape=(8, 8, 1), mean=0.5, std=1).save(tmp_path / "map.h5")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    for line in (
        ["predict", str(tmp_path / "map.h5"), str(tmp_path / "a.png")],
        ["evaluate", str(tmp_path / "map.h5")],
    ):
        assert main(line) == 1
        assert "map.h5 gives (N, 8, 8, 1) for images, expected scores (N, classes)" in capsys.readouterr().err
