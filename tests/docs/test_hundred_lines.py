"""``docs/xnor_net_in_100_lines.py``: its length, its pieces beside those of binnet, and its training."""

import ast
import io
import tokenize

import numpy as np
import pytest

import binnet_datasets
import binnet_kernels as bk
from binnet import Tensor, nn, ops

NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


@pytest.fixture(scope="module")
def path(root):
    return root / "docs" / "xnor_net_in_100_lines.py"


@pytest.fixture(scope="module")
def hundred(script):
    return script("docs/xnor_net_in_100_lines.py")


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def draw(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def test_at_most_100_lines_of_code_without_binnet(path):
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    documented = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.FunctionDef | ast.ClassDef)]
    documented = [n.body[0] for n in documented if ast.get_docstring(n)]
    docstrings = {line for d in documented for line in range(d.lineno, d.end_lineno + 1)}
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in NO_CODE]
    code = {line for t in tokens for line in range(t.start[0], t.end[0] + 1)} - docstrings
    assert 50 < len(code) <= 100
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported == {"numpy", "h5py", "pathlib"}


@pytest.mark.parametrize("n", [1, 7, 63, 64, 65, 128, 200])
def test_words_and_dot_products_are_those_of_the_kernels(hundred, rng, n):
    a, b = draw(rng, 5, n), draw(rng, 3, n)
    a[0, 0], b[0, 0] = 0.0, -0.0
    assert np.array_equal(hundred.sign(a), bk.sign(a))
    assert np.array_equal(hundred.pack(a), bk.pack_signs(a))
    dots = hundred.xnor_dot(hundred.pack(a), hundred.pack(b), n)
    assert np.array_equal(dots, bk.xnor_gemm(bk.pack_signs(a), bk.pack_signs(b), n))
    assert np.array_equal(dots, (bk.sign(a) @ bk.sign(b).T).astype(int))


def test_scale_and_convolution_are_those_of_the_kernels(hundred, rng):
    x, weight = draw(rng, 2, 6, 7, 11), draw(rng, 4, 3, 3, 11)
    np.testing.assert_allclose(hundred.scale(weight), bk.weight_alpha(weight), rtol=1e-6)
    np.testing.assert_allclose(hundred.xnor_conv(x, weight), bk.XnorConv2d(weight)(x), rtol=1e-5)


def test_gradients_are_those_of_binnet(hundred, rng):
    x, weight, grad = draw(rng, 2, 6, 6, 5), 0.8 * draw(rng, 4, 3, 3, 5), draw(rng, 2, 4, 4, 4)
    layer = hundred.XnorConv(rng, 5, 4, 3)
    layer.weight[...] = weight
    ours = nn.BinConv2d(5, 4, 3, rng=0)
    ours.weight.data[...] = weight
    inputs = Tensor(x, requires_grad=True)
    y = ours(inputs)
    y.backward(grad)
    np.testing.assert_allclose(layer.forward(x, True), y.numpy(), rtol=1e-5)
    np.testing.assert_allclose(layer.backward(grad), inputs.grad, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.grads[0], ours.weight.grad, rtol=1e-4, atol=1e-5)
    assert (np.abs(weight) > 1).any()
    assert (np.abs(x) > 1).any()

    g, w = draw(rng, 3, 20), draw(rng, 3, 20)
    expected = ops.grad_weight(g, w, ops.weight_alpha(w), "exact")
    np.testing.assert_allclose(hundred.weight_grad(g, w), expected, rtol=1e-5, atol=1e-6)


def test_real_convolution_and_normalisation(hundred, rng):
    x, grad = draw(rng, 3, 5, 5, 4), draw(rng, 3, 3, 3, 2)
    layer = hundred.Conv(rng, 4, 2, 3)
    inputs, weight = Tensor(x, requires_grad=True), Tensor(layer.weight, requires_grad=True)
    y = ops.conv2d(inputs, weight)
    y.backward(grad)
    np.testing.assert_allclose(layer.forward(x, True), y.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.backward(grad), inputs.grad, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.grads[0], weight.grad, rtol=1e-4, atol=1e-5)

    norm, ours, inputs, grad = (
        hundred.BatchNorm(4),
        nn.BatchNorm(4),
        Tensor(x, requires_grad=True),
        draw(rng, 3, 5, 5, 4),
    )
    y = ours(inputs)
    y.backward(grad)
    np.testing.assert_allclose(norm.forward(x, True), y.numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(norm.backward(grad), inputs.grad, rtol=1e-3, atol=1e-4)


def test_digits_are_those_of_binnet(root, hundred):
    x, y, x_val, y_val = hundred.digits(root / "datasets" / "binnet_datasets" / "named" / "digits.h5")
    data = binnet_datasets.load("digits")
    assert (x.shape, x_val.shape) == ((1437, 8, 8, 1), (360, 8, 8, 1))
    assert np.array_equal(y, data.train.labels)
    assert np.array_equal(y_val, data.test.labels)
    assert abs(float(x.mean())) < 1e-3
    assert set(y) == set(y_val) == set(range(10))


@pytest.mark.slow
def test_training_reaches_95_per_cent(root, hundred):
    accuracy = hundred.train(root / "datasets" / "binnet_datasets" / "named" / "digits.h5", epochs=4)  # the page has 12
    assert accuracy >= 0.95
