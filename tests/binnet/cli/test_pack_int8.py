"""``binnet pack --real int8``, and every command that takes a model on such a model."""

import json

import numpy as np
import pytest
from PIL import Image

import binnet
import binnet_datasets
from binnet.graph import Int8Conv


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short training on digits."""
    from binnet.cli import main

    folder = tmp_path_factory.mktemp("run") / "run"
    words = "train --dataset digits --model quick --epochs 1 --seed 1 --out"
    assert main([*words.split(), str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def eight(run):
    """The model of the training in eight bits."""
    from binnet.cli import main

    path = run / "int8.h5"
    assert main(["pack", str(run / "best.h5"), str(path), "--real", "int8", "--max-drop", "100"]) == 0
    return path


def test_a_checkpoint(run, tmp_path, say):
    out = tmp_path / "m.h5"
    code, said, err = say("pack", run, out, "--real", "int8", "--max-drop", "100", "--keep-real", "dense")
    assert (code, err) == (0, "")
    assert "conv1" in said
    assert "real: named to be kept" in said
    assert "on 360 test images of digits" in said
    model = binnet.load(out)
    assert (model.real, model.takes_pixels, model.graph["dense"].kind) == ("int8", True, "Conv")


def test_figures_in_json(run, tmp_path, say):
    out = tmp_path / "m.h5"
    options = ("--real", "int8", "--max-drop", "100", "--calibrate", "digits", "--calibration-images", "100", "--json")
    code, said, _ = say("pack", run / "best.h5", out, *options)
    assert code == 0
    found = json.loads(said)
    assert (found["real"], found["n"], found["dataset"]) == ("int8", 360, "digits")
    for name, file in (("top1_before", run / "packed.h5"), ("top1", out)):
        _, said, _ = say("evaluate", file, "--json")
        assert json.loads(said)["top1"] == found[name]
    assert {layer["kind"] for layer in found["layers"]} == {"Int8Conv"}
    assert found["packed_bytes"] == out.stat().st_size < (run / "packed.h5").stat().st_size


def test_the_report_of_a_model_whose_layers_all_stay_real(run, tmp_path, say):
    names = [node.name for node in binnet.load(run / "packed.h5").graph if node.kind == "Conv"]
    code, said, _ = say("pack", run, tmp_path / "m.h5", "--real", "int8", "--json", "--keep-real", *names)
    assert (code, json.loads(said)["real"], binnet.load(tmp_path / "m.h5").real) == (0, "float32", "float32")


@pytest.mark.slow
def test_a_packed_model_gives_the_same_file(run, eight, tmp_path, say):
    code, _, _ = say("pack", run / "packed.h5", tmp_path / "m.h5", "--real", "int8", "--max-drop", "100")
    assert code == 0
    assert (tmp_path / "m.h5").read_bytes() == eight.read_bytes()


def test_nothing_is_written_when_too_much_is_lost(run, tmp_path, say, monkeypatch):
    from binnet.evaluation.eight_bits import Comparison

    out = tmp_path / "m.h5"
    out.write_text("as before")
    monkeypatch.setattr(Comparison, "drop", 0.6)
    code, _, err = say("pack", run / "best.h5", out, "--real", "int8", "--export-numpy", tmp_path / "x")
    assert code == 1
    assert "nothing was written, as top-1 falls by 0.60 points" in err
    assert (out.read_text(), [*tmp_path.iterdir()]) == ("as before", [out])
    code, _, err = say("pack", run / "best.h5", out, "--real", "int8", "--max-drop", "0.6")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--real", "int8", "--max-drop", "nan"], "--max-drop must be a number of at least 0, got nan"),
        (["--real", "int8", "--max-drop", "-1"], "--max-drop must be a number of at least 0, got -1"),
        (["--real", "int8", "--calibration-images", "0"], "calibration needs at least one image, got 0"),
        (["--real", "int8", "--keep-real", "conv9"], "there is no real layer 'conv9' to keep; there are: conv1"),
        (["--real", "int8", "--calibrate", "cifar10", "--dataset", "digits"], "contradicts --dataset"),
        (["--real", "int8", "--calibrate", "nowhere"], "nowhere"),
        (["--calibrate", "digits"], "--calibrate is for --real int8 only"),
        (["--keep-real", "conv1"], "--keep-real is for --real int8 only"),
        (["--max-drop", "0"], "--max-drop is for --real int8 only"),
        (["--calibration-images", "9"], "--calibration-images is for --real int8 only"),
    ],
)
def test_options_that_are_refused(run, tmp_path, say, options, message):
    code, _, err = say("pack", run / "best.h5", tmp_path / "m.h5", *options)
    assert code == 1
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "m.h5").exists()


def test_a_model_that_does_not_say_what_it_was_trained_on(tmp_path, say):
    network = binnet.models.build("quick", num_classes=10, in_channels=1, image_size=8)
    binnet.pack(network, mean=(0.3,), std=(0.4,)).save(tmp_path / "m.h5")
    code, _, err = say("pack", tmp_path / "m.h5", tmp_path / "o.h5", "--real", "int8")
    assert code == 1
    assert "does not say what it was trained on; name the data with --dataset or --data" in err


def test_eight_bits_are_not_made_twice(eight, tmp_path, say):
    code, _, err = say("pack", eight, tmp_path / "m.h5", "--real", "int8")
    assert code == 1
    assert "is packed already, in eight bits" in err


def test_a_folder_of_images_without_splits(run, tmp_path, say):
    digits = binnet_datasets.load("digits")
    for i, (image, label) in enumerate(zip(digits.test.images[:40], digits.test.labels[:40], strict=True)):
        folder = tmp_path / "images" / digits.class_names[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / f"{i}.png")
    options = ("--real", "int8", "--max-drop", "100", "--calibrate", tmp_path / "images")
    code, out, err = say("pack", run / "best.h5", tmp_path / "m.h5", *options)
    assert (code, err) == (0, "")
    assert "has no training images; calibrating on the images of the comparison" in out
    assert "on 40 test images of images" in out


def test_other_commands_take_the_model(run, eight, tmp_path, say):
    image = binnet_datasets.load("digits").test.images[0]
    Image.fromarray(image[..., 0]).save(tmp_path / "x.png")
    code, out, err = say("predict", eight, tmp_path / "x.png", "--json")
    assert (code, err) == (0, "")
    (name, probability), *_ = binnet.load(eight).predict(image)
    (first,) = json.loads(out)[0]["classes"]
    assert (first["class"], first["probability"]) == (name, pytest.approx(probability, abs=1e-6))
    code, out, _ = say("verify", run / "best.h5", eight)
    assert code == 0
    assert "test images of digits" in out
    code, out, _ = say("summary", eight)
    assert code == 0
    assert "8-bit params" in out
    assert "QuantiseLinear" in out
    code, out, _ = say("inspect", eight, "--layer", "conv1")
    assert code == 0
    assert "conv1: Int8Conv" in out
    code, out, _ = say("inspect", eight)
    assert "int8" in out
    code, _, err = say("trace", eight, tmp_path / "x.png", "--html", tmp_path / "trace.html")
    assert (code, err) == (0, "")
    code, out, _ = say("bench", "network", eight, "--batch", "2", "--seconds", "0.01")
    assert code == 0


def test_other_networks_do_not_verify(run, eight, tmp_path, say):
    network = binnet.models.build("lenet5", num_classes=10, in_channels=1, image_size=8)
    x = binnet_datasets.load("digits").train.images[:50]
    info = binnet.load(eight).info
    binnet.pack(network, info, real="int8", calibration=x).save(tmp_path / "m.h5")
    code, _, err = say("verify", run / "best.h5", tmp_path / "m.h5")
    assert code == 1
    assert "is of another network than" in err


def test_export_to_numpy(eight, run, tmp_path, say):
    options = ("--real", "int8", "--max-drop", "100", "--export-numpy", tmp_path / "x")
    code, _, _ = say("pack", run / "best.h5", tmp_path / "m.h5", *options)
    assert code == 0
    weight = np.load(tmp_path / "x" / "conv1.weight.npy")
    assert weight.dtype == np.int8
    np.testing.assert_array_equal(weight, binnet.load(eight).graph["conv1"].weight)
    nodes = {node["name"]: node for node in json.loads((tmp_path / "x" / "graph.json").read_text())["nodes"]}
    assert nodes["input"]["settings"]["pixels"] is True
    assert nodes["conv1"]["kind"] == "Int8Conv"
    assert set(nodes["conv1"]["arrays"]) == {"weight", "scale", "zero", "bias"}


def test_training_does_not_begin_with_it(eight, tmp_path, say):
    code, _, err = say("train", "--dataset", "digits", "--init", eight, "--out", tmp_path / "run")
    assert code == 1
    assert "has its real layers in eight bits, which cannot be trained: begin with the checkpoint" in err


def test_every_layer_of_the_model(eight):
    layers = [node for node in binnet.load(eight).graph if isinstance(node, Int8Conv)]
    assert [node.name for node in layers][::4] == ["conv1", "dense"]
