"""``binnet inspect``: the contents of a file."""

import hashlib
import json
import re

import numpy as np
import pytest

import binnet
from binnet import models, optim
from binnet.modelfile import container
from binnet.modelfile.info import DataInfo
from binnet.train.config import TrainConfig
from binnet.train.diagnostics import signs
from binnet.train.output.checkpoint import save as save_checkpoint
from binnet.train.output.state import Progress, State

INFO = DataInfo("photos", ("cat", "owl\x1b[2J"), (0.5,), (0.25,), {"epoch": 3, "top1": 0.75, "config": {"seed": 4}})


@pytest.fixture(scope="module")
def net():
    return models.build("lenet5", num_classes=2, in_channels=1, image_size=8).eval()


@pytest.fixture(scope="module")
def folder(net, tmp_path_factory):
    """A packed model and the checkpoint that it was packed from."""
    folder = tmp_path_factory.mktemp("files")
    binnet.pack(net, INFO).save(folder / "packed.h5")
    state = State(net, optim.Adam(net.parameters(), lr=0.1), Progress(epoch=3), signs(net), net.spec)
    save_checkpoint(folder / "best.h5", state, TrainConfig(seed=4), INFO)
    return folder


@pytest.fixture
def say(say):
    """Run ``binnet inspect``."""
    return lambda *argv: say("inspect", *argv)


def test_a_packed_model(folder, net, say):
    code, out, err = say(folder / "packed.h5")
    assert (code, err) == (0, "")
    size = (folder / "packed.h5").stat().st_size
    assert out.startswith(f"{folder / 'packed.h5'}: binnet packed model, version {container.VERSION}, {size:,} bytes\n")
    for line in (
        r"network: .*name lenet5, num_classes 2",
        r"options: .*use_k False.*",
        r"data set: photos",
        r"normalisation: mean 0.5, std 0.25",
        r"classes: cat, owl\\x1b\[2J",
        r"from: epoch 3, top1 0.75",
        r"config: seed 4",
    ):
        assert re.search(f"^{line}$", out, re.MULTILINE), line
    assert re.search(r"^conv2.signs +391 +uint64 +3,128 +[0-9a-f]{16} *$", out, re.MULTILINE)
    total = sum(array.nbytes for array in binnet.load(folder / "packed.h5").arrays().values())
    shown = re.search(r"^total +([\d,]+) *$", out, re.MULTILINE)[1]
    assert int(shown.replace(",", "")) == total
    assert "\x1b" not in out


def test_a_checkpoint(folder, say):
    out = say(folder / "best.h5")[1]
    assert f"best.h5: binnet checkpoint, version {container.VERSION}" in out
    assert re.search(r"^progress: .*epoch 3", out, re.MULTILINE)
    assert re.search(r"^network.conv2.weight +50x5x5x20 +float32 +100,000 +[0-9a-f]{16} *$", out, re.MULTILINE)
    assert re.search(r"^optimizer.updates +\d+ +int64 +\d+ ", out, re.MULTILINE)


def test_json(folder, say):
    found = json.loads(say(folder / "packed.h5", "--json")[1])
    kind, arrays, description = container.load(folder / "packed.h5")
    assert (found["kind"], found["version"]) == (kind, container.VERSION)
    assert {name: found[name] for name in description} == description
    rows = {row["name"]: row for row in found["arrays"]}
    assert list(rows) == list(arrays)
    assert rows["conv2.alpha"] == {
        "name": "conv2.alpha",
        "dtype": "float32",
        "shape": [50],
        "bytes": 200,
        "sha256": hashlib.sha256(arrays["conv2.alpha"]).hexdigest(),
    }


@pytest.mark.parametrize("name", ["packed.h5", "best.h5"])
def test_the_signs_of_a_convolution(name, folder, net, say):
    weight = net.conv2.weight.data
    found = json.loads(say(folder / name, "--layer", "conv2", "--json")[1])
    assert (found["name"], found["kind"], found["shape"]) == ("conv2", "XnorConv", [50, 5, 5, 20])
    assert len(found["filters"]) == 4
    assert {len(maps) for maps in found["filters"]} == {8}
    for o, maps in enumerate(found["filters"]):
        for c, rows in enumerate(maps):
            expected = ["".join("-" if value < 0 else "+" for value in row) for row in weight[o, :, :, c]]
            assert rows == expected
    np.testing.assert_allclose(found["alpha"], np.abs(weight).mean(axis=(1, 2, 3)), rtol=1e-5)
    out = say(folder / name, "--layer", "conv2")[1]
    assert f"filter 3 of 50, alpha {found['alpha'][3]:.6g}\n  " + "   ".join(m[0] for m in found["filters"][3]) in out
    assert f"alpha (50): from {min(found['alpha']):.6g} to {max(found['alpha']):.6g}, mean " in out


def test_levels_are_drawn_by_their_signs(tmp_path, say):
    net = models.build("lenet5", num_classes=2, in_channels=1, image_size=8, weight_bits=3, act_bits=2)
    binnet.pack(net).save(tmp_path / "m.h5")
    found = json.loads(say(tmp_path / "m.h5", "--layer", "conv2", "--json")[1])
    assert (found["kind"], found["bits"], set(found["fields"])) == ("KbitConv", 3, {"alpha"})
    row = net.conv2.weight.data[0, 0, :, 0]
    assert found["filters"][0][0][0] == "".join("-" if value < 0 else "+" for value in row)
    out = say(tmp_path / "m.h5", "--layer", "conv2")[1]
    assert out.startswith("conv2: KbitConv, weights of 3 bits in as many planes, drawn by their signs\n")
    code, out, err = say(tmp_path / "m.h5")
    assert (code, err) == (0, "")
    assert re.search(r"conv2.planes +3x391 +uint64", out)


def test_other_layers(folder, net, say):
    found = json.loads(say(folder / "packed.h5", "--layer", "dense3", "--json")[1])
    row = "".join("-" if value < 0 else "+" for value in net.dense3.weight.data[1, :64])
    assert found["filters"][1][0][0] == row[: net.dense3.weight.shape[1]]
    found = json.loads(say(folder / "packed.h5", "--layer", "conv1", "--json")[1])
    assert set(found) == {"name", "kind", "fields"}
    weight = net.conv1.weight.data
    assert found["fields"]["weight"]["shape"] == [20, 5, 5, 1]
    assert found["fields"]["weight"]["max"] == weight.max()
    assert found["fields"]["weight"]["first"] == weight.ravel()[:8].tolist()
    assert "mean (20): from 0 to 0, mean 0" in say(folder / "packed.h5", "--layer", "conv2_norm")[1]
    code, out, err = say(folder / "packed.h5", "--layer", "conv9")
    assert (code, out) == (1, "")
    assert re.search(r"there is no layer 'conv9' with weights in .*; there are: conv1, conv1_norm, conv2_norm, ", err)


def test_a_mode_without_scales(tmp_path, say):
    binnet.pack(models.build("lenet5", "bnn", num_classes=2, in_channels=1, image_size=8)).save(tmp_path / "m.h5")
    out = say(tmp_path / "m.h5", "--layer", "conv2")[1]
    assert "\nfilter 0 of 50\n" in out
    assert json.loads(say(tmp_path / "m.h5", "--layer", "conv2", "--json")[1])["alpha"] is None


def test_a_damaged_file(folder, tmp_path, say):
    data = (folder / "packed.h5").read_bytes()
    path = tmp_path / "m.h5"
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    error = f"binnet: error: {path} is damaged: it does not have the checksum it was written with\n"
    assert say(path) == (1, "", error)
    path.write_bytes(data[:300])
    error = f"binnet: error: {path} is damaged: it has 300 bytes, but was written with {len(data):,}\n"
    assert say(path, "--json") == (1, "", error)
