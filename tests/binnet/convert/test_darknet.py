"""Import of Darknet: files written here from the format's description, and an oracle in plain NumPy."""

import struct

import numpy as np
import pytest

from binnet.convert import ConversionError, Options, read

NET = "[net]\nheight={h}\nwidth={w}\nchannels={c}\n\n"


def write(folder, text, arrays, version=(0, 2, 0), seen="<Q"):
    (folder / "net.cfg").write_text(text)
    header = struct.pack("<3i", *version) + struct.pack(seen, 64)
    path = folder / "net.weights"
    path.write_bytes(header + b"".join(np.asarray(a, "<f4").tobytes() for a in arrays))
    return path


def convolved(x, weight, pad, stride=1):
    """Naive sums of (N, C, H, W) with (O, C, K, K); the border is 0."""
    size = weight.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = ((n - size) // stride + 1 for n in x.shape[2:])
    out = np.zeros((len(x), len(weight), rows, columns))
    for i in range(rows):
        for j in range(columns):
            window = x[:, None, :, i * stride : i * stride + size, j * stride : j * stride + size]
            out[:, :, i, j] = (window * weight).sum(axis=(2, 3, 4))
    return out


def images(rng, h, w, c):
    x = rng.standard_normal((2, c, h, w)).astype("f4")
    x[rng.random(x.shape) < 0.2] = 0  # which Darknet takes for -1
    return x


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("version", "seen"), [((0, 1, 0), "<i"), ((0, 2, 5), "<Q")])
def test_a_binary_layer(tmp_path, stride, version, seen):
    rng = np.random.default_rng(stride)
    weight = rng.standard_normal((5, 3, 3, 3))
    weight[0, 0, 0] = 0
    bias, scale, mean, variance = (rng.uniform(0.5, 2, 5) * [1, -1, 1, -1, 1] for _ in range(4))
    text = NET.format(h=6, w=7, c=3) + "[convolutional]\nxnor = 1\nbatch_normalize=1\nfilters=5\nsize=3\npad=1\n"
    text += f"stride={stride}\nactivation=leaky\n"
    path = write(tmp_path, text, [bias, scale, mean, abs(variance), weight], version, seen)
    found = read(path, "darknet")
    x = images(rng, 6, 7, 3)
    alpha = np.abs(weight).mean(axis=(1, 2, 3))
    y = convolved(np.where(x > 0, 1, -1), np.where(weight > 0, 1, -1), 1, stride) * alpha[:, None, None]
    y = (y - mean[:, None, None]) / (np.sqrt(abs(variance)) + 1e-6)[:, None, None]
    y = y * scale[:, None, None] + bias[:, None, None]
    y = np.where(y > 0, y, 0.1 * y)
    np.testing.assert_allclose(found.model(x.transpose(0, 2, 3, 1)), y.transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-4)
    assert found.report.rows[0].became == "XnorConv 3x3, 5 filters"
    assert found.model.info.mean == (0.0, 0.0, 0.0)  # Darknet scales pixels to 0..1


def test_a_network_with_branches_and_a_dense_layer(tmp_path):
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((4, 2, 1, 1)), rng.standard_normal((4, 4, 3, 3))
    biases, dense = rng.standard_normal((3, 4)), rng.standard_normal((3, 8 * 2 * 3))
    text = NET.format(h=4, w=6, c=2) + "[convolutional]\nfilters=4\nsize=1\nactivation=relu\n"
    text += "[convolutional]\nbinary=1\nfilters=4\nsize=3\npad=1\nactivation=linear\n[shortcut]\nfrom=-2\n"
    text += "[route]\nlayers=-1,0\n[maxpool]\nsize=2\nstride=2\npadding=0\n[dropout]\n"
    text += "[connected]\noutput=3\nactivation=logistic\n[softmax]\n[cost]\n"
    found = read(write(tmp_path, text, [biases[0], first, biases[1], second, biases[2, :3], dense]), "darknet")
    x = images(rng, 4, 6, 2)
    a = np.maximum(convolved(x, first, 0) + biases[0][:, None, None], 0)
    signs = np.where(second > 0, 1, -1) * np.abs(second).mean(axis=(1, 2, 3))[:, None, None, None]
    b = convolved(a, signs, 1) + biases[1][:, None, None] + a
    joined = np.concatenate([b, a], axis=1).reshape(2, 8, 2, 2, 3, 2).max(axis=(3, 5))
    y = 1 / (1 + np.exp(-(joined.reshape(2, -1) @ dense.T + biases[2, :3])))
    y = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.model(x.transpose(0, 2, 3, 1)), y, rtol=1e-4)
    assert [name for name, _ in found.report.left_out] == ["dropout5", "cost8"]


def test_a_layer_that_nothing_reads_is_left_out(tmp_path):
    text = NET.format(h=2, w=2, c=1) + "[convolutional]\nfilters=3\nactivation=linear\n"
    text += "[convolutional]\nfilters=2\nactivation=relu\n[route]\nlayers=0\n[avgpool]\n"
    weights = [[0, 0, 0], [1, 2, 3], [0, 0], np.ones(6)]
    found = read(write(tmp_path, text, weights), "darknet")
    assert found.model(np.full((1, 2, 2, 1), 2, np.float32)).tolist() == [[2, 4, 6]]
    names = [name for name, reason in found.report.left_out if reason == "nothing reads its result"]
    assert names
    assert all(name.startswith("convolutional1") for name in names)


SMALL = NET.format(h=2, w=2, c=1) + "[connected]\noutput=2\nactivation=linear\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + "[yolo]\n", "binnet does not know sections of this kind"),
        (SMALL.replace("linear", "stair"), "binnet does not know the activation 'stair'"),
        (SMALL + "gru=1\n", "binnet does not know the setting 'gru'"),
        (SMALL.replace("output=2", "output=two"), "output must be a whole number, got 'two'"),
        (SMALL.replace("output=2", "output=--2"), "output must be a whole number, got '--2'"),
        (SMALL.replace("output=2", "output=3"), "ends before the 12 numbers"),
        (SMALL.replace("output=2", "output=1"), "has 20 bytes more than the network takes"),
        ("[net]\n[connected]\noutput=2\n", "does not say height, width and channels"),
        ("nothing", "expected .section. or key=value"),
        (SMALL + "[shortcut]\nfrom=-9\n", "there is no layer '-9' in front of it"),
        (SMALL + "output=3\n", "'output' is there twice in its section"),
        (
            NET.format(h=2, w=2, c=1) + "[softmax]\n" + SMALL.partition("\n\n")[2],
            "softmax of one pixel only, got 2x2",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path, text, message):
    path = write(tmp_path, text, [np.zeros(2), np.ones((2, 4))])
    with pytest.raises(ConversionError, match=message):
        read(path, "darknet")


def test_damaged_files_give_one_sentence(tmp_path):
    path = write(tmp_path, SMALL, [np.zeros(2), np.ones((2, 4))])
    assert read(path, "darknet").model(np.ones((1, 2, 2, 1), np.float32)).tolist() == [[4, 4]]
    weights, config, rng = path.read_bytes(), SMALL.encode(), np.random.default_rng(0)
    for _ in range(300):
        for name, good in (("net.weights", weights), ("net.cfg", config)):
            bad = bytearray(good)
            bad[rng.integers(len(bad))] = rng.integers(256)
            (tmp_path / name).write_bytes(
                bytes(bad[: rng.integers(1, len(bad) + 1)]) if rng.integers(2) else bytes(bad)
            )
        try:
            read(path, "darknet")
        except ConversionError as error:
            assert "\n" not in str(error)  # noqa: PT017  # either a model or a sentence


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConversionError, match=r"cannot read .*net.cfg: No such file"):
        read(tmp_path / "net.weights", "darknet")
    (tmp_path / "own.cfg").write_text(SMALL)
    with pytest.raises(ConversionError, match=r"cannot read .*net.weights: No such file"):
        read(tmp_path / "net.weights", "darknet", Options(structure=str(tmp_path / "own.cfg")))
