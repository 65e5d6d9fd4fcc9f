"""State dicts by a mapping: nodes against PyTorch's arithmetic in plain NumPy, and the sample."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

import binnet_datasets
from binnet.convert import ConversionError, Options, read
from torch_files import imported, legacy, norm_state, safetensors, zipped

# ------------------------------------------------------------------------- PyTorch's layers, on maps (N, C, H, W)


def naive_conv(x, weight, stride=1, padding=0, pad=0.0, groups=1):
    x = np.pad(np.float64(x), ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=pad)
    o, inner, kh, kw = weight.shape
    oh, ow = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = np.zeros((len(x), o, oh, ow))
    for f in range(o):
        first = f // (o // groups) * inner
        for r in range(oh):
            for c in range(ow):
                window = x[:, first : first + inner, r * stride : r * stride + kh, c * stride : c * stride + kw]
                y[:, f, r, c] = (window * weight[f]).sum(axis=(1, 2, 3))
    return y


def naive_norm(x, state, name, epsilon=1e-5):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, var, gamma, beta = (
        np.float64(state.get(f"{name}.{part}", default)).reshape(-1)
        for part, default in (("running_mean", 0), ("running_var", 1), ("weight", 1), ("bias", 0))
    )
    factor = gamma / np.sqrt(var + epsilon)
    return (x - mean.reshape(shape)) * factor.reshape(shape) + beta.reshape(shape)


def signs(x, zero=1):
    return np.where(x > 0, 1.0, np.where(x < 0, -1.0, zero))


def pack_words(weight):
    """Rows of int32 words over (C, KH, KW), the lowest bit first, 1 for weights above 0."""
    rows = weight.reshape(len(weight), -1) > 0
    words = np.zeros((len(rows), -(-rows.shape[1] // 32)), np.uint32)
    for o, i in np.argwhere(rows):
        words[o, i // 32] |= np.uint32(1 << (i % 32))
    return words.view(np.int32)


@pytest.fixture
def run(tmp_path):
    """Import a state dict by a mapping given as text, and run images through it, see :func:`torch_files.imported`."""
    return partial(imported, tmp_path)


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5 * max(1, np.abs(expected).max()))


WINDOWS = [((5, 4), 3, 1, 0), ((6, 7), 3, 2, 1), ((4, 4), 1, 1, 0), ((9, 5), 5, 1, 2), ((8, 8), 2, 2, 0)]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), WINDOWS)
@pytest.mark.parametrize("pad", [0, 1, -1])
@pytest.mark.parametrize("zero", [1, -1])
def test_xnor_conv_packed_and_latent(run, rng, size, kernel, stride, padding, pad, zero):
    x = np.round(rng.normal(size=(3, 5, *size)))  # a third of the values are 0
    weight = np.float32(rng.normal(size=(7, 5, kernel, kernel)))
    alpha, bias = np.float32(rng.normal(size=(7, 1, 1, 1))), np.float32(rng.normal(size=7))
    options = f"stride = {stride}, padding = {padding}, pad_value = {pad}, zero = {zero}"
    expected = naive_conv(signs(x, zero), signs(weight), stride, padding, pad)

    state = {"c.weight": pack_words(weight), "c.alpha": alpha, "c.bias": bias}
    mapping = f'layers = [{{ kind = "xnor_conv", prefix = "c", packed = true, kernel = {kernel}, {options} }}]'
    close(run(state, mapping, x), expected * alpha[:, 0] + bias[:, None, None])

    mean = np.abs(weight).mean(axis=(1, 2, 3))[:, None, None]
    mapping = f'layers = [{{ kind = "xnor_conv", prefix = "c", {options} }}]'
    close(run({"c.weight": weight}, mapping, x, legacy), expected * mean)
    mapping = (
        f'layers = [{{ kind = "xnor_conv", prefix = "c", weight = "w", kernel = {kernel}, alpha = "one", {options} }}]'
    )
    close(run({"c.w": weight.reshape(-1, 1)}, mapping, x, legacy), expected)


def test_centred_and_clamped_weights(run, rng):
    x, weight = rng.normal(size=(2, 6, 5, 5)), np.float32(rng.normal(0.5, 1, size=(4, 6, 3, 3)))
    latent = np.clip(weight - weight.mean(axis=1, keepdims=True), -1, 1)
    alpha = np.abs(latent).mean(axis=(1, 2, 3))[:, None, None]
    mapping = 'layers = [{ kind = "xnor_conv", prefix = "c", center = true, padding = 1 }]'
    close(run({"c.weight": weight}, mapping, x), naive_conv(signs(x), signs(latent), padding=1) * alpha)


@pytest.mark.parametrize("write", [zipped, legacy, safetensors])
def test_dense_layers_behind_a_flattened_map(run, rng, write):
    """Each array about the flattened features is in PyTorch's order, channel first."""
    x, features = rng.normal(size=(3, 4, 3, 2)), 24
    state = norm_state(rng, "n", features) | norm_state(rng, "m", 6)
    state |= {"x.weight": np.float32(rng.normal(size=(6, features))), "p.weight": np.float32(rng.normal(size=features))}
    state |= {"d.weight": np.float32(rng.normal(size=(3, 6))), "d.bias": np.float32(rng.normal(size=3))}
    if write is safetensors:
        state = {name: array for name, array in state.items() if array.ndim}
    mapping = """
        epsilon = 1e-3
        layers = [
          { kind = "flatten" },
          { kind = "prelu", prefix = "p" },
          { kind = "batch_norm", prefix = "n" },
          { kind = "xnor_linear", prefix = "x" },
          { kind = "batch_norm", prefix = "m", epsilon = 1e-5 },
          { kind = "linear", prefix = "d" },
        ]
    """
    flat = x.reshape(3, -1)
    y = naive_norm(np.where(flat < 0, flat * state["p.weight"], flat), state, "n", 1e-3)
    y = signs(y) @ signs(state["x.weight"]).T * np.abs(state["x.weight"]).mean(axis=1)
    close(run(state, mapping, x, write), naive_norm(y, state, "m") @ state["d.weight"].T + state["d.bias"])

    dense = 'layers = [{ kind = "flatten" }, { kind = "linear", prefix = "d" }]'
    close(run({"d.weight": state["x.weight"]}, dense, x), flat @ state["x.weight"].T)
    packed = 'layers = [{ kind = "flatten" }, { kind = "xnor_linear", prefix = "x", packed = true }]'
    state = {"x.weight": pack_words(state["x.weight"]), "x.alpha": np.float32(rng.normal(size=(6, 1)))}
    expected = signs(flat) @ np.where(np.unpackbits(state["x.weight"].view(np.uint8), 1, 24, "little"), 1.0, -1.0).T
    close(run(state, packed, x), expected * state["x.alpha"][:, 0])


def test_a_one_bit_weight_on_real_input(run, rng):
    x, weight = rng.normal(size=(2, 3, 6, 5)), np.float32(rng.normal(size=(4, 3, 3, 3)))
    alpha = np.abs(weight).mean(axis=(1, 2, 3))[:, None, None]
    mapping = 'layers = [{ kind = "bwn_conv", prefix = "c", stride = [2, 1], padding = [1, 0, 1, 1] }]'
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (1, 1)))
    close(run({"c.weight": weight}, mapping, x), naive_conv(padded, signs(weight))[:, :, ::2] * alpha)
    mapping = 'layers = [{ kind = "flatten" }, { kind = "bwn_linear", prefix = "c", alpha = "one" }]'
    weight = np.float32(rng.normal(size=(4, 90)))
    close(run({"c.weight": weight}, mapping, x), x.reshape(2, -1) @ signs(weight).T)


def test_real_layers_pools_and_functions(run, rng):
    x = rng.normal(size=(2, 4, 8, 8))
    state = {"c.weight": np.float32(rng.normal(size=(6, 2, 3, 3))), "c.bias": np.float32(rng.normal(size=6))}
    state |= {"s.bias": np.float32(rng.normal(size=(1, 6, 1, 1))), "f.weight": np.float32(rng.normal(size=(6, 1, 1)))}
    mapping = """
        layers = [
          { kind = "conv", prefix = "c", groups = 2, padding = 1 },
          { kind = "shift", prefix = "s" }, { kind = "scale", prefix = "f" },
          { kind = "shift", value = 0.5 }, { kind = "scale", value = -2 },
          { kind = "max_pool", size = 3, stride = 2, padding = 1 }, { kind = "avg_pool", size = 2 },
          { kind = "clip", low = -3, high = 3 }, { kind = "tanh" }, { kind = "sigmoid" }, { kind = "relu" },
          { kind = "global_avg_pool" }, { kind = "flatten" }, { kind = "softmax" },
        ]
    """
    y = naive_conv(x, np.float64(state["c.weight"]), padding=1, groups=2) + state["c.bias"][:, None, None]
    y = ((y + state["s.bias"]) * state["f.weight"] + 0.5) * -2
    padded = np.pad(y, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    y = np.stack([padded[:, :, r : r + 7 : 2, c : c + 7 : 2] for r in range(3) for c in range(3)]).max(axis=0)
    y = y.reshape(2, 6, 2, 2, 2, 2).mean(axis=(3, 5))
    y = (1 / (1 + np.exp(-np.tanh(np.clip(y, -3, 3))))).mean(axis=(2, 3))
    close(run(state, mapping, x), np.exp(y) / np.exp(y).sum(axis=1, keepdims=True))


def test_a_factor_for_each_column_is_none_for_each_channel(run, rng):
    """PyTorch would multiply the columns by it, although there are as many channels."""
    layers = 'layers = [{ kind = "scale", tensor = "factor" }, { kind = "global_avg_pool" }]'
    x = np.float32(rng.standard_normal((2, 3, 4, 3)))
    factor = np.float32([1, 2, -3])
    for shape in ((3,), (1, 3, 1, 1), (3, 1, 1)):
        expected = (x * factor.reshape(1, 3, 1, 1)).mean(axis=(2, 3))
        close(run({"factor": factor.reshape(shape)}, layers, x), expected)
    for shape in ((1, 1, 1, 3), (1, 1, 3), (1, 1, 3, 1)):
        with pytest.raises(ConversionError, match="instead of one number for each of 3 channels"):
            run({"factor": factor.reshape(shape)}, layers, x)


def test_a_flattened_map_is_no_result(run, rng):
    x, state = np.float32(rng.standard_normal((2, 3, 4, 5))), {"num_batches_tracked": np.ones(1)}
    with pytest.raises(ConversionError, match="the result is a flattened map of 4x5x3, whose order is another here"):
        run(state, 'layers = [{ kind = "flatten" }, { kind = "relu" }]', x)
    mean = 'layers = [{ kind = "global_avg_pool" }, { kind = "flatten" }, { kind = "relu" }]'
    close(run(state, mean, x), np.maximum(x.mean(axis=(2, 3)), 0))


def test_branches_blocks_and_repetition(run, rng):
    x = rng.normal(size=(2, 3, 6, 6))
    state = {f"{name}.c.weight": np.float32(rng.normal(size=(3, 3, 3, 3))) for name in ("a", "b", "end")}
    state |= {"side.weight": np.float32(rng.normal(size=(2, 3, 1, 1)))}
    mapping = """
        layers = [
          { kind = "residual", prefix = ["a", "b"], pads = 1 },
          { kind = "nested", prefix = "end", name = "main" },
          { kind = "conv", prefix = "side", from = "input", name = "side" },
          { kind = "concat", from = ["previous", "main"] },
        ]
        [blocks]
        nested = [{ kind = "residual", pads = 1, size = 1 }]
        residual = [
          { kind = "xnor_conv", prefix = "c", padding = "$pads", alpha = "one" },
          { kind = "scale", value = "$size" },
          { kind = "add", from = ["previous", "input"] },
        ]
    """
    # "$size" is left out for a and b, where the layer then reads its tensor.
    state |= {"a.weight": np.full(1, 0.5, np.float32), "b.weight": np.full(3, 2, np.float32)}
    y = x
    for name, factor in (("a", 0.5), ("b", 2), ("end", 1)):
        y = y + naive_conv(signs(y), signs(state[f"{name}.c.weight"]), padding=1) * factor
    side = naive_conv(x, np.float64(state["side.weight"]))
    close(run(state, mapping, x), np.concatenate([side, y], axis=1))


# ----------------------------------------------------------------------------------------------------- the sample


@pytest.fixture(scope="module")
def digits():
    """Our digits as MNIST is made: 20 pixels high, the centre of mass in the middle of 28x28; and their labels."""
    found = binnet_datasets.load("digits")
    small = np.concatenate([found.train.images[:], found.test.images[:]])[..., 0]
    images = np.zeros((len(small), 28, 28, 1), np.uint8)
    for image, digit in zip(images, small, strict=True):
        large = np.asarray(Image.fromarray(digit).resize((20, 20), Image.Resampling.LANCZOS))
        rows, columns = (np.average(np.arange(20), weights=large.sum(axis=axis)) for axis in (1, 0))
        top, left = round(13.5 - rows), round(13.5 - columns)
        top, left = (min(max(start, 0), 8) for start in (top, left))
        image[top : top + 20, left : left + 20, 0] = large
    return images, np.concatenate([found.train.labels, found.test.labels])


@pytest.fixture
def sample(shared):
    path = shared / "data/foreign/Bin_LeNet.best9945.pth"
    if not path.is_file():
        pytest.skip("no sample of a packed XNOR-Net")
    return path


def test_the_sample_classifies_digits(sample, digits):
    found = read(sample, "pytorch", Options(mapping="xnor-packed-lenet"))
    images, labels = digits
    assert (found.model(images).argmax(axis=1) == labels).mean() > 0.88  # 0.923 was measured
    kinds = [node.kind for node in found.model.graph]
    assert kinds.count("XnorConv") == 2
    assert found.model.graph.result == (10,)
    assert found.report.left_out == []


def test_the_sample_on_the_command_line(sample, say, tmp_path, digits):
    out = tmp_path / "lenet.h5"
    code, text, _ = say("import", str(sample), str(out), "--from", "pytorch", "--mapping", "xnor-packed-lenet")
    assert code == 0
    assert "XnorConv 5x5, 50 filters" in text
    Image.fromarray(digits[0][0, :, :, 0]).save(tmp_path / "digit.png")
    assert say("summary", str(out))[0] == 0
    code, text, _ = say("predict", str(out), str(tmp_path / "digit.png"))
    assert code == 0
    assert text.split()


def test_the_sample_by_a_wrong_mapping(sample, tmp_path):
    with pytest.raises(ConversionError, match=r"layer bn_conv1 .*no tensor 'bn_conv1.running_mean'"):
        read(sample, "pytorch", Options(mapping="xnor-lenet"))
