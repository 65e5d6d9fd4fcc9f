"""Models of Larq and Keras: files written here from the format's meaning, against plain loops."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import binnet
import keras_models as keras
from binnet.convert import ConversionError, Imported, Options, read
from binnet.convert.larq import child, hdf5
from binnet.graph import BwnConv, Conv, XnorConv
from keras_models import layer

SIGN = {"class_name": "SteSign", "config": {"name": "ste_sign", "clip_value": 1.0}, "module": "larq.quantizers"}
BOTH = {"input_quantizer": "ste_sign", "kernel_quantizer": SIGN}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are listed without a process of their own, which takes longer than a whole test of valid files."""
    monkeypatch.setattr(hdf5, "_listing", lambda source: json.dumps(child.listing(str(source))))


def latent(seed: int, *shape: int) -> Any:
    """Weights in eighths, some of which are exactly 0: sums of them are exact."""
    return np.random.default_rng(seed).integers(-6, 7, shape) / 8


def images(seed: int, *shape: int) -> Any:
    """Images in quarters, with 0 and -0."""
    x = np.float32(np.random.default_rng(seed).integers(-5, 6, shape) / 4)
    return np.where(x == 0, np.float32([0.0, -0.0])[np.arange(x.size).reshape(x.shape) % 2], x)


def norm(name: str, channels: int, *inputs: str, scale: bool = True, center: bool = True) -> keras.Layer:
    """A normalisation whose factors are powers of two or their negatives, so that nothing is rounded."""
    arrays = {"gamma": np.float32([1, -2, 0.5, -1])[np.arange(channels) % 4], "beta": latent(1, channels)}
    arrays = {key: value for key, value in arrays.items() if {"gamma": scale, "beta": center}[key]}
    arrays |= {"moving_mean": latent(2, channels), "moving_variance": np.full(channels, 4 - 2**-10)}
    flags = {"epsilon": 2**-10, "scale": scale, "center": center, "momentum": 0.99}
    return layer("BatchNormalization", name, arrays, inputs, axis=[3], **flags)


def imported(folder: Path, layers: list[keras.Layer], structure: Any, **options: Any) -> Imported:
    return read(keras.write(folder / "model.h5", layers, structure), "larq", Options(**options))


def check(folder: Path, layers: list[keras.Layer], x: Any, exact: bool = True, graph: bool = False) -> Imported:
    shape = x.shape[1:]
    structure = keras.functional(layers, shape) if graph else keras.sequential(layers, shape)
    found = imported(folder, layers, structure)
    expected = keras.run(layers, x)
    y = found.model(x)
    assert y.shape == expected.shape
    if exact:
        np.testing.assert_array_equal(y, expected.astype(np.float32))
    else:
        np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)
    return found


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("border", [0.0, 1.0, -1.0])
@pytest.mark.parametrize(("size", "h", "w"), [((3, 3), 7, 8), ((2, 4), 6, 9)])
def test_signs_by_signs(tmp_path: Path, padding: str, strides: Any, border: float, size: Any, h: int, w: int) -> None:
    fields = {
        "strides": list(strides),
        "padding": padding,
        "pad_values": border,
        "kernel_size": list(size),
        "filters": 5,
    }
    layers = [
        layer("QuantConv2D", "conv", {"kernel": latent(3, *size, 3, 5)}, **BOTH, **fields, use_bias=False),
        norm("norm", 5),
    ]
    found = check(tmp_path, layers, images(4, 2, h, w, 3))
    assert isinstance(found.model.graph["conv"], XnorConv)


@pytest.mark.parametrize("border", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("quantiser", [None, "approx_sign"])
def test_real_images_and_borders_of_any_value(tmp_path: Path, border: float, quantiser: Any) -> None:
    """With one side quantised, the border has its own value in the real map."""
    fields = {"padding": "same", "strides": 2, "pad_values": border, "use_bias": True}
    arrays = {"kernel": latent(5, 3, 3, 2, 4), "bias": latent(6, 4)}
    conv = layer("QuantConv2D", "conv", arrays, kernel_quantizer=quantiser, input_quantizer=None, **fields)
    found = check(tmp_path, [conv], images(7, 2, 6, 5, 2))
    assert isinstance(found.model.graph["conv"], BwnConv if quantiser else Conv)
    check(tmp_path, [layer("QuantConv2D", "conv", arrays, input_quantizer="ste_sign", **fields)], images(8, 2, 6, 5, 2))


def test_a_sign_as_activation_is_the_same_as_one_in_the_layer(tmp_path: Path) -> None:
    layers = [
        layer("Activation", "sign", activation="ste_sign"),
        layer("MaxPooling2D", "pool", pool_size=[2, 2], strides=None, padding="same"),
        layer("QuantConv2D", "conv", {"kernel": latent(9, 3, 3, 3, 4)}, kernel_quantizer=SIGN, use_bias=False),
    ]
    found = check(tmp_path, layers, images(10, 2, 9, 10, 3))
    assert isinstance(found.model.graph["conv"], XnorConv)


def test_settings_as_keras_writes_them_all(tmp_path: Path) -> None:
    """Those of a trained layer, as the file of a model has them."""
    glorot = {"module": "keras.initializers", "class_name": "GlorotNormal", "config": {"seed": None}}
    fields = {
        "batch_input_shape": [None, 8, 8, 2], "filters": 4, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same",
        "data_format": "channels_last", "dilation_rate": [1, 1], "groups": 1, "activation": "relu", "use_bias": False,
        "kernel_initializer": glorot, "bias_initializer": glorot, "kernel_regularizer": None, "bias_regularizer": None,
        "activity_regularizer": None, "kernel_constraint": {"class_name": "weight_clip"}, "bias_constraint": None,
        "pad_values": 1.0, "input_quantizer": "approx_sign", "kernel_quantizer": SIGN,
    }  # fmt: skip
    arrays = {"kernel": latent(11, 3, 3, 2, 4), "flip_ratio/total": 1.0, "ste_sign/total": 2.0}
    layers = [layer("QuantConv2D", "conv", arrays, **fields)]
    x = images(12, 2, 8, 8, 2)
    found = imported(tmp_path, layers, keras.sequential(layers))
    np.testing.assert_array_equal(found.model(x), keras.run(layers, x).astype(np.float32))
    assert {"conv/flip_ratio/total:0", "conv/ste_sign/total:0"} <= {name for name, _ in found.report.left_out}


def test_weights_that_are_signs_already(tmp_path: Path) -> None:
    """As the optimiser Bop trains them."""
    kernel = np.sign(latent(13, 3, 3, 2, 4) + 0.01)
    none = {"class_name": "NoOp", "config": {"precision": 1}}
    layers = [layer("QuantConv2D", "conv", {"kernel": kernel}, **{**BOTH, "kernel_quantizer": none}, use_bias=False)]
    found = check(tmp_path, layers, images(14, 2, 6, 6, 2))
    assert isinstance(found.model.graph["conv"], XnorConv)
    assert found.report.rows[1].note == "its weights are +1 and -1 already"


def test_magnitude_aware_kernels_have_a_scale(tmp_path: Path) -> None:
    arrays = {"kernel": latent(11, 4, 4, 3, 4)}  # 48 weights a filter
    layers = [
        layer("QuantConv2D", "conv", arrays, **{**BOTH, "kernel_quantizer": "magnitude_aware_sign"}, use_bias=False)
    ]
    found = check(tmp_path, layers, images(12, 2, 6, 6, 3), exact=False)
    assert found.model.graph["conv"].alpha is not None


def test_a_convolution_with_everything_behind_it(tmp_path: Path) -> None:
    """As in the examples of Larq: convolutions, pools, normalisations without gamma, dense layers on the flat map."""
    common = {**BOTH, "padding": "same", "use_bias": False}
    layers = [
        layer("QuantConv2D", "first", {"kernel": latent(13, 3, 3, 3, 6)}, kernel_quantizer=SIGN, use_bias=False),
        norm("norm1", 6, scale=False),
        layer("QuantConv2D", "second", {"kernel": latent(14, 3, 3, 6, 8)}, **common),
        layer("MaxPooling2D", "pool", pool_size=[2, 2], strides=[2, 2], padding="valid"),
        norm("norm2", 8, center=False),
        layer("Dropout", "drop", rate=0.5, seed=None, noise_shape=None),
        layer("Flatten", "flatten", data_format="channels_last"),
        layer("QuantDense", "dense", {"kernel": latent(15, 3 * 4 * 8, 10), "bias": latent(16, 10)}, **BOTH, units=10),
    ]
    found = check(tmp_path, layers, images(17, 3, 9, 10, 3))
    assert [row.name for row in found.report.rows][:3] == ["images", "first", "norm1"]
    assert ("optimizer_weights", "state of the optimiser") in found.report.left_out


@pytest.mark.parametrize("version", [2, 3])
def test_branches(tmp_path: Path, version: int) -> None:
    layers = [
        layer("Conv2D", "stem", {"kernel": latent(18, 3, 3, 2, 4)}, ["images"], padding="same", use_bias=False),
        layer("QuantConv2D", "a", {"kernel": latent(19, 3, 3, 4, 4)}, ["stem"], **BOTH, padding="same", pad_values=1.0),
        norm("b", 4, "stem"),
        layer("Add", "sum", inputs=["a", "b", "stem"]),
        layer("Concatenate", "join", inputs=["sum", "stem"], axis=3),
        layer("Multiply", "product", inputs=["join", "join"]),
        layer("GlobalMaxPooling2D", "top", inputs=["product"], data_format="channels_last", keepdims=False),
    ]
    layers[1][2]["bias"] = latent(20, 4)
    x = images(21, 2, 6, 5, 2)
    found = imported(tmp_path, layers, keras.functional(layers, x.shape[1:], version))
    np.testing.assert_array_equal(found.model(x), keras.run(layers, x).astype(np.float32))


def test_operators_between_layers(tmp_path: Path) -> None:
    """As the QuickNet of Larq Zoo adds its residuals, and multiplies by a vector of each image."""
    layers = [
        layer(
            "QuantConv2D",
            "conv",
            {"kernel": latent(22, 3, 3, 2, 2)},
            ["images"],
            **BOTH,
            padding="same",
            use_bias=False,
        ),
        layer("GlobalMaxPooling2D", "top", inputs=["conv"], keepdims=True),
        layer("TFOpLambda", "tf.math.multiply", inputs=["conv", "top"], function="math.multiply"),
        layer(
            "TFOpLambda", "tf.__operators__.add_1", inputs=["tf.math.multiply", "images"], function="__operators__.add"
        ),
    ]
    structure = keras.functional(layers, (5, 5, 2))
    for each in structure["config"]["layers"][3:]:
        ((x, y),) = each["inbound_nodes"]
        each["inbound_nodes"] = [[*x[:3], {"y": y[:3], "name": None}]]
    x = images(23, 2, 5, 5, 2)
    found = imported(tmp_path, layers, structure)
    np.testing.assert_array_equal(found.model(x), keras.run(layers, x).astype(np.float32))
    structure["config"]["layers"][4]["inbound_nodes"][0][3]["y"] = [1.0, 2.0]
    with pytest.raises(ConversionError, match=r"refers to a layer by \[1.0, 2.0\]"):
        imported(tmp_path, layers, structure)


def test_a_layer_that_is_called_twice(tmp_path: Path) -> None:
    conv = layer(
        "Conv2D", "conv", {"kernel": latent(22, 3, 3, 2, 2), "bias": latent(23, 2)}, ["images"], padding="same"
    )
    structure = keras.functional([conv], (5, 5, 2))
    structure["config"]["layers"][1]["inbound_nodes"].append([["conv", 0, 0, {}]])
    structure["config"]["output_layers"] = ["conv", 1, 0]
    x = images(24, 2, 5, 5, 2)
    found = imported(tmp_path, [conv], structure)
    np.testing.assert_array_equal(found.model(x), keras.run([conv], keras.run([conv], x)).astype(np.float32))


@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D"])
@pytest.mark.parametrize(("size", "strides"), [([2, 2], [2, 2]), ([3, 3], [2, 2]), ([3, 2], [1, 1]), ([5, 5], None)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pools(tmp_path: Path, kind: str, size: Any, strides: Any, padding: str) -> None:
    layers = [layer(kind, "pool", pool_size=size, strides=strides, padding=padding, data_format="channels_last")]
    check(tmp_path, layers, images(25, 2, 7, 8, 3), exact=kind == "MaxPooling2D")


@pytest.mark.parametrize("quantisers", [{}, {"input_quantizer": "ste_sign", "depthwise_quantizer": "ste_sign"}])
def test_one_filter_a_channel(tmp_path: Path, quantisers: Any) -> None:
    kind = "QuantDepthwiseConv2D" if quantisers else "DepthwiseConv2D"
    arrays = {"depthwise_kernel": latent(26, 3, 3, 4, 2), "bias": latent(27, 8)}
    fields = {"strides": [2, 2], "padding": "same", "depth_multiplier": 2, "kernel_size": [3, 3], "groups": 1}
    check(tmp_path, [layer(kind, "conv", arrays, **fields, **quantisers)], images(28, 2, 7, 6, 4))


@pytest.mark.parametrize("pointwise", [None, "ste_sign"])
def test_separable(tmp_path: Path, pointwise: Any) -> None:
    arrays = {
        "depthwise_kernel": latent(29, 3, 3, 3, 2),
        "pointwise_kernel": latent(30, 1, 1, 6, 5),
        "bias": latent(31, 5),
    }
    fields = {"padding": "same", "filters": 5, "input_quantizer": "ste_sign", "pointwise_quantizer": pointwise}
    check(tmp_path, [layer("QuantSeparableConv2D", "conv", arrays, **fields)], images(32, 2, 6, 6, 3))


def test_groups(tmp_path: Path) -> None:
    arrays = {"kernel": latent(33, 3, 3, 2, 6), "bias": latent(34, 6)}
    check(tmp_path, [layer("Conv2D", "conv", arrays, groups=2, filters=6)], images(35, 2, 5, 6, 4))


@pytest.mark.parametrize(
    "one",
    [
        layer("Activation", "f", activation="relu"),
        layer("Activation", "f", activation={"class_name": "function", "config": "relu6"}),
        layer("Activation", "f", activation="hard_tanh"),
        layer("Activation", "f", activation="tanh"),
        layer("Activation", "f", activation="sigmoid"),
        layer("Activation", "f", activation="linear"),
        layer("ReLU", "f", max_value=None, negative_slope=0.0, threshold=0.0),
        layer("ReLU", "f", max_value=1.0, negative_slope=0.0, threshold=0.0),
        layer("LeakyReLU", "f", alpha=0.25),
        layer("PReLU", "f", {"alpha": latent(36, 1, 1, 3)}, shared_axes=[1, 2]),
        layer("ZeroPadding2D", "f", padding=[[1, 2], [0, 3]], data_format="channels_last"),
        layer("Rescaling", "f", scale=0.5, offset=-1.0),
        layer("Normalization", "f", {"mean": latent(37, 3), "variance": [4, 0, 1], "count": 7}, axis=[-1]),
        layer("Reshape", "f", target_shape=[4, 10, 3]),
        layer("GlobalAveragePooling2D", "f", data_format="channels_last"),
        layer("Dense", "f", {"kernel": latent(38, 3, 2), "bias": latent(39, 2)}, units=2, activation="relu"),
        layer("Dense", "f", {"kernel": latent(38, 3, 2), "bias": latent(39, 2)}, units=2, activation="softmax"),
        layer("Softmax", "f", axis=-1),
    ],
    ids=lambda one: f"{one[0]} {one[1].get('activation', '')}",
)
def test_one_layer(tmp_path: Path, one: keras.Layer) -> None:
    name = one[1].get("activation")
    one = (*one[:1], {**one[1]}, *one[2:])
    x = images(40, 3, 5, 8, 3) * 4
    structure = keras.sequential([norm("norm", 3), one], x.shape[1:])
    found = imported(tmp_path, [norm("norm", 3), one], structure)
    if isinstance(name, dict):
        one[1]["activation"] = name["config"]
    np.testing.assert_allclose(found.model(x), keras.run([norm("norm", 3), one], x), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("shape", "given"), [((12,), None), ((12,), (2, 3, 2)), ((4, 3), None)])
def test_images_of_fewer_axes(tmp_path: Path, shape: Any, given: Any) -> None:
    layers = [
        layer("Flatten", "flat"),
        layer("QuantDense", "dense", {"kernel": latent(41, 12, 3)}, **BOTH, use_bias=False),
    ]
    found = imported(tmp_path, layers, keras.sequential(layers, shape), input_shape=given)
    x = images(42, 2, *found.model.input_shape)
    assert given in (None, found.model.input_shape)
    np.testing.assert_array_equal(found.model(x), keras.run(layers, x).astype(np.float32))


def test_weights_alone_and_a_network_beside_them(tmp_path: Path) -> None:
    layers = [layer("QuantConv2D", "conv", {"kernel": latent(43, 3, 3, 2, 4)}, **BOTH, use_bias=False)]
    source = keras.write(tmp_path / "weights.h5", layers)
    with pytest.raises(ConversionError, match=r"weights\.json beside it"):
        read(source, "larq")
    structure = json.dumps(keras.sequential(layers, (None, None, 2)))
    (tmp_path / "weights.json").write_text(structure)
    with pytest.raises(ConversionError, match="--input-shape"):
        read(source, "larq")
    x = images(44, 1, 6, 6, 2)
    y = read(source, "larq", Options((6, 6, 2), mean=(0.5,), std=(0.25,))).model(x)
    np.testing.assert_array_equal(y, keras.run(layers, x))
    (tmp_path / "weights.json").rename(tmp_path / "other.json")
    found = read(source, "larq", Options((6, 6, 2), structure=str(tmp_path / "other.json")))
    np.testing.assert_array_equal(found.model(x), y)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_other_types_of_numbers(tmp_path: Path, dtype: str) -> None:
    layers = [layer("QuantConv2D", "conv", {"kernel": latent(45, 3, 3, 2, 4)}, **BOTH, use_bias=False)]
    x = images(46, 1, 6, 6, 2)
    source = keras.write(tmp_path / "model.h5", layers, keras.sequential(layers, (6, 6, 2)), dtype)
    np.testing.assert_array_equal(read(source, "larq").model(x), keras.run(layers, x))


def test_the_sample_of_larq(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "foreign" / "larq_model.h5"
    if not source.is_file():
        pytest.skip("no sample of Larq in the folder of shared data")
    found = read(source, "larq")
    rows = [(row.name, row.kind, row.became) for row in found.report.rows]
    assert rows == [
        ("flatten_input", "InputLayer", "Input 1x512x1"),
        ("flatten", "Flatten", "Flatten"),
        ("quant_dense", "QuantDense", "BwnConv, 512 outputs"),
        ("quant_dense_1", "QuantDense", "XnorConv, 10 outputs, Softmax"),
    ]
    found.model.save(tmp_path / "packed.h5")
    again = binnet.load(tmp_path / "packed.h5")
    assert again.gives_probabilities
    np.testing.assert_allclose(again(images(47, 4, 1, 512, 1)).sum(axis=1), 1, rtol=1e-6)
