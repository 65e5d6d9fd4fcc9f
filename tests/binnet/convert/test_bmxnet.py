"""Import of BMXNet: files written here from the format's description, an oracle in plain NumPy, and the sample."""

import json
import struct

import numpy as np
import pytest
from PIL import Image

import binnet
import binnet_datasets
from binnet.convert import ConversionError, Options, read

TYPES = {"f4": 0, "f8": 1}


def array_bytes(array, form):
    """An array in one of the three forms of MXNet."""
    axes = len(array.shape)
    head = {
        "old": struct.pack(f"<I{axes}I", axes, *array.shape),
        "v1": struct.pack(f"<II{axes}q", 0xF993FAC8, axes, *array.shape),
        "v2": struct.pack(f"<IiI{axes}q", 0xF993FAC9, 0, axes, *array.shape),
    }[form]
    return head + struct.pack("<iii", 1, 0, TYPES[array.dtype.str[1:]]) + array.tobytes()


def params_bytes(arrays, form="old"):
    body = struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(array_bytes(a, form) for a in arrays.values())
    names = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in arrays)
    return body + struct.pack("<Q", len(arrays)) + names


def words(signs, bits=64):
    """Signs (..., n) as words within floats: bit 1 for +1, the lowest bit first."""
    packed = np.packbits(signs > 0, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view(f"<f{bits // 8}")


class Net:
    """A network as MXNet writes it, and its arrays."""

    def __init__(self):
        self.nodes, self.arrays = [], {}
        self.variable("data", None)

    def variable(self, name, array):
        self.nodes.append({"op": "null", "name": name, "inputs": []})
        if array is not None:
            self.arrays[name] = array
        return len(self.nodes) - 1

    def add(self, op, name, reads, arrays=(), **attributes):
        inputs = [*reads, *(self.variable(f"{name}_{i}", each) for i, each in enumerate(arrays))]
        attributes = {key: str(value) for key, value in attributes.items()}
        self.nodes.append({"op": op, "name": name, "attr": attributes, "inputs": [[i, 0, 0] for i in inputs]})
        return len(self.nodes) - 1

    def write(self, folder, form="old"):
        path = folder / "net-0001.params"
        path.write_bytes(params_bytes({f"arg:{name}": array for name, array in self.arrays.items()}, form))
        (folder / "net-symbol.json").write_text(json.dumps({"nodes": self.nodes}))
        return path


def convolved(x, weight, pad, value=0.0):
    """Naive sums of (N, C, H, W) with (O, C, KH, KW)."""
    n, _, h, w = x.shape
    o, _, kh, kw = weight.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=value)
    out = np.zeros((n, o, h + 2 * pad - kh + 1, w + 2 * pad - kw + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = x[:, None, :, i : i + kh, j : j + kw]
            out[:, :, i, j] = (window * weight).sum(axis=(2, 3, 4))
    return out


def sign(x):
    return np.where(x >= 0, 1.0, -1.0)


@pytest.mark.parametrize("form", ["old", "v1", "v2"])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("fixed", [True, False])
def test_real_layers_and_binary_dense_layers(tmp_path, form, bits, fixed):
    rng = np.random.default_rng(bits)
    real, bias = rng.standard_normal((64, 2, 3, 3)).astype("f4"), rng.standard_normal(64).astype("f4")
    gamma, beta, mean = (rng.standard_normal(64).astype("f4") for _ in range(3))
    variance, dense = rng.uniform(0.5, 2, 64).astype("f4"), sign(rng.standard_normal((64, 64 * 3 * 3)))
    last = rng.standard_normal((5, 64)).astype("f4")
    net = Net()
    at = net.add("Convolution", "conv", [0], [real, bias], kernel=(3, 3), num_filter=64, pad=(1, 1))
    at = net.add("Activation", "tanh", [at], act_type="tanh")
    at = net.add("BatchNorm", "norm", [at], [gamma, beta, mean, variance], fix_gamma=fixed, eps=0.01)
    at = net.add("QActivation", "act", [at], act_bit=1, backward_only=True)
    at = net.add("Pooling", "pool", [at], kernel=(2, 2), stride=(2, 2), pool_type="max")
    at = net.add("Flatten", "flat", [at])
    blocks = words(dense, bits)  # (output, block); the file has them block by block
    at = net.add("QFullyConnected", "qfc", [at], [np.ascontiguousarray(blocks.T).ravel()], num_hidden=64)
    at = net.add("FullyConnected", "fc", [at], [last], num_hidden=5, no_bias=True)
    net.add("SoftmaxOutput", "softmax", [at])
    net.arrays["momentum"] = bias
    found = read(net.write(tmp_path, form), "bmxnet", Options(input_shape=(6, 6, 2)))

    x = rng.standard_normal((3, 2, 6, 6)).astype("f4")
    y = np.tanh(convolved(x, real, 1) + bias[:, None, None])
    scale = (1 if fixed else gamma) / np.sqrt(variance + 0.01)
    y = (y - mean[:, None, None]) * np.reshape(scale, (-1, 1, 1)) + beta[:, None, None]
    pooled = y.reshape(3, 64, 3, 2, 3, 2).max(axis=(3, 5)).reshape(3, -1)
    expected = ((sign(pooled) @ dense.T + dense.shape[1]) / 2) @ last.T
    np.testing.assert_allclose(found.model(x.transpose(0, 2, 3, 1)), expected, rtol=1e-4, atol=1e-3)
    assert [row.kind for row in found.report.rows][-1] == "FullyConnected"
    assert ("momentum", "an array that the network does not read") in found.report.left_out


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("bits", "pad"), [(32, 0), (64, 1), (64, 2)])
def test_a_binary_convolution_has_a_border_of_plus_one_and_counts_equal_signs(tmp_path, bits, pad, packed):
    rng = np.random.default_rng(pad)
    binary = sign(rng.standard_normal((8, 64, 3, 3)))
    weight = words(binary.reshape(8, -1), bits).ravel() if packed else (0.1 * binary).astype("f4")
    net = Net()
    at = net.add("QConvolution", "qconv", [0], [weight], kernel=(3, 3), num_filter=8, pad=(pad, pad))
    net.add("LeakyReLU", "leaky", [at], act_type="leaky", slope=0.5)
    found = read(net.write(tmp_path), "bmxnet", Options(input_shape=(5, 6, 64)))
    x = rng.integers(-1, 2, (2, 64, 5, 6)).astype("f4")  # zeros too, whose sign is +1
    expected = (convolved(sign(x), binary, pad, 1.0) + 9 * 64) / 2
    np.testing.assert_array_equal(found.model(x.transpose(0, 2, 3, 1)), expected.transpose(0, 2, 3, 1))


def dense_net():
    net = Net()
    net.add("FullyConnected", "fc", [0], [np.ones((3, 12), "f4"), np.zeros(3, "f4")], num_hidden=3)
    return net


def test_the_smallest_network(tmp_path):
    found = read(dense_net().write(tmp_path), "bmxnet", Options(input_shape=(2, 2, 3)))
    assert found.model(np.ones((1, 2, 2, 3), np.float32)).tolist() == [[12, 12, 12]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: net.nodes[-1].update(op="Deconvolution"), "fc: the operator Deconvolution is not supported"),
        (lambda net: net.nodes[-1]["attr"].update(num_hidden="4"), r"expected an array \(4, 12\) of floats"),
        (lambda net: net.nodes[-1]["attr"].update(num_hidden="(1)*9**9**9"), "cannot read num_hidden"),
        (lambda net: net.arrays.pop("fc_0"), "the file has no array fc_0"),
        (lambda net: net.nodes[-1].update(inputs=[[99, 0, 0]]), "is not a network of MXNet: operator 3"),
        (lambda net: net.nodes[-1].update(inputs=[]), "reads no result"),
        (
            lambda net: net.arrays.update(fc_0=np.full((3, 12), np.nan, "f4")),
            "fc.weight has values that are not finite",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path, change, message):
    net = dense_net()
    change(net)
    with pytest.raises(ConversionError, match=message):
        read(net.write(tmp_path), "bmxnet", Options(input_shape=(2, 2, 3)))


def test_damaged_files_give_one_sentence(tmp_path):
    path = dense_net().write(tmp_path)
    good, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        bad = bytearray(good)
        for at in rng.integers(0, len(bad), rng.integers(1, 4)):
            bad[at] = rng.integers(256)
        path.write_bytes(bytes(bad[: rng.integers(1, len(bad) + 1)]) if rng.integers(2) else bytes(bad))
        try:
            read(path, "bmxnet", Options(input_shape=(2, 2, 3)))
        except ConversionError as error:
            assert "\n" not in str(error)  # noqa: PT017  # either a model or a sentence


def flat_sum(softmax_between=False):
    """A dense layer behind the sum of two flattened maps."""
    rng, net = np.random.default_rng(0), Net()
    one = net.add("Flatten", "one", [0])
    two = net.add("Flatten", "two", [net.add("Activation", "positive", [0], act_type="relu")])
    last = net.add("elemwise_add", "sum", [one, two])
    if softmax_between:
        last = net.add("softmax", "between", [last])
    weight = rng.standard_normal((2, 12)).astype("f4")
    net.add("FullyConnected", "dense", [last], [weight], num_hidden=2, no_bias=True)
    return net, weight


@pytest.mark.parametrize("softmax", [False, True])
def test_features_keep_their_order_through_a_sum(tmp_path, softmax):
    net, weight = flat_sum(softmax)
    found = read(net.write(tmp_path), "bmxnet", Options(input_shape=(2, 2, 3)))
    x = np.random.default_rng(1).standard_normal((4, 3, 2, 2)).astype("f4")
    y = (x + np.maximum(x, 0)).reshape(4, -1).astype(float)
    y = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True) if softmax else y
    np.testing.assert_allclose(found.model(x.transpose(0, 2, 3, 1)), y @ weight.T, rtol=1e-4, atol=1e-5)


def test_results_are_those_of_the_heads(tmp_path):
    net = dense_net()
    last = len(net.nodes) - 1
    net.add("Activation", "unread", [last], act_type="tanh")
    path = net.write(tmp_path)
    with_heads = {"nodes": net.nodes, "heads": [[last, 0, 0]]}
    (tmp_path / "net-symbol.json").write_text(json.dumps(with_heads))
    found = read(path, "bmxnet", Options(input_shape=(2, 2, 3)))
    assert found.model.graph.nodes[-1].kind == "Conv"
    assert ("unread", "the result does not need it") in found.report.left_out
    (tmp_path / "net-symbol.json").write_text(json.dumps(with_heads | {"heads": [[last, 0, 0], [last + 1, 0, 0]]}))
    with pytest.raises(ConversionError, match="expected one"):
        read(path, "bmxnet")


def test_what_would_be_silently_wrong_is_refused(tmp_path):
    net = Net()
    net.add("Flatten", "flat", [0])
    with pytest.raises(ConversionError, match="the result is a flattened map of 2x2x3, whose order is another here"):
        read(net.write(tmp_path), "bmxnet", Options(input_shape=(2, 2, 3)))
    net = Net()
    net.add("Concat", "joined", [0], [np.ones((1, 3, 2, 2), "f4")], dim=1)
    with pytest.raises(ConversionError, match=r"joined \(Concat\): it joins an array of the file"):
        read(net.write(tmp_path), "bmxnet", Options(input_shape=(2, 2, 3)))
    net = Net()
    net.add("Activation", "after", [net.add("softmax", "map", [0])], act_type="relu")
    with pytest.raises(ConversionError, match=r"map \(softmax\): a softmax of a map is not supported"):
        read(net.write(tmp_path), "bmxnet", Options(input_shape=(2, 2, 3)))
    net = Net()
    net.add("Flatten", "flat", [0])
    with pytest.raises(ConversionError, match="values for an image, more than"):
        read(net.write(tmp_path), "bmxnet", Options(input_shape=(60000, 60000, 2)))


def test_a_missing_network_is_named(tmp_path):
    path = dense_net().write(tmp_path)
    (tmp_path / "net-symbol.json").unlink()
    with pytest.raises(ConversionError, match=r"there is no network .*net-symbol.json beside"):
        read(path, "bmxnet")


def large_digits():
    """The built-in digits as MNIST is made: 20 pixels high, the centre of mass in the middle of 28x28."""
    digits = binnet_datasets.load("digits")
    images = np.zeros((len(digits.test), 28, 28, 1), np.uint8)
    for image, digit in zip(images, digits.test.images[:, :, :, 0], strict=True):
        large = np.asarray(Image.fromarray(digit).resize((18, 18), Image.Resampling.LANCZOS))
        middle = (np.average(np.arange(18), weights=large.sum(axis=axis)) for axis in (1, 0))
        top, left = (min(max(round(13.5 - each), 0), 10) for each in middle)
        image[top : top + 18, left : left + 18, 0] = large
    return images, digits.test.labels


def test_the_sample_tells_digits_apart(shared, tmp_path, say):
    path = shared / "data/foreign/binarized_mnist_64bit-0001.params"
    if not path.is_file():
        pytest.skip("no sample of BMXNet")
    out = tmp_path / "mnist.h5"
    code, text, err = say("import", path, out, "--from", "bmxnet", "--mean", "0", "--std", "1")
    assert (code, err) == (0, "")
    assert "γ = 1 (fix_gamma)" in text
    assert "dense XnorConv, 1024 to 1000" in text
    images, labels = large_digits()
    model = binnet.load(out)
    assert (model(images).argmax(axis=1) == labels).mean() > 0.75  # 0.81 was measured on all of them
    Image.fromarray(images[0, :, :, 0]).save(tmp_path / "digit.png")
    assert say("predict", out, tmp_path / "digit.png")[0] == 0
    assert say("summary", out)[0] == 0
    assert say("trace", out, tmp_path / "digit.png")[0] == 0
