"""Real weights as float16 in the file: smaller, widened when loaded, and nothing else is rounded."""

import json

import h5py
import numpy as np
import pytest

import binnet
import binnet_datasets
from binnet import models, nn, no_grad, optim
from binnet.engine import export
from binnet.engine.summary import summarise
from binnet.modelfile import container
from binnet.modelfile.container import StorageError
from binnet.modelfile.info import DataInfo
from binnet.train.config import TrainConfig
from binnet.train.diagnostics import signs
from binnet.train.output.checkpoint import save as save_checkpoint
from binnet.train.output.state import Progress, State


def build(seed=1):
    return models.build("quick", num_classes=10, in_channels=1, image_size=8, seed=seed)


def images(n=5):
    return np.random.default_rng(3).standard_normal((n, 8, 8, 1)).astype(np.float32)


def test_the_same_as_a_network_with_rounded_real_weights():
    net = build()
    model = binnet.pack(net, real="float16")
    real = [layer for _, layer in net.named_modules() if type(layer) in (nn.Conv2d, nn.Linear)]
    assert len(real) == 5  # the first, three shortcuts inside sums, the classifier
    for layer in real:
        layer.weight.data = layer.weight.data.astype(np.float16).astype(np.float32)
    with no_grad():
        np.testing.assert_array_equal(model(images()), net.eval()(binnet.Tensor(images())).numpy())


def test_in_the_file_and_back(tmp_path):
    model, plain = binnet.pack(build(), real="float16"), binnet.pack(build())
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        half = {name for name in file if file[name].dtype == np.float16}
    assert (
        half
        == {n for n in plain.arrays() if n.endswith(".weight")}
        == {n for n, a in model.arrays().items() if a.dtype == np.float16}
    )
    loaded = binnet.load(tmp_path / "m.h5")
    assert loaded.real == "float16"
    assert all(a.dtype == np.float32 for node in loaded.graph for n, a in node.arrays().items() if n != "signs")
    np.testing.assert_array_equal(loaded(images()), model(images()))
    assert loaded.to_bytes() == model.to_bytes() == (tmp_path / "m.h5").read_bytes()
    weights = sum(plain.arrays()[name].size for name in half)
    ours, theirs = summarise(model), summarise(plain)
    assert theirs.total("bytes") - ours.total("bytes") == 2 * weights
    assert theirs.total("params_32bit") == ours.total("params_32bit")
    assert np.load(export.export(model, tmp_path / "x")[0].parent / "conv1.weight.npy").dtype == np.float16


def test_words_and_values_that_do_not_fit():
    net = build()
    with pytest.raises(ValueError, match="unknown real 'bfloat16'; there are: float32, float16, and int8"):
        binnet.pack(net, real="bfloat16")
    net.dense.weight.data[0, 0] = 1e5
    with pytest.raises(ValueError, match=r"dense.weight does not fit into float16, which ends at 65504"):
        binnet.pack(net, real="float16")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("dense.weight", r"must be float16, got float32 \(10, 192\)"),
        ("dense.bias", r"dense.bias must be float32 or uint64, got float16 \(10,\)"),
        ("block1.body.conv1.alpha", "alpha must be float32"),
    ],
)
def test_all_real_weights_and_nothing_else(tmp_path, name, match):
    path = tmp_path / "m.h5"
    binnet.pack(build(), real="float16").save(path)
    kind, arrays, description = container.load(path)
    other = np.float32 if arrays[name].dtype == np.float16 else np.float16
    container.save(path, kind, {**arrays, name: arrays[name].astype(other)}, description)
    with pytest.raises(StorageError, match=match):
        binnet.load(path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Weights that rounding changes so much that classes change."""
    digits = binnet_datasets.load("digits")
    info = DataInfo("digits", digits.class_names, *(tuple(map(float, v)) for v in digits.mean_std()))
    net = build()
    net.dense.weight.data[1] = net.dense.weight.data[0] * np.float32(1 + 2e-4)
    net.dense.bias.data[:2] = 5
    path = tmp_path_factory.mktemp("files") / "best.h5"
    save_checkpoint(
        path, State(net, optim.Adam(net.parameters(), lr=0.1), Progress(), signs(net), net.spec), TrainConfig(), info
    )
    return path


def test_pack_says_how_many_predictions_the_rounding_changes(checkpoint, tmp_path, say):
    code, out, err = say("pack", checkpoint, tmp_path / "a.h5", "--dataset", "digits", "--real", "float16")
    assert (code, err) == (0, "")
    first = out.splitlines()[0]
    assert "360 test images of digits" in first
    assert "the largest difference of logits is " in first
    code, verified, err = say("verify", checkpoint, tmp_path / "a.h5")
    assert (code, err, verified.strip()) == (0, "", first)
    _, text, _ = say("verify", checkpoint, tmp_path / "a.h5", "--json")
    found = json.loads(text)
    assert found["relative"] < 1e-2
    differing = f"with weights rounded to float16 {found['differing']} of 360 test images of digits get another class;"
    assert found["differing"] > 0
    assert first.startswith(differing)
    _, text, _ = say("inspect", tmp_path / "a.h5", "--json")
    assert {a["dtype"] for a in json.loads(text)["arrays"]} == {"uint64", "float16", "float32"}


def test_a_packed_model_can_be_rounded_once(checkpoint, tmp_path, say):
    say("pack", checkpoint, tmp_path / "a.h5")
    assert say("pack", tmp_path / "a.h5", tmp_path / "b.h5", "--real", "float16")[0] == 0
    assert (tmp_path / "b.h5").read_bytes() == binnet.load(tmp_path / "a.h5").with_real("float16").to_bytes()
    for real in ("float16", "float32"):
        code, out, err = say("pack", tmp_path / "b.h5", tmp_path / "c.h5", "--real", real)
        assert (code, out, "b.h5 is packed already, with 16-bit floats, expected a checkpoint" in err) == (1, "", True)


def test_verify_refuses_other_weights_than_the_rounded_ones(checkpoint, tmp_path, say):
    say("pack", checkpoint, tmp_path / "a.h5", "--real", "float16")
    kind, arrays, description = container.load(tmp_path / "a.h5")
    arrays["dense.weight"][0, 0] += np.float16(1)
    container.save(tmp_path / "b.h5", kind, arrays, description)
    code, out, err = say("verify", checkpoint, tmp_path / "b.h5")
    assert (code, out) == (1, "")
    assert "b.h5 does not hold the weights of" in err
