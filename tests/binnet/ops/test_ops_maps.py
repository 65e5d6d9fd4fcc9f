"""Operations on maps: concatenation, border, PReLU, softmax and the grouped convolution, against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet import Tensor, cross_entropy, gradcheck, ops
from naive import naive_grouped_conv2d
from naive_ops import naive_concatenate, naive_pad, naive_prelu, naive_softmax

seeds = st.integers(0, 99)
lengths = st.integers(0, 4)


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ---------------------------------------------------------------------------------------------- concatenate


@given(shape=st.lists(lengths, min_size=2, max_size=4), more=st.lists(lengths, max_size=3), seed=seeds, data=st.data())
def test_concatenate(shape, more, seed, data):
    axis = data.draw(st.integers(1, len(shape) - 1))
    front = data.draw(st.sampled_from([axis, axis - len(shape)]))
    shapes = [(*shape[:axis], length, *shape[axis + 1 :]) for length in (shape[axis], *more)]
    leaves = [Tensor(draw(seed + i, *s), requires_grad=True) for i, s in enumerate(shapes)]
    y = ops.concatenate(leaves, front)
    np.testing.assert_array_equal(y.data, naive_concatenate([x.data for x in leaves], axis))
    grad = np.arange(y.data.size, dtype=np.float32).reshape(y.shape)  # each place has a number of its own
    y.backward(grad)
    np.testing.assert_array_equal(naive_concatenate([x.grad for x in leaves], axis), grad)


def test_concatenate_gradient(leaf):
    assert gradcheck(lambda x, y: ops.concatenate([x, ops.mul(y, y), x]), leaf(2, 3, 3, 2), leaf(2, 3, 3, 4))
    assert gradcheck(lambda x, y: ops.concatenate((x, y), axis=1), leaf(2, 3, 4), leaf(2, 1, 4))


def test_the_default_axis_is_that_of_the_channels():
    assert ops.concatenate([Tensor(np.ones((2, 5, 5, 3))), Tensor(np.ones((2, 5, 5, 1)))]).shape == (2, 5, 5, 4)


@pytest.mark.parametrize(
    ("shapes", "axis", "message"),
    [
        ([], -1, "concatenate needs at least one tensor"),
        ([(2, 3)], 0, r"concatenate joins along an axis behind the batch: shape \(2, 3\) has none with number 0"),
        ([(2, 3)], -2, r"concatenate joins along an axis behind the batch: shape \(2, 3\) has none with number -2"),
        ([(2, 3)], 2, r"concatenate joins along an axis behind the batch: shape \(2, 3\) has none with number 2"),
        ([(2,)], -1, r"concatenate joins along an axis behind the batch: shape \(2,\) has none with number -1"),
        ([(2, 3), (4, 3)], 1, r"concatenate joins along axis 1, so all other .*, got \(2, 3\), \(4, 3\)"),
        ([(2, 3), (2, 3, 1)], 1, r"concatenate joins along axis 1, so all other .*, got \(2, 3\), \(2, 3, 1\)"),
    ],
)
def test_what_cannot_be_joined(shapes, axis, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        ops.concatenate([Tensor(np.ones(shape)) for shape in shapes], axis)


# ---------------------------------------------------------------------------------------------- pad


@given(
    shape=st.tuples(lengths, lengths, lengths, lengths),
    sides=st.tuples(*[st.integers(0, 3)] * 4),
    value=st.sampled_from([0.0, -1.5, float("-inf")]),
    seed=seeds,
)
def test_pad(shape, sides, value, seed):
    x = Tensor(draw(seed, *shape), requires_grad=True)
    y = ops.pad(x, sides, value)
    np.testing.assert_array_equal(y.data, naive_pad(x.data, *sides, value))
    grad = draw(seed + 1, *y.shape)
    y.backward(grad)
    inside = naive_pad(np.ones(shape), *sides, 0) == 1
    np.testing.assert_array_equal(x.grad, grad[inside].reshape(shape))


def test_pad_gradient(leaf):
    assert gradcheck(lambda x: ops.pad(x, (1, 0, 2, 1), 3.0), leaf(2, 3, 4, 2))


@pytest.mark.parametrize(("padding", "sides"), [(2, (2, 2, 2, 2)), ((1, 3), (1, 1, 3, 3)), (np.int64(1), (1, 1, 1, 1))])
def test_forms_of_a_padding(padding, sides):
    x = Tensor(np.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(ops.pad(x, padding).data, naive_pad(x.data, *sides, 0))


@pytest.mark.parametrize("padding", [-1, (1, -1), (1, 2, 3), (1, 2, 3, 4, 5), (), 1.0, True, (1, 1.0), "ab", None])
def test_wrong_paddings(padding):
    message = r"^padding must be an int, a pair of ints or four \(top, bottom, left, right\), each at least 0, got "
    with pytest.raises(ValueError, match=message):
        ops.pad(Tensor(np.ones((1, 2, 2, 1))), padding)


def test_pad_takes_images(leaf):
    with pytest.raises(ValueError, match=r"^pad works on images \(N, H, W, C\), got shape \(2, 3\)$"):
        ops.pad(leaf(2, 3), 1)


# ---------------------------------------------------------------------------------------------- prelu


@given(rows=st.lists(lengths, max_size=3), channels=st.integers(1, 5), shared=st.booleans(), seed=seeds)
def test_prelu(rows, channels, shared, seed):
    x = draw(seed, *rows, channels)
    x[np.random.default_rng(seed).random(x.shape) < 0.2] = np.nan
    slope = draw(seed + 1, 1 if shared else channels)
    np.testing.assert_allclose(ops.prelu(Tensor(x), Tensor(slope)).data, naive_prelu(x, slope), rtol=1e-6, atol=0)


@pytest.mark.parametrize("slopes", [1, 3])
def test_prelu_gradient(rng, leaf, slopes):
    values = (rng.permutation(24) - 11.5).reshape(2, 2, 2, 3) / 5  # none within a step of the kink
    assert gradcheck(ops.prelu, Tensor(values, requires_grad=True), leaf(slopes))


def test_prelu_at_special_values():
    x = Tensor([[0.0, -0.0, np.inf, -np.inf, np.nan]], requires_grad=True)
    y = ops.prelu(x, Tensor([0.5]))
    np.testing.assert_array_equal(y.data, [[0, 0, np.inf, -np.inf, np.nan]])
    y.backward(np.ones(y.shape))
    np.testing.assert_array_equal(x.grad, [[1, 1, 1, 0.5, 1]])


@pytest.mark.parametrize(("x", "slope"), [((2, 3), (2,)), ((2, 3), (3, 1)), ((2, 3), ()), ((), (1,)), ((2, 3), (0,))])
def test_slopes_must_fit(leaf, x, slope):
    with pytest.raises(ValueError, match=r"^prelu needs a slope of shape \(C,\) or \(1,\) for x \(\.\.\., C\), got \("):
        ops.prelu(leaf(*x), leaf(*slope))


# ---------------------------------------------------------------------------------------------- rprelu


def in_three(x, before, slope, after):
    return ops.add(ops.prelu(ops.add(x, before), slope), after)


@given(rows=st.lists(lengths, max_size=3), channels=st.integers(1, 40), seed=seeds)
def test_rprelu_has_the_bits_of_three_functions(rows, channels, seed):
    arrays = draw(seed, *rows, channels), *(draw(seed + i, channels) for i in (1, 2, 3))
    one, three = ([Tensor(a, requires_grad=True) for a in arrays] for _ in range(2))
    y, expected = ops.rprelu(*one), in_three(*three)
    np.testing.assert_array_equal(y.data, expected.data)
    grad = draw(seed + 4, *y.shape)
    y.backward(grad)
    expected.backward(grad)
    np.testing.assert_array_equal(one[0].grad, three[0].grad)
    for tensor, other in zip(one[1:], three[1:], strict=True):
        np.testing.assert_allclose(tensor.grad, other.grad, rtol=1e-5, atol=1e-5)


def test_rprelu_gradient(rng, leaf):
    values = (rng.permutation(24) - 11.5).reshape(2, 2, 2, 3) / 5
    before = Tensor(np.float32([0.04, -0.06, 0.02]), requires_grad=True)  # none within a step of the kink
    assert gradcheck(ops.rprelu, Tensor(values, requires_grad=True), before, leaf(3), leaf(3))


def test_the_gradient_behind_rprelu_may_be_a_view(rng):
    x, *vectors = (Tensor(draw(i, *shape), requires_grad=True) for i, shape in enumerate([(2, 3, 4, 5), *[(5,)] * 3]))
    ops.global_average(ops.rprelu(x, *vectors)).backward(np.ones((2, 5)))
    np.testing.assert_allclose(vectors[2].grad, np.full(5, 2), rtol=1e-6)


def test_a_map_without_images_or_channels_has_sums_of_zeros(leaf):
    for x, shift in ((leaf(0, 3), leaf(3)), (leaf(2, 0), leaf(0))):
        ops.add(x, shift).backward(np.ones(x.shape))
        np.testing.assert_array_equal(shift.grad, np.zeros(shift.shape))


@pytest.mark.parametrize("shapes", [[(2, 3), (2,), (3,), (3,)], [(2, 3), (3,), (1,), (3,)], [(), (), (), ()]])
def test_vectors_of_rprelu_must_fit(leaf, shapes):
    with pytest.raises(ValueError, match=r"must have (shape \(3,\)|at least one channel), got|at least one channel"):
        ops.rprelu(*(leaf(*shape) for shape in shapes))


# ---------------------------------------------------------------------------------------------- softmax


@given(rows=st.lists(lengths, max_size=3), classes=st.integers(1, 9), scale=st.sampled_from([1, 20]), seed=seeds)
def test_softmax(rows, classes, scale, seed):
    x = scale * draw(seed, *rows, classes)
    y = ops.softmax(Tensor(x)).data
    np.testing.assert_allclose(y, naive_softmax(x), rtol=1e-6, atol=np.finfo(np.float32).tiny)  # fewer bits below
    if rows and rows[0]:  # a row has the same bits whatever the others are
        np.testing.assert_array_equal(ops.softmax(Tensor(x[:1])).data, y[:1])


def test_softmax_gradient(leaf):
    assert gradcheck(ops.softmax, leaf(4, 5))
    assert gradcheck(ops.softmax, leaf(2, 3, 2, 3))


def test_the_logarithm_of_softmax_is_the_cross_entropy(leaf):
    scores, labels = leaf(5, 3), np.array([0, 1, 2, 1, 0])
    chosen = ops.softmax(scores).data[np.arange(5), labels]
    assert cross_entropy(scores, labels).item() == pytest.approx(-np.log(chosen).mean(), rel=1e-6)


def test_softmax_of_large_and_infinite_scores():
    y = ops.softmax(Tensor([[1000.0, 999.0], [-np.inf, 0.0], [np.inf, 0.0], [np.nan, 0.0], [-np.inf, -np.inf]]))
    exact = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(y.data[:2], [[exact, 1 - exact], [0, 1]], rtol=1e-6)
    assert np.isnan(y.data[2:]).any(axis=1).all()


@pytest.mark.parametrize("shape", [(), (3, 0)])
def test_softmax_needs_classes(shape):
    with pytest.raises(ValueError, match=r"^softmax needs scores \(\.\.\., C\) of at least one class, got shape \("):
        ops.softmax(Tensor(np.zeros(shape)))


# ---------------------------------------------------------------------------------------------- grouped convolution


@pytest.mark.parametrize(("groups", "filters"), [(2, 3), (4, 1), (4, 2)])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), ((2, 1), 1)])
def test_grouped_conv2d(backend, leaf, groups, filters, stride, padding):
    x, weight, bias = leaf(2, 5, 6, 4), leaf(groups * filters, 3, 2, 4 // groups), leaf(groups * filters)

    def conv(x, weight, bias=None):
        return ops.conv2d(x, weight, bias, stride=stride, padding=padding, groups=groups)

    exact = naive_grouped_conv2d(x.data, weight.data, groups, stride, padding)
    np.testing.assert_allclose(conv(x, weight, bias).data, exact + bias.data, atol=1e-5)
    assert gradcheck(conv, x, weight, bias)
    assert gradcheck(conv, Tensor(x.data), weight)
    assert gradcheck(conv, x, Tensor(weight.data))


def test_channels_must_fit_the_groups(leaf):
    with pytest.raises(ValueError, match=r"^x has 4 channels \(.*\), the weights expect 3 groups of 2$"):
        ops.conv2d(leaf(1, 5, 5, 4), leaf(6, 3, 3, 2), groups=3)
