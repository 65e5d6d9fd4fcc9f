"""Every array of a trace, compared with plain loops."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from binnet.lab.trace import Layer, checks, trace_layer
from naive import naive_conv2d, naive_pack_signs, naive_scale_map, naive_sign, naive_weight_alpha


@st.composite
def layers(draw):
    """An input (H, W, C) with zeros of both signs, and a layer that slides over it."""
    c = draw(st.sampled_from([1, 3, 31, 32, 33, 63, 64, 65, 130]))
    kh, kw, o = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    h, w = draw(st.integers(kh, 5)), draw(st.integers(kw, 5))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.standard_normal((h, w, c)).astype(np.float32)
    x[rng.random(x.shape) < 0.1], x[rng.random(x.shape) < 0.1] = 0.0, -0.0
    weight = rng.standard_normal((o, kh, kw, c)).astype(np.float32)
    return x, Layer.of_weight(weight, stride, padding, pad_value=draw(st.sampled_from([0, 1, -1])))


@given(layers())
def test_every_array_against_plain_loops(case):
    x, layer = case
    t, window, weight = trace_layer(x, layer), layer.window, layer.weight
    np.testing.assert_array_equal(t.sign_x, naive_sign(x))
    np.testing.assert_array_equal(layer.weight_sign, naive_sign(weight))
    np.testing.assert_array_equal(t.x_words, naive_pack_signs(x))
    np.testing.assert_array_equal(t.weight_words, naive_pack_signs(weight))
    np.testing.assert_allclose(t.mean_abs_x, np.abs(x).mean(axis=2), rtol=1e-5)
    K = naive_scale_map(x[None], window.size, window.stride, window.padding)[0, :, :, 0]
    np.testing.assert_allclose(t.K, K, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(layer.alpha, naive_weight_alpha(weight), rtol=1e-5)
    dots = naive_conv2d(naive_sign(x)[None], naive_sign(weight), window.stride, window.padding, layer.pad_value)[0]
    np.testing.assert_array_equal(t.dots, dots)
    np.testing.assert_array_equal(t.dots, t.n - 2 * t.differing - t.border)
    assert t.dots.dtype == t.differing.dtype == t.border.dtype == np.int32
    np.testing.assert_allclose(t.y, dots * K[..., None] * layer.alpha, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(t.y_without_k, dots * layer.alpha, rtol=1e-5)
    conv = naive_conv2d(x[None], weight, window.stride, window.padding)[0]
    np.testing.assert_allclose(t.conv, conv, rtol=1e-4, atol=1e-4)
    assert [check.says for check in checks(t) if not check.passed] == []


def test_the_border_is_corrected_only_where_it_counts_as_zero(rng):
    x, weight = rng.standard_normal((4, 4, 3)), rng.standard_normal((2, 3, 3, 3))
    corrected = trace_layer(x, Layer.of_weight(weight, padding=1)).border
    assert not corrected[1:-1, 1:-1].any()
    assert corrected[0].any()
    assert not trace_layer(x, Layer.of_weight(weight, padding=1, pad_value=-1)).border.any()


def test_bits_counted_by_hand():
    x = np.array([[[1.0, -2.0, 0.0, -0.0, -3.0]]])
    t = trace_layer(x, Layer.of_weight([[[[1.0, 1.0, -1.0, 1.0, -5.0]]]]))
    assert (t.n, t.words) == (5, 1)
    assert [hex(int(word)) for word in (t.x_words[0, 0, 0], t.weight_words[0, 0, 0, 0])] == ["0x12", "0x14"]
    assert (t.differing.item(), t.dots.item()) == (2, 1)
    assert t.layer.alpha.item() == pytest.approx(9 / 5)
    assert t.K.item() == t.mean_abs_x.item() == pytest.approx(6 / 5)
    assert t.y.item() == pytest.approx(54 / 25)
    assert t.conv.item() == pytest.approx(1 - 2 + 15)


@pytest.mark.parametrize(
    ("x", "wrong"),
    [(np.zeros((4, 4)), "3 dimensions"), (np.zeros((4, 4, 2)), "channels"), (np.zeros((2, 2, 3)), "smaller than")],
)
def test_what_does_not_fit(x, wrong):
    with pytest.raises(ValueError, match=wrong):
        trace_layer(x, Layer.of_weight(np.ones((2, 3, 3, 3))))


def test_words_that_are_no_numbers():
    with pytest.raises(TypeError, match="real numbers"):
        trace_layer(np.full((4, 4, 3), "a"), Layer.of_weight(np.ones((2, 3, 3, 3))))


def test_nan_counts_as_plus_one_and_reaches_k(rng):
    x = rng.standard_normal((3, 3, 4)).astype(np.float32)
    x[0, 0, 0] = np.nan
    t = trace_layer(x, Layer.of_weight(rng.standard_normal((2, 2, 2, 4))))
    assert t.sign_x[0, 0, 0] == 1
    assert np.isnan(t.K[0, 0])
    assert not np.isnan(t.K[1, 1])
    assert all(check.passed for check in checks(t))
