"""What is asked of arguments: both backends refuse the same, in a sentence that names the argument, rule and value."""

import inspect
import re

import numpy as np
import pytest

from .strategies import BACKENDS, each_backend

NAMES = [
    "pack_signs",
    "unpack_signs",
    "xnor_gemm",
    "weight_alpha",
    "binary_weights",
    "scale_map",
    "weight_hat",
    "grad_alpha",
    "weight_gradient",
    "level_weight_hat",
    "level_grad_alpha",
    "level_weight_gradient",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "Conv2d",
    "XnorConv2d",
    "XnorLinear",
    "quantise_input",
    "quantise_weight",
    "weight_planes",
    "weight_range",
    "pack_planes",
    "KbitConv2d",
    "KbitLinear",
    "BwnConv2d",
    "BwnLinear",
    "max_pool2d",
    "max_pool2d_grad",
    "max_pool2d_winners",
    "max_pool2d_grad_winners",
    "avg_pool2d",
    "avg_pool2d_grad",
    "relu",
    "relu_grad",
    "polynomial_grad",
    "add",
    "rprelu",
    "rprelu_grad",
    "channel_sums",
    "batch_norm",
    "batch_norm_inference",
    "batch_norm_grad",
    "batch_norm_grad_sums",
    "batch_norm_grad_apply",
    "batch_statistics",
    "batch_moments",
    "signs",
    "norm_relu",
    "norm_signs",
    "level_planes",
    "norm_level_planes",
    "norm_signs_grad",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
]


def ones(*shape):
    return np.ones(shape, np.float32)


def is_prepared(name):
    """Whether the name is that of a class; the reference has functions that make its objects."""
    return inspect.isclass(getattr(BACKENDS["fast"], name))


def run(backend, name, arguments):
    """Call a function, or make a plan and call that; ``x`` and ``out`` go to the plan's call."""
    function = getattr(backend, name)
    if not is_prepared(name):
        return function(**arguments)
    at_call = {key: arguments[key] for key in ("x", "out") if key in arguments}
    return function(**{key: value for key, value in arguments.items() if key not in at_call})(**at_call)


def results(result):
    """Always a tuple."""
    return result if isinstance(result, tuple) else (result,)


IMAGE, FILTERS, OUTPUT = {"x": ones(2, 5, 5, 3)}, {"weight": ones(7, 3, 3, 3)}, {"grad": ones(2, 3, 3, 7)}
ROWS = {"x": ones(4, 65), "weight": ones(7, 65)}
WORDS = np.zeros((4, 2), np.uint64)
VECTORS = {name: ones(3) for name in ("gamma", "beta", "mean", "var")}
LABELS = {"labels": np.zeros(4, np.int64), "label_smoothing": 0.1}
STEPS = {"stride": 1, "padding": 0}
POOL = {"kernel_size": 3, **STEPS}
# A good call of each kernel; the tests below spoil one argument after the other.
GOOD = {
    "pack_signs": {"x": ones(4, 65)},
    "unpack_signs": {"words": WORDS, "n": 65},
    "xnor_gemm": {"a": WORDS, "b": WORDS, "n": 65},
    "weight_alpha": FILTERS,
    "binary_weights": FILTERS,
    "scale_map": {**IMAGE, **POOL},
    "weight_hat": {**FILTERS, "alpha": ones(7)},
    "grad_alpha": {"grad_hat": ones(7, 3, 3, 3), **FILTERS},
    "weight_gradient": {"grad_hat": ones(7, 3, 3, 3), **FILTERS, "alpha": ones(7)},
    "level_weight_hat": {**FILTERS, "alpha": ones(7), "bits": 3},
    "level_grad_alpha": {"grad_hat": ones(7, 3, 3, 3), **FILTERS, "bits": 3},
    "level_weight_gradient": {
        "grad_hat": ones(7, 3, 3, 3),
        **FILTERS,
        "alpha": ones(7),
        "rule": "exact",
        "mean_alpha": True,
        "bits": 3,
    },
    "conv2d": {**IMAGE, **FILTERS, **STEPS},
    "conv2d_grad_input": {**OUTPUT, **FILTERS, "x_shape": (2, 5, 5, 3), **STEPS},
    "conv2d_grad_weight": {**IMAGE, **OUTPUT, "weight_shape": (7, 3, 3, 3), **STEPS},
    "Conv2d": {**IMAGE, **FILTERS, **STEPS},
    "XnorConv2d": {**IMAGE, **FILTERS, **STEPS, "pad_value": 0, "alpha": ones(7)},
    "XnorLinear": {**ROWS, "alpha": ones(7)},
    "quantise_input": {"x": ones(4, 65), "bits": 3},
    "quantise_weight": {**FILTERS, "bits": 3},
    "weight_planes": {**FILTERS, "bits": 3},
    "weight_range": {**FILTERS, "bits": 3},
    "pack_planes": {"x": ones(4, 65), "bits": 3},
    "KbitConv2d": {**IMAGE, **FILTERS, "weight_bits": 3, "act_bits": 2, **STEPS, "pad_value": 0, "alpha": ones(7)},
    "KbitLinear": {**ROWS, "weight_bits": 3, "act_bits": 2, "alpha": ones(7)},
    "BwnConv2d": {**IMAGE, **FILTERS, **STEPS, "alpha": ones(7)},
    "BwnLinear": {**ROWS, "alpha": ones(7)},
    "max_pool2d": {**IMAGE, **POOL},
    "max_pool2d_grad": {"grad": ones(2, 3, 3, 3), **IMAGE, **POOL},
    "max_pool2d_winners": {**IMAGE, **POOL},
    "max_pool2d_grad_winners": {
        "grad": ones(2, 3, 3, 3),
        "winners": np.zeros((2, 3, 3, 32), np.uint16),
        "x_shape": (2, 5, 5, 3),
        **POOL,
    },
    "relu": IMAGE,
    "relu_grad": {"grad": ones(2, 5, 5, 3), "y": ones(2, 5, 5, 3)},
    "polynomial_grad": {"grad": ones(2, 5, 5, 3), "x": ones(2, 5, 5, 3)},
    "add": {**IMAGE, "y": ones(2, 5, 5, 3)},
    "rprelu": {**IMAGE, **{name: ones(3) for name in ("before", "slope", "after")}},
    "rprelu_grad": {"grad": ones(2, 5, 5, 3), **IMAGE, "before": ones(3), "slope": ones(3)},
    "channel_sums": IMAGE,
    "avg_pool2d": {**IMAGE, **POOL},
    "avg_pool2d_grad": {"grad": ones(2, 3, 3, 3), "x_shape": (2, 5, 5, 3), **POOL},
    "batch_norm": {**IMAGE, "gamma": ones(3), "beta": ones(3)},
    "batch_norm_inference": {**IMAGE, **VECTORS},
    "batch_norm_grad": {"grad": ones(2, 5, 5, 3), **IMAGE, "gamma": ones(3), "mean": ones(3), "var": ones(3)},
    "batch_norm_grad_sums": {"grad": ones(2, 5, 5, 3), "within": None, **IMAGE, "mean": ones(3)},
    "batch_norm_grad_apply": {
        "grad": ones(2, 5, 5, 3),
        "within": None,
        **IMAGE,
        **{name: ones(3) for name in ("gamma", "mean", "var")},
        "sums": (np.ones(3), np.ones(3)),
        "rows": 70,
    },
    "batch_statistics": IMAGE,
    "batch_moments": IMAGE,
    "signs": {**IMAGE, "padding": 1, "pad_value": 0},
    "norm_signs": {**IMAGE, **VECTORS, "padding": 1, "pad_value": 0},
    "level_planes": {**IMAGE, "bits": 3, "padding": 1, "pad_value": 0},
    "norm_level_planes": {**IMAGE, **VECTORS, "eps": 1e-5, "bits": 3, "padding": 1, "pad_value": 0},
    "norm_relu": {**IMAGE, **VECTORS},
    "norm_signs_grad": {
        "grad": ones(2, 5, 5, 3),
        "within": np.zeros((2, 5, 5, 1), np.uint32),
        **IMAGE,
        **{name: ones(3) for name in ("gamma", "mean", "var")},
    },
    "softmax_cross_entropy": {"logits": ones(4, 10), **LABELS},
    "softmax_cross_entropy_grad": {"probabilities": ones(4, 10), **LABELS},
}
BATCH_NORMS = [
    *("batch_norm", "batch_norm_inference", "batch_norm_grad", "batch_statistics"),
    *("norm_relu", "norm_signs_grad", "batch_moments", "batch_norm_grad_sums", "batch_norm_grad_apply"),
]
CHANNELS = ["rprelu", "rprelu_grad", "channel_sums"]
ELEMENTWISE = {
    *(*BATCH_NORMS, *CHANNELS),
    *("signs", "norm_signs", "level_planes", "norm_level_planes", "relu", "relu_grad", "polynomial_grad", "add"),
}
IMAGE_KERNELS = [name for name in NAMES if GOOD[name].get("x", ones(1)).ndim == 4 and name not in ELEMENTWISE]
POOLS = [name for name in NAMES if "pool2d" in name]
ANY_AXES = {
    *((name, "x") for name in ("pack_signs", "quantise_input", "pack_planes")),
    ("unpack_signs", "words"),
    *((name, "weight") for name in ("weight_alpha", "binary_weights", "weight_hat", "grad_alpha", "weight_gradient")),
    *((name, "weight") for name in ("level_weight_hat", "level_grad_alpha", "level_weight_gradient")),
    *((name, "weight") for name in ("quantise_weight", "weight_planes", "weight_range")),
    *((name, "x") for name in (*BATCH_NORMS, *CHANNELS, "relu", "polynomial_grad", "add")),
    ("relu_grad", "y"),
}


def kernels_with(*arguments):
    """Rows (kernel, argument) of all kernels that have one of the arguments."""
    return [(name, key) for name in NAMES for key in GOOD[name] if key in arguments]


def floats_of():
    return [(name, key) for name in NAMES for key, v in GOOD[name].items() if getattr(v, "dtype", None) == np.float32]


def refused(backend, name, error, message, **spoilt):
    with pytest.raises(error, match=message):
        run(backend, name, {**GOOD[name], **spoilt})


# ---------------------------------------------------------------------------------------------- one vocabulary


@pytest.mark.parametrize("name", NAMES)
def test_both_backends_have_the_same_names_and_arguments(name):
    ours, theirs = (getattr(backend, name) for backend in BACKENDS.values())
    if inspect.isclass(theirs):  # one that has no front door
        assert inspect.signature(ours.__call__) == inspect.signature(theirs.__call__)
    assert inspect.signature(ours) == inspect.signature(theirs)


@each_backend
@pytest.mark.parametrize("name", NAMES)
def test_the_good_call_is_good(backend, name):
    run(backend, name, GOOD[name])


# ---------------------------------------------------------------------------------------------- arrays

NOT_REAL = {
    "complex": lambda a: a.astype(complex),
    "bool": lambda a: a.astype(bool),
    "text": lambda a: a.astype(str),
    "objects": lambda a: a.astype(object),
    "None": lambda a: None,
    "dates": lambda a: a.astype("M8[s]"),
}


@each_backend
@pytest.mark.parametrize(("name", "key"), floats_of())
def test_numbers_must_be_real(backend, name, key):
    for spoil in NOT_REAL.values():
        value = spoil(GOOD[name][key])
        dtype = re.escape(str(np.asarray(value).dtype))
        refused(
            backend, name, TypeError, f"^{key} must be an array of real numbers, got dtype {dtype}$", **{key: value}
        )


@each_backend
@pytest.mark.parametrize(("name", "key"), [row for row in floats_of() if row not in ANY_AXES])
def test_number_of_axes(backend, name, key):
    good = GOOD[name][key]
    for value in (good[None], good[0]):
        message = rf"^{key} must have .*got.*{re.escape(str(value.shape))}"
        refused(backend, name, ValueError, message, **{key: value})


@each_backend
@pytest.mark.parametrize(("name", "key"), kernels_with("grad", "grad_hat", "gamma", "beta", "mean", "var", "alpha"))
@pytest.mark.parametrize("cut", [np.s_[:-1], np.s_[..., :0], np.s_[..., :-1]])
def test_arrays_that_must_fit_others(backend, name, key, cut):
    good = GOOD[name][key]
    message = rf"^{key} must have shape {re.escape(str(good.shape))}, got {re.escape(str(good[cut].shape))}"
    refused(backend, name, ValueError, message, **{key: good[cut]})


@each_backend
@pytest.mark.parametrize(
    "name", ["conv2d", "Conv2d", "XnorConv2d", "XnorLinear", "KbitConv2d", "KbitLinear", "BwnConv2d", "BwnLinear"]
)
def test_channels_must_be_those_of_the_weights(backend, name):
    x = GOOD[name]["x"]
    for value, got in ((x[..., :-1], x.shape[-1] - 1), (np.repeat(x, 2, axis=-1), 2 * x.shape[-1])):
        refused(backend, name, ValueError, rf"x has {got} channels .*weights expect {x.shape[-1]}", x=value)


@each_backend
@pytest.mark.parametrize("name", ["weight_alpha", "binary_weights", "XnorConv2d", "BwnConv2d"])
@pytest.mark.parametrize("shape", [(7, 0, 3, 3), (7, 3, 0, 3), (7, 3, 3, 0)])
def test_binary_filters_must_have_taps(backend, name, shape):
    """alpha is a mean, and a mean of nothing is not defined."""
    refused(
        backend, name, ValueError, "^weight must be .*at least one tap.*" + re.escape(str(shape)), weight=ones(*shape)
    )


@each_backend
def test_alpha_needs_two_axes(backend):
    refused(backend, "weight_alpha", ValueError, r"^weight must be .*got shape \(5,\)", weight=ones(5))


@each_backend
@pytest.mark.parametrize(("name", "key"), kernels_with("words", "a", "b"))
def test_words_must_be_uint64(backend, name, key):
    for dtype in (np.int64, np.uint32, np.float64, bool):
        message = rf"^{key} must be an array of uint64 words, got dtype {np.dtype(dtype)}"
        refused(backend, name, TypeError, message, **{key: WORDS.astype(dtype)})


@each_backend
@pytest.mark.parametrize(("name", "key"), kernels_with("words", "a", "b"))
def test_words_must_fit_n(backend, name, key):
    for wrong in (WORDS[:, :1], np.zeros((4, 3), np.uint64), WORDS[:, :0]):
        message = rf"^{key} must end in ceil\(65/64\) = 2 words, got shape {re.escape(str(wrong.shape))}"
        refused(backend, name, ValueError, message, **{key: wrong})


@each_backend
@pytest.mark.parametrize("key", ["a", "b"])
def test_gemm_takes_matrices(backend, key):
    refused(backend, "xnor_gemm", ValueError, f"^{key} must have 2 dimensions", **{key: WORDS[None]})
    refused(backend, "xnor_gemm", ValueError, f"^{key} must have 2 dimensions", **{key: WORDS[0]})


@each_backend
@pytest.mark.parametrize("n", [-1, 1.5, True, None, "65"])
@pytest.mark.parametrize("name", ["unpack_signs", "xnor_gemm"])
def test_n_is_a_number_of_signs(backend, name, n):
    refused(backend, name, ValueError, f"^n must be a whole number.*at least 0, got {n!r}", n=n)


# ---------------------------------------------------------------------------------------------- windows

LEAST = {"kernel_size": 1, "stride": 1, "padding": 0}


@each_backend
@pytest.mark.parametrize(("name", "key"), kernels_with(*LEAST))
def test_window_arguments(backend, name, key):
    """Always this one sentence. 1.5 and None too, which are no sequences."""
    forms = rf"an int or a pair of ints, each at least {LEAST[key]}(, or four of them \(top, bottom, left, right\))?"
    for value in (-1, (1, -1), (1, 2, 3), (1,), (), (1, 1.5), (True, 1), True, "ab", (None, 1), 1.5):
        message = rf"^{key} must be {forms}, got {re.escape(repr(value))}"
        refused(backend, name, (ValueError, TypeError), message, **{key: value})


@each_backend
@pytest.mark.parametrize(("name", "key"), kernels_with("kernel_size", "stride"))
@pytest.mark.parametrize("value", [0, (0, 1), (1, 0)])
def test_windows_and_strides_are_positive(backend, name, key, value):
    refused(backend, name, ValueError, rf"^{key} must be .*at least 1, got {re.escape(repr(value))}", **{key: value})


@each_backend
@pytest.mark.parametrize(("name", "key"), kernels_with(*LEAST))
def test_window_arguments_of_numpy(backend, name, key):
    """Integers and pairs as they come out of arithmetic on shapes."""
    good = GOOD[name][key]
    expected = results(run(backend, name, GOOD[name]))
    for value in (np.int64(good), np.array([good, good]), [good, good], (np.int32(good), good)):
        for ours, theirs in zip(results(run(backend, name, {**GOOD[name], key: value})), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@each_backend
@pytest.mark.parametrize("name", IMAGE_KERNELS)
@pytest.mark.parametrize("shape", [(2, 2, 5, 3), (2, 5, 2, 3), (2, 0, 5, 3)])
def test_image_smaller_than_the_filter(backend, name, shape):
    message = rf"image of {shape[1]}x{shape[2]} with padding \(0, 0\) is smaller than the filter of 3x3"
    refused(backend, name, ValueError, message, x=ones(*shape))


@each_backend
@pytest.mark.parametrize("name", ["conv2d", "XnorConv2d", "BwnConv2d", "max_pool2d", "scale_map"])
def test_padding_makes_an_image_large_enough(backend, name):
    """2 + 2 * 0 rows are too few for a filter of 3, 1 + 2 * 1 are enough; each axis counts for itself."""
    small = {**GOOD[name], "x": ones(2, 1, 3, 3), "padding": (1, 0)}
    assert run(backend, name, small).shape[:3] == (2, 1, 1)
    refused(backend, name, ValueError, "is smaller than the filter", **{**small, "padding": (0, 1)})


@each_backend
@pytest.mark.parametrize("name", ["conv2d_grad_input", "avg_pool2d_grad", "max_pool2d_grad_winners"])
def test_x_shape_has_four_axes(backend, name):
    refused(backend, name, ValueError, r"^x .*must be .*\(N, H, W, C\)", x_shape=(5, 5, 3))


@each_backend
def test_shapes_of_gradients_agree_on_the_channels(backend):
    refused(backend, "conv2d_grad_input", ValueError, r"^x has 4 channels .* expect 3", x_shape=(2, 5, 5, 4))
    refused(backend, "conv2d_grad_weight", ValueError, r"^x has 3 channels .* expect 4", weight_shape=(7, 3, 3, 4))
    refused(backend, "conv2d_grad_weight", ValueError, r"weight \(7, 3, 3\) must be", weight_shape=(7, 3, 3))


@each_backend
@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("padding", [3, (3, 0), (0, 4)])
def test_padding_is_smaller_than_the_pooling_window(backend, name, padding):
    """A window that lies on the border alone has no maximum."""
    refused(
        backend, name, ValueError, r"^padding must be smaller than the pooling window \(3, 3\), got", padding=padding
    )


@each_backend
@pytest.mark.parametrize(("name", "key"), kernels_with("bits", "weight_bits", "act_bits"))
@pytest.mark.parametrize("value", [0, 9, -1, 2.0, True, None, "2"])
def test_bits(backend, name, key, value):
    refused(backend, name, ValueError, f"^{key} must be a whole number from 1 to 8, got {value!r}$", **{key: value})


@each_backend
@pytest.mark.parametrize("name", ["XnorConv2d", "signs", "norm_signs", "level_planes", "norm_level_planes"])
@pytest.mark.parametrize("value", [2, -2, 0.5, None, "zero", float("nan")])
def test_pad_value(backend, name, value):
    message = rf"^pad_value must be 0, \+1 or -1, got {re.escape(repr(value))}"
    refused(backend, name, ValueError, message, pad_value=value)


@each_backend
def test_winners_of_a_gradient(backend):
    message = r"^winners must be an array of uint16, got dtype int64"
    refused(backend, "max_pool2d_grad_winners", TypeError, message, winners=np.zeros((2, 3, 3, 32), np.int64))
    message = r"^winners must have shape \(2, 3, 3, 32\), got \(2, 3, 3, 3\)"
    refused(backend, "max_pool2d_grad_winners", ValueError, message, winners=np.zeros((2, 3, 3, 3), np.uint16))


@each_backend
@pytest.mark.parametrize("name", ["max_pool2d_winners", "max_pool2d_grad", "max_pool2d_grad_winners"])
def test_taps_that_winners_can_count(backend, name):
    size = (1, (1 << 16) + 1)
    image = (1, *size, 1)
    spoilt = {"x": ones(*image), "grad": ones(1, 1, 1, 1), "x_shape": image, "kernel_size": size}
    spoilt = {key: value for key, value in spoilt.items() if key in GOOD[name]}
    refused(backend, name, ValueError, "^a pooling window has at most 65,536 taps, got 1x65537", **spoilt)


@each_backend
def test_bits_of_a_gradient(backend):
    within = GOOD["norm_signs_grad"]["within"]
    message = r"^within must be an array of uint32 half words, got dtype uint64"
    refused(backend, "norm_signs_grad", TypeError, message, within=within.astype(np.uint64))
    message = r"^within must have shape \(2, 5, 5, 1\), got \(2, 7, 7, 1\)"
    refused(backend, "norm_signs_grad", ValueError, message, within=np.zeros((2, 7, 7, 1), np.uint32))


# ---------------------------------------------------------------------------------------------- normalisation, loss


@each_backend
@pytest.mark.parametrize("sums", [(np.ones(3),), (np.ones(3), np.ones(2)), (ones(3), np.ones(3)), ([1.0], [1.0])])
def test_sums_of_a_normalisation(backend, sums):
    refused(backend, "batch_norm_grad_apply", ValueError, r"^sums must be two float64 arrays \(3,\), got ", sums=sums)


@each_backend
@pytest.mark.parametrize("rows", [0, -1, 2.0, True, None])
def test_rows_of_a_normalisation(backend, rows):
    message = f"^rows must be a whole number of at least 1, got {rows!r}$"
    refused(backend, "batch_norm_grad_apply", ValueError, message, rows=rows)


@each_backend
@pytest.mark.parametrize("name", BATCH_NORMS)
def test_batch_norm_takes_rows_of_channels(backend, name):
    refused(backend, name, ValueError, r"^x must be .*at least 2 dimensions, got shape \(3,\)", x=ones(3))


@each_backend
@pytest.mark.parametrize("shape", [(0, 5, 5, 3), (2, 0, 3)])
def test_batch_statistics_need_a_row(backend, shape):
    empty = ones(*shape)
    for name in ("batch_norm", "batch_statistics"):
        refused(backend, name, ValueError, "^x must hold at least one row.*" + re.escape(str(shape)), x=empty)
    refused(backend, "batch_norm_grad", ValueError, "^x must hold at least one row", x=empty, grad=empty)


@each_backend
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_grad"])
def test_labels(backend, name):
    for labels in (np.zeros(4), np.zeros(4, bool), ["a"] * 4, None):
        refused(backend, name, TypeError, "^labels must be integers, got dtype", labels=labels)
    for labels in (np.zeros(3, int), np.zeros((4, 1), int), 0):
        message = rf"^labels must have shape \(4,\), got {re.escape(str(np.shape(labels)))}"
        refused(backend, name, ValueError, message, labels=labels)
    for labels, got in (([0, 0, 10, 1], "0…10"), ([0, -1, 0, 9], "-1…9")):
        refused(backend, name, ValueError, rf"^labels must lie in 0…9, got {got}", labels=labels)


@each_backend
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_grad"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan")])
def test_label_smoothing(backend, name, value):
    refused(backend, name, ValueError, rf"^label_smoothing must lie in \[0, 1\), got {value!r}", label_smoothing=value)


# ---------------------------------------------------------------------------------------------- out=

WRITERS = [
    *("conv2d", "Conv2d", "XnorConv2d", "XnorLinear", "KbitConv2d", "KbitLinear", "BwnConv2d", "BwnLinear"),
    *("batch_norm", "batch_norm_inference", "batch_norm_grad", "norm_relu", "norm_signs_grad", "batch_norm_grad_apply"),
    *("relu", "relu_grad", "polynomial_grad", "add", "rprelu", "rprelu_grad"),
    *("weight_gradient", "level_weight_gradient"),
]


def first(backend, name, arguments):
    """What is written to ``out``."""
    return results(run(backend, name, arguments))[0]


@each_backend
@pytest.mark.parametrize("name", WRITERS)
def test_out_is_filled_and_returned(backend, name):
    rng = np.random.default_rng(0)
    drawn = {k: rng.standard_normal(GOOD[name][k].shape).astype(np.float32) for k in ("x", "y") if k in GOOD[name]}
    arguments = {**GOOD[name], **drawn}
    expected = first(backend, name, arguments)
    out = np.full(expected.shape, np.nan, np.float32)
    assert first(backend, name, {**arguments, "out": out}) is out
    np.testing.assert_array_equal(out, expected)


@each_backend
@pytest.mark.parametrize("name", ["XnorConv2d", "XnorLinear"])
def test_out_is_filled_with_k_too(backend, name):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(GOOD[name]["x"].shape).astype(np.float32)
    plan = getattr(backend, name)(GOOD[name]["weight"], use_k=True)
    expected = plan(x)
    out = np.full(expected.shape, np.nan, np.float32)
    assert plan(x, out=out) is out
    np.testing.assert_array_equal(out, expected)


@each_backend
@pytest.mark.parametrize("name", WRITERS)
def test_out_touches_nothing_around_it(backend, name):
    """Tails of tiles are not written: a slice of a larger buffer keeps its neighbours."""
    shape = first(backend, name, GOOD[name]).shape
    around = np.full((shape[0] + 2, *shape[1:]), 7.5, np.float32)
    run(backend, name, {**GOOD[name], "out": around[1:-1]})
    np.testing.assert_array_equal(around[[0, -1]], np.full((2, *shape[1:]), 7.5))
    assert not (around[1:-1] == 7.5).any()


@each_backend
@pytest.mark.parametrize("name", WRITERS)
def test_wrong_out_is_refused(backend, name):
    shape = first(backend, name, GOOD[name]).shape
    good = np.zeros(shape, np.float32)
    locked = good.copy()
    locked.flags.writeable = False
    wrong = {
        "type": good.astype(np.float64),
        "batch": good[:-1],
        "channels": np.zeros((*shape[:-1], shape[-1] + 1), np.float32),
        "axes": good.ravel(),
        "strides": np.zeros((*shape[:-1], 2 * shape[-1]), np.float32)[..., ::2],
        "order": np.asfortranarray(good),
        "byte order": good.astype(good.dtype.newbyteorder()),
        "read-only": locked,
        "list": good.tolist(),
    }
    for what, out in wrong.items():
        with pytest.raises(ValueError, match=r"^out must be a writeable, C-contiguous float32 array of shape .*, got"):
            pytest.fail(f"wrong {what} was accepted: {first(backend, name, {**GOOD[name], 'out': out}).shape}")


IN_PLACE = [
    ("batch_norm", "x"),
    ("batch_norm_inference", "x"),
    ("batch_norm_grad", "grad"),
    ("norm_signs_grad", "grad"),
    ("batch_norm_grad_apply", "grad"),
    ("relu", "x"),
    ("relu_grad", "grad"),
    ("polynomial_grad", "grad"),
    ("polynomial_grad", "x"),
    ("add", "x"),
    ("add", "y"),
]


@each_backend
@pytest.mark.parametrize(("name", "key"), IN_PLACE)
def test_out_may_be_the_input(backend, name, key):
    rng = np.random.default_rng(0)
    good = GOOD[name]
    arguments = {
        **good,
        **{k: rng.standard_normal(good[k].shape).astype(np.float32) for k in good if k in {"x", "y", key}},
    }
    expected = results(run(backend, name, arguments))
    for ours, theirs in zip(results(run(backend, name, {**arguments, "out": arguments[key]})), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@each_backend
@pytest.mark.parametrize("name", ["weight_gradient", "level_weight_gradient"])
def test_rules_of_a_weight_gradient(backend, name):
    message = "^unknown weight_gradient 'best'; there are: exact, paper, plain$"
    refused(backend, name, ValueError, message, rule="best")
