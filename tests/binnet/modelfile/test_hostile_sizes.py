"""Descriptions of networks that are larger than their file: refused before memory is taken."""

import tracemalloc

import numpy as np
import pytest

import binnet
from binnet import models, optim
from binnet.evaluation.evaluate import open_model
from binnet.modelfile import container
from binnet.modelfile.container import StorageError
from binnet.modelfile.info import DataInfo
from binnet.nn import init
from binnet.train.config import TrainConfig
from binnet.train.diagnostics import signs
from binnet.train.output.checkpoint import save as save_checkpoint
from binnet.train.output.state import Progress, State

NO_WEIGHTS = "is damaged: it does not hold as many weights as the network has that it describes"


@pytest.fixture
def path(tmp_path):
    net = models.build("lenet5", num_classes=4, in_channels=1, image_size=8)
    state = State(net, optim.Adam(net.parameters(), lr=0.1), Progress(), signs(net), net.spec)
    save_checkpoint(tmp_path / "m.h5", state, TrainConfig(), DataInfo())
    return tmp_path / "m.h5"


def refused_in_little_memory(path, match):
    size = path.stat().st_size
    tracemalloc.start()
    try:
        with pytest.raises(StorageError, match=match):
            open_model(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * size + (1 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"num_classes": 10**5}, NO_WEIGHTS),
        ({"num_classes": 10**9}, NO_WEIGHTS),
        ({"num_classes": 10**30}, NO_WEIGHTS),
        ({"in_channels": 10**6}, NO_WEIGHTS),
        ({"image_size": [4096, 4096]}, NO_WEIGHTS),
        ({"image_size": [4097, 8]}, "image_size must be two whole numbers from 1 to 4096, got"),
        ({"image_size": ["8", "8"]}, "image_size must be two whole numbers from 1 to 4096, got"),
        ({"options": []}, "options must be an object"),
        ({"name": "cifar_vgg", "image_size": [32, 32], "options": {}}, NO_WEIGHTS),
        ({"name": "alexnet", "image_size": [224, 224], "options": {"wide": 10**9}}, NO_WEIGHTS),
        ({"name": "nin", "image_size": [32, 32], "options": {"scale": "learned"}}, NO_WEIGHTS),
    ],
)
def test_networks_larger_than_their_file(path, change, match):
    kind, arrays, description = container.load(path)
    container.save(path, kind, arrays, {**description, "model": {**description["model"], **change}})
    refused_in_little_memory(path, match)


@pytest.mark.parametrize(
    ("node", "change", "match"),
    [
        ("input", {"shape": [60_000, 60_000, 1]}, "larger than .* values an image"),
        ("input", {"shape": [2000, 2000, 1]}, "dense3 expects"),
        ("conv1", {"shape": [20, 5, 5, 10**9]}, "conv1.weight must be float32"),
        ("conv1", {"padding": [4000, 4000, 4000, 4000]}, "is damaged"),
        ("conv2", {"shape": [10**9, 5, 5, 20]}, "conv2.signs must be uint64"),
        ("conv2", {"shape": [10**30, 5, 5, 20]}, "conv2.shape must be 4 whole numbers"),
    ],
)
def test_graphs_larger_than_their_file(tmp_path, node, change, match):
    path = tmp_path / "m.h5"
    binnet.pack(models.build("lenet5", num_classes=4, in_channels=1, image_size=8)).save(path)
    kind, arrays, description = container.load(path)
    next(each for each in description["graph"] if each["name"] == node)["settings"].update(change)
    container.save(path, kind, arrays, description)
    refused_in_little_memory(path, match)


@pytest.mark.parametrize(("name", "binarize"), [("alexnet", "xnor"), ("resnet18", "bwn"), ("googlenet", "bnn")])
@pytest.mark.parametrize("scale", ["mean", "learned"])
def test_an_outline_has_the_shapes_and_no_memory(name, binarize, scale):
    tracemalloc.start()
    try:
        with init.outline(limit=1 << 30):
            network = models.build(name, binarize, scale=scale)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert sum(parameter.array.nbytes for parameter in network.parameters()) > 2 << 20


def test_an_outline_is_like_the_network():
    def build():
        network = models.build("lenet5", "xnor", in_channels=1, scale="learned", center=True)
        return {name: parameter.array for name, parameter in network.named_parameters()}

    with init.outline(limit=430_500):
        outline = build()
    real = build()
    assert {n: (a.shape, a.dtype) for n, a in outline.items()} == {n: (a.shape, a.dtype) for n, a in real.items()}
    with init.outline(limit=430_499), pytest.raises(ValueError, match="does not hold as many weights"):
        build()
    assert np.ptp(build()["conv1.weight"]) > 0  # and only inside


def test_an_outline_draws_nothing(monkeypatch):
    monkeypatch.delattr(np.random, "default_rng")
    with init.outline(limit=1 << 30):
        models.build("resnet18", "xnor", scale="learned", center=True)
    with pytest.raises(AttributeError):
        models.build("resnet18", "xnor")
