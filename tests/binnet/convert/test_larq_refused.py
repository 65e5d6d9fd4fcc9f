"""What the reader of Larq and Keras files refuses: unknown layers and settings, and damaged or malicious files."""

import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import keras_models as keras
from binnet.convert import ConversionError, Imported, larq, read
from binnet.convert.larq import child, hdf5
from keras_models import layer

SIGNS = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
KERNEL = {"kernel": np.ones((3, 3, 2, 4))}
NORM = {name: np.ones(2) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
ALPHA = np.ones((6, 6, 2))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are listed without a process of their own, as in ``test_larq.py``."""
    monkeypatch.setattr(hdf5, "_listing", lambda source: json.dumps(child.listing(str(source))))


def conv(**settings: Any) -> keras.Layer:
    return layer("QuantConv2D", "conv", KERNEL, **{**SIGNS, **settings})


def file(folder: Path, *layers: keras.Layer) -> Path:
    return keras.write(folder / "model.h5", list(layers), keras.sequential(list(layers), (6, 6, 2)))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (layer("Lambda", "odd"), "the layer odd is a Lambda"),
        (layer("LSTM", "odd"), "the layer odd is a LSTM"),
        (layer("QuantConv1D", "odd"), "the layer odd is a QuantConv1D"),
        (conv(kernel_quantizer="dorefa_quantizer"), "conv: the kernel_quantizer dorefa_quantizer is not supported"),
        (conv(kernel_quantizer={"class_name": "SteTern", "config": {}}), "kernel_quantizer SteTern"),
        (conv(input_quantizer="ste_heaviside"), "input_quantizer ste_heaviside"),
        (conv(input_quantizer="magnitude_aware_sign"), "magnitude_aware_sign is not supported as input_quantizer"),
        (conv(input_quantizer=[1]), "expected the name of a function"),
        (conv(dilation_rate=[2, 2]), r"dilation_rate = \[2, 2\] is not supported"),
        (conv(data_format="channels_first"), "data_format = channels_first"),
        (conv(padding="causal"), "padding = causal"),
        (conv(strides=0), "strides must be two whole numbers, got 0"),
        (conv(pad_values="one"), "pad_values must be a number"),
        (conv(filters=5), "its kernel has 4 filters"),
        (conv(kernel_size=[5, 5]), "which is not its kernel_size"),
        (conv(use_bias=True), "its bias is missing"),
        (conv(tail="x"), "the setting tail = x is unknown"),
        (conv(activation="elu"), "the activation elu is not supported"),
        (layer("Conv2D", "conv", {"kernel": np.ones((3, 3, 3, 4))}, use_bias=False), r"expects \(N, H, W, 3\)"),
        (layer("Conv2D", "conv", {"kernel": np.ones((3, 3, 2))}), "must have 4 axes"),
        (layer("Conv2D", "conv", {"kernel": np.full((3, 3, 2, 4), np.nan)}), "not finite"),
        (layer("Conv2D", "conv", KERNEL, use_bias=False, groups=1.5), "groups = 1.5"),
        (layer("Dense", "dense", {"kernel": np.ones((3, 2))}, use_bias=False), "expects"),
        (layer("BatchNormalization", "norm", NORM, axis=[1]), r"axis = \[1\]"),
        (layer("BatchNormalization", "norm", {**NORM, "moving_variance": -np.ones(2)}), "not above 0"),
        (layer("BatchNormalization", "norm", NORM, renorm=True), "the setting renorm = True is unknown"),
        (layer("PReLU", "act", {"alpha": ALPHA * np.arange(6)[:, None, None]}), r"shared_axes must be \[1, 2\]"),
        (layer("ReLU", "act", threshold=1.0), "threshold = 1.0"),
        (layer("Flatten", "flat", data_format="channels_first"), "data_format"),
        (layer("Reshape", "shape", target_shape=[5, 5]), "shape"),
        (layer("Concatenate", "join", axis=0), "axis must be"),
        (layer("TFOpLambda", "op", function="io.read_file"), "the function io.read_file is not supported"),
        (layer("TFOpLambda", "op", function="sparse.add"), "the function sparse.add is not supported"),
        (layer("Add", "sum"), "two or more inputs"),
        (layer("MaxPooling2D", "pool", pool_size=[9, 9]), "smaller than the window"),
        (layer("ZeroPadding2D", "pad", padding=[1 << 20, 1]), "padding must be"),
    ],
)
def test_refused_layers(tmp_path: Path, one: keras.Layer, sentence: str) -> None:
    with pytest.raises(ConversionError, match=sentence) as caught:
        read(file(tmp_path, one), "larq")
    assert str(caught.value).startswith(f"{tmp_path / 'model.h5'}: ")
    assert one[1]["name"] in str(caught.value)


def graph(*names: tuple[str, list[str]]) -> Any:
    return keras.functional(
        [layer("Activation", name, inputs=reads, activation="relu") for name, reads in names], (4, 4, 1)
    )


def changed(structure: Any, **values: Any) -> Any:
    structure["config"].update(values)
    return structure


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("structure", "sentence"),
    [
        ([], "does not name its class"),
        ({"class_name": "Subclassed", "config": {}}, "the network is a Subclassed"),
        ({"class_name": "Sequential", "config": []}, "1 to 10,000 layers"),
        ({"class_name": "Sequential", "config": {"layers": [7]}}, "does not have the form"),
        (graph(("a", ["b"]), ("b", ["a"])), "reads its own result"),
        (graph(("a", ["gone"])), "no layer gone"),
        (graph(("a", ["images"]), ("a", ["images"])), "two layers of the network have the name a"),
        (graph(("a", ["images"]), ("b", ["images"])), "nothing reads the result of a"),
        (graph(("a", ["images"]), ("b", [])), "several inputs"),
        (changed(graph(("a", ["images"])), output_layers=[["a", 0, 0], ["images", 0, 0]]), "several outputs"),
        (changed(graph(("a", ["images"])), output_layers=[["a", 0, 1]]), "expected"),
        (changed(graph(("a", ["images"])), output_layers=[["images", 0, 0]]), "the result is that of images"),
        (keras.sequential([layer("Flatten", "flat")], (70000, 2, 2)), "not possible"),
        (keras.sequential([layer("Flatten", "flat")], (2, 2, 2, 2)), "1 to 3 axes"),
        (keras.sequential([layer("Softmax", "soft")], (3, 2)), "soft reads images of two axes"),
        (keras.sequential([layer("Flatten", "flat"), layer("Flatten", "flat")], (2, 2, 1)), "same name"),
    ],
)
def test_refused_networks(tmp_path: Path, structure: Any, sentence: str) -> None:
    with pytest.raises(ConversionError, match=sentence):
        read(keras.write(tmp_path / "model.h5", [], structure), "larq")


def test_refused_files(tmp_path: Path) -> None:
    for content, sentence in [
        (b"", "is not an HDF5 file"),
        (b"PK\3\4 and more", "is a zip file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "the file is damaged"),
    ]:
        (tmp_path / "model.h5").write_bytes(content)
        with pytest.raises(ConversionError, match=sentence):
            read(tmp_path / "model.h5", "larq")
    with pytest.raises(ConversionError, match="No such file"):
        read(tmp_path / "none.h5", "larq")
    with pytest.raises(ConversionError, match="Is a directory"):
        read(tmp_path, "larq")


def _soft(group: Any) -> None:
    group["conv/conv/kernel:0"] = h5py.SoftLink("/elsewhere")


def _external(group: Any) -> None:
    group["conv/conv/kernel:0"] = h5py.ExternalLink("other.h5", "/kernel")


def _compressed(group: Any) -> None:
    group.create_dataset("conv/conv/kernel:0", data=np.ones((3, 3, 2, 4), "f4"), compression="gzip")


def _chunked_and_huge(group: Any) -> None:
    group.create_dataset("conv/conv/kernel:0", (1 << 20, 1 << 20, 2, 4), "f4", chunks=(1 << 10, 1 << 10, 1, 1))


def _not_written(group: Any) -> None:
    group.create_dataset("conv/conv/kernel:0", (1 << 20, 1 << 20, 2, 4), "f4")


def _in_another_file(group: Any) -> None:
    group.create_dataset("conv/conv/kernel:0", (3, 3, 2, 4), "f4", external=[("/etc/passwd", 0, 288)])


def _of_words(group: Any) -> None:
    group.create_dataset("conv/conv/kernel:0", data=[b"words"])


def _of_whole_numbers(group: Any) -> None:
    group.create_dataset("conv/conv/kernel:0", data=np.ones((3, 3, 2, 4), "i4"))


def _group(group: Any) -> None:
    group.create_group("conv/conv/kernel:0")


def _nothing(group: Any) -> None:
    pass


@pytest.mark.parametrize(
    "store",
    [
        _soft,
        _external,
        _compressed,
        _chunked_and_huge,
        _not_written,
        _in_another_file,
        _of_words,
        _of_whole_numbers,
        _group,
        _nothing,
    ],
)
def test_arrays_are_read_only_where_keras_stores_them(tmp_path: Path, store: Any) -> None:
    source = file(tmp_path, conv())
    with h5py.File(source, "r+") as opened:
        del opened["model_weights/conv/conv/kernel:0"]
        store(opened["model_weights"])
    with pytest.raises(ConversionError, match=r"kernel.*(missing|is not an array|must be an array|is not a dataset)"):
        read(source, "larq")


def test_arrays_that_share_their_place_are_refused(tmp_path: Path) -> None:
    """Otherwise a small file would take a lot of memory."""
    source = file(tmp_path, layer("Conv2D", "conv", {"kernel": np.ones((3, 3, 2, 64))}, use_bias=False))
    with h5py.File(source, "r+") as opened:
        group = opened["model_weights/conv"]
        names = [f"n{i}" for i in range(5000)]
        for name in names:
            group[name] = group["conv/kernel:0"]
        group.attrs["weight_names"] = np.array(names, "S")
    with pytest.raises(ConversionError, match="smaller than its arrays"):
        read(source, "larq")


@pytest.mark.parametrize("value", [b"{" * 100_000, "no JSON", "x" * (9 << 20), 7.0, [b"{}"], "[" * 100_000])
def test_attributes_that_hold_no_network(tmp_path: Path, value: Any) -> None:
    source = file(tmp_path, conv())
    with h5py.File(source, "r+") as opened:
        opened.attrs["model_config"] = np.void(value[:60_000]) if isinstance(value, bytes) else value
    with pytest.raises(ConversionError, match="model_config is not"):
        read(source, "larq")


def network(folder: Path) -> tuple[Path, Any]:
    """A file with a layer of each important kind, and its JSON."""
    layers = [
        layer("QuantConv2D", "conv", KERNEL, ["images"], **SIGNS, padding="same", strides=[2, 2], pad_values=1.0),
        layer("Conv2D", "other", KERNEL, ["images"], use_bias=False, strides=2, padding="same", activation="relu"),
        layer("Add", "sum", inputs=["conv", "other"]),
        layer("AveragePooling2D", "pool", inputs=["sum"], pool_size=[2, 2], strides=None, padding="same"),
        layer("BatchNormalization", "norm", {n: np.ones(4) for n in NORM}, ["pool"], axis=[3], epsilon=1e-3),
        layer("Reshape", "shape", inputs=["norm"], target_shape=[16]),
        layer("Dense", "dense", {"kernel": np.ones((16, 3)), "bias": np.ones(3)}, ["shape"], units=3),
    ]
    structure = keras.functional(layers, (6, 6, 2))
    return keras.write(folder / "model.h5", layers, structure), structure


def places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """The paths to all values in JSON."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


HOSTILE = [None, -1, 0, 1, 3, 1 << 40, 1e308, float("nan"), "x", "same", [], {}, True, [[1]], [None, 1, 2], 0.5, [9, 9]]


@pytest.mark.slow
def test_changed_networks_are_refused_in_one_sentence_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, structure = network(tmp_path)
    known, every = larq.weights_of(source), list(places(structure))
    monkeypatch.setattr(larq, "weights_of", lambda _: known)
    chance, outcomes = random.Random(48), set()
    for _ in range(1500):
        changed, path = copy.deepcopy(structure), chance.choice(every)
        inner: Any = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = chance.choice(HOSTILE)
        known.structure = json.dumps(changed)
        outcomes.add(outcome(source))
    assert len(outcomes) > 30


def outcome(source: Path) -> str:
    """The sentence with which a file is refused, or "read"."""
    try:
        sentence = "read" if isinstance(read(source, "larq"), Imported) else ""
    except ConversionError as error:
        sentence = str(error)
    assert sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.slow
def test_changed_files_are_refused_in_one_sentence_or_read(tmp_path: Path) -> None:
    source, _ = network(tmp_path)
    content, chance = source.read_bytes(), random.Random(49)
    for kind in ("flip", "cut", "replace") * 7:
        changed, place = bytearray(content), chance.randrange(8, len(content) - 100)
        if kind == "flip":
            # In the first part, where the structure of the file is.
            changed[chance.randrange(8, 3000)] ^= 1 << chance.randrange(8)
        elif kind == "cut":
            del changed[place:]
        else:
            changed[place : place + 64] = chance.randbytes(64)
        source.write_bytes(changed)
        outcome(source)


@pytest.mark.slow
@pytest.mark.compiled
def test_an_imported_model_works_with_all_commands(tmp_path: Path) -> None:
    layers = [
        layer("QuantConv2D", "conv", {"kernel": np.ones((3, 3, 1, 4))}, **SIGNS, padding="same"),
        layer("Flatten", "flat"),
        layer("Dense", "dense", {"kernel": np.ones((144, 3)), "bias": np.ones(3)}, units=3),
    ]
    source = keras.write(tmp_path / "model.h5", layers, keras.sequential(layers, (6, 6, 1)))
    out, photo = tmp_path / "out.h5", tmp_path / "photo.png"
    Image.fromarray(np.arange(6 * 6, dtype=np.uint8).reshape(6, 6)).save(photo)
    options = ["--mean", "0.5", "--std", "0.25", "--class-names", "a,b,c"]
    for command in (
        ["import", "--from", "larq", source, out, *options],
        ["summary", out],
        ["predict", out, photo],
        ["trace", out, photo],
        ["bench", "network", out, "--seconds", "0.1"],
    ):
        done = subprocess.run([sys.executable, "-m", "binnet", *command], capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)


def test_the_command(tmp_path: Path) -> None:
    source, _ = network(tmp_path)
    command = [sys.executable, "-m", "binnet", "import", "--from", "larq"]
    done = subprocess.run([*command, source, tmp_path / "out.h5"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "XnorConv 3x3, 4 filters" in done.stdout
    assert "left out: optimizer_weights: state of the optimiser" in done.stdout
    source.write_bytes(b"something else")
    done = subprocess.run([*command, source, tmp_path / "out.h5"], capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr == f"binnet: error: {source}: is not an HDF5 file\n"
