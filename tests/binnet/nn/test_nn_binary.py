"""Binary layers, their options, and the order of blocks."""

import numpy as np
import pytest

from binnet import Tensor, nn, ops, optim
from binnet.nn.options import CHOICES
from naive import naive_bwn_conv2d, naive_bwn_linear, naive_xnor_conv2d, naive_xnor_linear
from naive_kbit import naive_kbit_conv2d, naive_kbit_linear


def generator():
    return np.random.default_rng(3)


def test_every_word_is_taken_and_others_are_listed():
    for name, words in CHOICES.items():
        for word in words:
            assert getattr(nn.BinaryOptions(**{name: word}), name) == word
        with pytest.raises(ValueError, match=f"unknown {name} 'no'; there are: {words[0]}, {words[1]}"):
            nn.BinaryOptions(**{name: "no"})
    assert set(CHOICES) == set(nn.BinaryOptions().to_dict())
    assert all(getattr(nn.BinaryOptions(), name) == words[0] for name, words in CHOICES.items())


def test_truth_values_and_numbers_are_not_mixed_up():
    with pytest.raises(ValueError, match="use_k 1"):
        nn.BinaryOptions(use_k=1)
    with pytest.raises(ValueError, match="pad_value True"):
        nn.BinaryOptions(pad_value=True)


def test_options_of_a_mapping():
    assert nn.BinaryOptions.of({"use_k": True}) == nn.BinaryOptions(use_k=True)
    with pytest.raises(ValueError, match="unknown option 'k'; there are: weight_gradient, use_k"):
        nn.BinaryOptions.of({"k": True})


@pytest.mark.parametrize("options", [{}, {"use_k": True, "pad_value": -1}, {"scale": "learned", "use_k": True}])
@pytest.mark.parametrize("scaled", [True, False])
def test_forward(rng, options, scaled):
    chosen = nn.BinaryOptions(**options)
    x = rng.standard_normal((2, 5, 5, 3)).astype(np.float32)
    use_k = chosen.use_k and scaled
    layer = nn.BinConv2d(3, 4, 3, 2, 1, **chosen.for_xnor(scaled), rng=generator())
    expected = naive_xnor_conv2d(x, layer.weight.data, 2, 1, chosen.pad_value, scaled, use_k)
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-4, atol=1e-5)
    layer = nn.BwnConv2d(3, 4, 3, 2, 1, **chosen.for_bwn(scaled), rng=generator())
    np.testing.assert_allclose(layer(x).data, naive_bwn_conv2d(x, layer.weight.data, 2, 1, scaled), atol=1e-4)
    rows = x.reshape(10, 15)
    layer = nn.BinLinear(15, 4, **chosen.for_xnor(scaled), rng=generator())
    expected = naive_xnor_linear(rows, layer.weight.data, scaled, use_k)
    np.testing.assert_allclose(layer(rows).data, expected, rtol=1e-4, atol=1e-5)
    layer = nn.BwnLinear(15, 4, **chosen.for_bwn(scaled), rng=generator())
    np.testing.assert_allclose(layer(rows).data, naive_bwn_linear(rows, layer.weight.data, scaled), atol=1e-4)


def test_flags_of_the_weights():
    layer = nn.BinConv2d(3, 4, 3, rng=generator())
    assert (layer.weight.binary, layer.weight.clip, layer.weight.decay) == (True, 1.0, False)
    assert layer.alpha is None
    assert layer.weight_binariser.scale == "mean"
    layer = nn.BwnLinear(3, 4, weight_binariser=nn.WeightBinariser("learned", clip=False), rng=generator())
    assert layer.weight.clip is None
    assert not layer.alpha.decay
    np.testing.assert_allclose(layer.alpha.data, np.abs(layer.weight.data).mean(1), rtol=1e-6)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "alpha"]
    layer = nn.BwnLinear(3, 4, weight_binariser=nn.WeightBinariser("learned", center=True), rng=generator())
    latent = layer.weight.data - layer.weight.data.mean(1, keepdims=True)
    np.testing.assert_allclose(layer.alpha.data, np.abs(latent).mean(1), rtol=1e-6)
    layer = nn.BinLinear(3, 4, **nn.BinaryOptions(scale="learned", use_k=True).for_xnor(False), rng=generator())
    assert (layer.weight_binariser.scale, layer.input_binariser.use_k, layer.alpha) == ("none", False, None)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("scale", ["mean", "learned"])
def test_binary_weight_is_what_forward_computes_with(rng, center, scale):
    layer = nn.BinConv2d(3, 4, 3, **nn.BinaryOptions(center=center, scale=scale).for_xnor(), rng=generator())
    if scale == "learned":
        layer.alpha.data *= 2
    latent, alpha = layer.binary_weight()
    x = rng.standard_normal((1, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(layer(x).data, naive_xnor_conv2d(x, latent, alpha=alpha), rtol=1e-4, atol=1e-5)
    assert np.allclose(latent.mean(3), 0, atol=1e-6) == center


def test_real_weights_are_updated_and_evaluation_leaves_them(rng):
    layer = nn.BinLinear(20, 3, rng=generator())
    x = Tensor(rng.standard_normal((4, 20)))
    before = layer.weight.data.copy()
    layer(x).backward(np.ones((4, 3)))
    np.testing.assert_array_equal(layer.weight.data, before)
    optim.SGD(layer.parameters(), lr=0.01).step()
    np.testing.assert_allclose(layer.weight.data, before - 0.01 * layer.weight.grad, rtol=1e-5, atol=1e-7)
    assert len(np.unique(np.abs(layer.weight.data))) > 3  # real numbers, not ±α
    after = layer.weight.data.copy()
    layer.eval()(x)
    np.testing.assert_array_equal(layer.weight.data, after)


def kinds(layers):
    return [(name, type(module).__name__) for name, module in layers]


def conv_block(mode, order="bacp", relu=True):
    blocks = nn.Blocks(mode, nn.BinaryOptions(order=order))
    return kinds(blocks.conv("b", 3, 4, 3, relu=relu))


def linear_block(mode, order="bacp"):
    return kinds(nn.Blocks(mode, nn.BinaryOptions(order=order)).linear("b", 12, 4, norm_features=3))


@pytest.mark.parametrize("mode", ["xnor", "bnn"])
def test_order_bacp_normalises_before_the_sign(mode):
    norm, conv, relu = ("b_norm", "BatchNorm"), ("b", "BinConv2d"), ("b_relu", "ReLU")
    assert conv_block(mode) == [norm, conv, relu]
    assert conv_block(mode, relu=False) == [norm, conv]
    assert linear_block(mode) == [norm, ("b_flatten", "Flatten"), ("b", "BinLinear"), relu]


@pytest.mark.parametrize("mode", ["xnor", "bnn"])
def test_order_cbap_ends_in_signs(mode):
    norm, sign = ("b_norm", "BatchNorm"), ("b_sign", "Sign")
    assert conv_block(mode, "cbap") == [("b", "BinConv2d"), norm, sign]
    assert linear_block(mode, "cbap") == [("b_flatten", "Flatten"), ("b", "BinLinear"), norm, sign]


@pytest.mark.parametrize("order", ["bacp", "cbap"])
@pytest.mark.parametrize(("mode", "prefix"), [("float", ""), ("bwn", "Bwn"), ("binaryconnect", "Bwn")])
def test_real_inputs_keep_the_usual_order(mode, prefix, order):
    norm, relu = ("b_norm", "BatchNorm"), ("b_relu", "ReLU")
    conv = ("b", f"{prefix}Conv2d")
    assert conv_block(mode, order, relu=False) == [conv, norm, relu]
    assert linear_block(mode, order) == [("b_flatten", "Flatten"), ("b", f"{prefix}Linear"), norm, relu]


@pytest.mark.parametrize("mode", nn.MODES)
def test_ends_are_real(mode):
    blocks = nn.Blocks(mode, nn.BinaryOptions())
    assert kinds(blocks.first_conv("a", 3, 4, 3)) == [("a", "Conv2d"), ("a_norm", "BatchNorm"), ("a_relu", "ReLU")]
    assert kinds(blocks.last_linear("z", 4, 2)) == [("z", "Linear")]
    assert blocks.dropout("d", 0) == []
    masks = [blocks.dropout("d", 0.5)[0][1](np.ones((4, 30))).data for _ in range(2)]
    assert (masks[0] != masks[1]).any()


def test_sizes_of_the_normalisation():
    before = dict(nn.Blocks("xnor", nn.BinaryOptions()).linear("b", 12, 4, norm_features=3))
    after = dict(nn.Blocks("bwn", nn.BinaryOptions()).linear("b", 12, 4, norm_features=3))
    assert len(before["b_norm"].gamma) == 3
    assert len(after["b_norm"].gamma) == 4


def test_a_polynomial_gradient_survives_the_order_cbap(rng):
    """The convolution signs what is ±1 already; there the polynomial is 0 and would stop every gradient."""
    blocks = nn.Blocks("xnor", nn.BinaryOptions(order="cbap", ste="polynomial"))
    net = nn.Sequential(*blocks.first_conv("a", 1, 2, 3), *blocks.conv("b", 2, 2, 3))
    net(rng.standard_normal((2, 6, 6, 1))).backward(rng.standard_normal((2, 2, 2, 2)))
    assert np.abs(net[0].weight.grad).max() > 0


def test_scales_of_the_modes():
    scales = {m: dict(nn.Blocks(m, nn.BinaryOptions()).conv("b", 1, 1, 1))["b"] for m in nn.MODES if m != "float"}
    assert {m: layer.weight_binariser.scale for m, layer in scales.items()} == {
        "bwn": "mean",
        "xnor": "mean",
        "bnn": "none",
        "binaryconnect": "none",
    }
    with pytest.raises(ValueError, match="'ternary'; there are: float, bwn, xnor, bnn, binaryconnect"):
        nn.Blocks("ternary", nn.BinaryOptions())


# ---------------------------------------------------------------------------------------------- more than one bit


def test_layers_of_levels(rng):
    chosen = nn.BinaryOptions(weight_bits=2, act_bits=3, use_k=True, pad_value=-1)
    x = rng.standard_normal((2, 5, 5, 3)).astype(np.float32)
    layer = nn.BinConv2d(3, 4, 3, 2, 1, **chosen.for_xnor(), rng=generator())
    expected = naive_kbit_conv2d(x, layer.weight.data, 2, 3, 2, 1, -1, use_k=True)
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-4, atol=1e-5)
    dense = nn.BinLinear(15, 4, **chosen.for_xnor(False), rng=generator())
    expected = naive_kbit_linear(x.reshape(10, 15), dense.weight.data, 2, 3, alpha=False)
    np.testing.assert_allclose(dense(x.reshape(10, 15)).data, expected, rtol=1e-4, atol=1e-5)


def test_learned_scales_of_levels_begin_at_their_range():
    options = nn.BinaryOptions(weight_bits=2, act_bits=3, scale="learned")
    layer = nn.BinConv2d(3, 4, 3, **options.for_xnor(), rng=generator())
    np.testing.assert_allclose(layer.alpha.data, 1.8719 * np.abs(layer.weight.data).mean(axis=(1, 2, 3)), rtol=1e-5)


def test_real_inputs_pass_over_bits(rng):
    x = rng.standard_normal((2, 5, 5, 3)).astype(np.float32)
    plain, levels = (
        nn.BwnConv2d(3, 4, 3, **nn.BinaryOptions(weight_bits=k, act_bits=k).for_bwn(), rng=generator()) for k in (1, 4)
    )
    np.testing.assert_array_equal(plain(x).data, levels(x).data)


@pytest.mark.parametrize(("act_bits", "kind"), [(1, "Sign"), (2, "Quantise")])
def test_order_cbap_quantises_where_it_takes_signs(act_bits, kind):
    blocks = nn.Blocks("xnor", nn.BinaryOptions(order="cbap", act_bits=act_bits))
    layers = [*blocks.first_conv("a", 1, 2, 3), *blocks.conv("b", 2, 2, 3)]
    assert [type(layer).__name__ for name, layer in layers if name.endswith("_sign")] == [kind, kind]


def test_a_rounded_gradient_needs_signs():
    message = "^binary_gradient ternary needs weight_bits and act_bits 1, got 1 and 2$"
    with pytest.raises(ValueError, match=message):
        nn.BinaryOptions(binary_gradient="ternary", act_bits=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.BinConv2d(4, 3, 3, rng=0),
        lambda: nn.Sequential(nn.BatchNorm(4), nn.BinConv2d(4, 3, 3, rng=0)),
        lambda: nn.Sequential(nn.Flatten(), nn.BinLinear(100, 3, rng=0)),
        lambda: nn.Sequential(nn.BatchNorm(4), nn.Flatten(), nn.BinLinear(100, 3, rng=0)),
        nn.Sign,
        lambda: nn.Quantise(2),
    ],
)
def test_an_input_whose_sign_would_hide_nan_is_refused_in_training(layer, value, rng):
    x = rng.standard_normal((2, 5, 5, 4))
    x[1, 2, 2, 1] = value
    with pytest.raises(nn.LayerError, match="values that are not finite"):
        layer()(x)
    assert np.isfinite(layer().eval()(x).data).all()  # sign(NaN) = +1, as in packed models


def test_large_values_whose_sum_overflows_are_finite():
    x = np.full((2, 4), 3e38, np.float32)
    np.testing.assert_array_equal(nn.Sign()(x).data, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.InputBinariser(pad_value=True), "pad_value must be 0, 1 or -1, got True"),
        (lambda: nn.InputBinariser(pad_value=5), "pad_value must be 0, 1 or -1, got 5"),
        (lambda: nn.InputBinariser(use_k="no"), "use_k must be True or False, got 'no'"),
        (lambda: nn.WeightBinariser(clip="no"), "clip must be True or False, got 'no'"),
        (lambda: nn.BinConv2d(2, 3, 1, weight_binariser="learned", rng=0), "must be a WeightBinariser, got 'learned'"),
        (lambda: nn.BinLinear(2, 3, input_binariser=None, rng=0), "must be an InputBinariser"),
        (lambda: nn.BinLinear(2, 3, input_binariser=nn.InputBinariser, rng=0), "must be an InputBinariser"),
        (lambda: nn.GradientRounding("x", 1), "unknown way 'x'"),
        (lambda: nn.GradientRounding("even", 9), "bits must be a whole number from 1 to 8"),
        (lambda: nn.GradientRounding("even", 1, None, ops.lowbit.InputQuantiser(bits=2)), "signs must be"),
    ],
)
def test_objects_that_make_no_sense_are_refused_when_they_are_made(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_the_joined_operation_refuses_what_needs_the_map():
    norm = nn.BatchNorm(2)
    weight, x = Tensor(np.ones((3, 1, 1, 2))), Tensor(np.ones((1, 2, 2, 2)))
    for inputs in (nn.InputBinariser(use_k=True), nn.InputBinariser(ste="polynomial")):
        with pytest.raises(ValueError, match="keeps no map"):
            ops.norm_xnor_conv2d(x, norm.normalisation(), weight, conv=ops.BinaryConv(inputs=inputs))
