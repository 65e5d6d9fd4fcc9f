"""Costs of a model, compared with numbers computed by hand."""

import json
import math

import numpy as np
import pytest

import binnet
from binnet import models
from binnet.engine.summary import FIGURES, summarise

# LeNet-5 on 28x28x1: 20C5 -> 24x24, pool 12x12; 50C5 -> 8x8, pool 4x4; 500; 10
CONV1, CONV2, DENSE3, DENSE4 = 20 * 5 * 5 * 1, 50 * 5 * 5 * 20, 500 * 4 * 4 * 50, 10 * 500
MACS = {"conv1": 24 * 24 * CONV1, "conv2": 8 * 8 * CONV2, "dense3": DENSE3, "dense4": DENSE4}


@pytest.fixture(scope="module")
def model():
    return binnet.pack(models.build("lenet5", in_channels=1))


@pytest.fixture(scope="module")
def summary(model):
    return summarise(model)


def row(summary, name):
    return next(r for r in summary.rows if r.name == name)


def test_parameters_by_hand(summary):
    expected = {
        "conv1": (0, CONV1),
        "conv1_norm": (0, 3 * 20),  # mean, factor, shift
        "conv1_relu": (0, 0),
        "conv1_pool": (0, 0),
        "conv2_norm": (0, 3 * 20),
        "conv2": (CONV2, 50),  # alpha
        "conv2_relu": (0, 0),
        "conv2_pool": (0, 0),
        "dense3_norm": (0, 3 * 50),
        "dense3_flatten": (0, 0),
        "dense3": (DENSE3, 500),
        "dense3_relu": (0, 0),
        "dense4": (0, DENSE4 + 10),
    }
    assert {r.name: (r.params_1bit, r.params_32bit) for r in summary.rows} == expected
    assert summary.total("params_1bit") == 425_000
    assert summary.total("params_32bit") == 6_330


def test_multiply_adds_by_hand(summary):
    assert {r.name: r.macs_1bit for r in summary.rows if r.macs_1bit} == {n: MACS[n] for n in ("conv2", "dense3")}
    assert {r.name: r.macs_32bit for r in summary.rows if r.macs_32bit} == {n: MACS[n] for n in ("conv1", "dense4")}
    assert (summary.total("macs_1bit"), summary.total("macs_32bit")) == (2_000_000, 293_000)
    assert summary.binary_share == 2_000_000 / 2_293_000


def test_shapes_kinds_and_bytes(summary):
    outputs = {"conv1": (24, 24, 20), "conv1_pool": (12, 12, 20), "conv2": (8, 8, 50), "conv2_pool": (4, 4, 50)}
    outputs |= {"dense3_flatten": (800,), "dense3": (500,), "dense4": (10,)}
    for name, output in outputs.items():
        assert row(summary, name).output == output
    kinds = {"conv1": "Conv", "conv2": "XnorConv", "dense3": "XnorConv", "dense4": "Conv", "conv2_norm": "BatchNorm"}
    for name, kind in kinds.items():
        assert row(summary, name).kind == kind
    assert row(summary, "conv1").bytes == 4 * CONV1
    assert row(summary, "conv2").bytes == 8 * math.ceil(CONV2 / 64) + 4 * 50
    assert row(summary, "dense3").bytes == 8 * DENSE3 // 64 + 4 * 500


def test_file_bytes_are_those_of_the_file(model, summary, tmp_path):
    model.save(tmp_path / "m.h5")
    assert summary.file_bytes == (tmp_path / "m.h5").stat().st_size
    assert summary.file_bytes > summary.total("bytes")
    assert summary.float32_bytes == 4 * (425_000 + 6_330)
    assert summary.compression == summary.float32_bytes / summary.file_bytes
    assert summary.compression > 15


def test_json(summary):
    values = json.loads(json.dumps(summary.to_dict()))
    assert len(values["layers"]) == 13
    assert set(values["layers"][0]) == {"name", "kind", "output", *FIGURES}
    for name in FIGURES:
        assert values["total"][name] == sum(layer[name] for layer in values["layers"])
    sizes = ("file_bytes", "float32_bytes", "compression", "binary_share")
    assert [values["total"][n] for n in sizes] == [getattr(summary, n) for n in sizes]


@pytest.mark.parametrize(("mode", "binary", "scaled"), [("float", 0, 0), ("bwn", 2, 1), ("bnn", 2, 0)])
def test_modes(mode, binary, scaled):
    summary = summarise(binnet.pack(models.build("lenet5", mode, in_channels=1)))
    assert sum(r.params_1bit > 0 for r in summary.rows) == binary
    assert sum(r.kind in ("BwnConv", "XnorConv") for r in summary.rows) == binary
    weights = CONV1 + CONV2 + DENSE3 + DENSE4
    assert summary.total("params_1bit") == (CONV2 + DENSE3 if binary else 0)
    real = summary.total("params_32bit") - 10 - scaled * 550
    norms = sum(r.params_32bit for r in summary.rows if r.kind == "BatchNorm")
    assert real - norms == weights - summary.total("params_1bit")
    assert summary.binary_share == (0 if mode == "float" else pytest.approx(2_000_000 / 2_293_000))


def test_the_model_is_not_changed(model):
    before = {name: array.copy() for name, array in model.arrays().items()}
    summarise(model)
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_of_several_bits_count_once_and_lie_in_planes(summary, say, tmp_path):
    net = models.build("lenet5", in_channels=1, weight_bits=3, act_bits=2)
    binnet.pack(net).save(tmp_path / "m.h5")
    out = say("summary", tmp_path / "m.h5")[1]
    assert "of the multiply-adds are on binary weights\nKbitConv: weights of k bits lie in k planes" in out
    levels, signs = summarise(binnet.pack(net)), summary
    assert row(levels, "conv2").kind == "KbitConv"
    assert row(levels, "conv2").params_1bit == row(signs, "conv2").params_1bit == CONV2
    assert levels.binary_share == signs.binary_share
    assert levels.float32_bytes == signs.float32_bytes
    words = row(signs, "conv2").bytes - 4 * 50
    assert row(levels, "conv2").bytes == 3 * words + 4 * 50
