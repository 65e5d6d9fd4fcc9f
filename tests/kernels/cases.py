"""The table of all kernels: how to draw arguments, how to call, what must come out. A new kernel is a new row.

``test_backends.py`` compares both backends with the oracle and with each other, and feeds them every layout of memory;
``test_threads.py`` compares thread counts and calls each kernel from several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import naive
from naive_quantised import naive_quantised

from .strategies import SIGN_SPECIALS, Geometry, geometries, pool_geometries, rounding, values

ZEROS = [0.0, -0.0]
# Halves, so that two pixels of a window often tie for the maximum.
POOL_VALUES = [-1.0, -0.5, -0.0, 0.0, 0.5, 1.0]


@dataclass(frozen=True, repr=False)
class Case:
    """One kernel with one set of options.

    ``arguments(rng, geometry)`` gives the arrays and the other keyword arguments; ``call(backend, *arrays, **options)``
    the result, an array or a tuple; ``expect(*arrays, **options)`` a list of (exact result, bound of the error).
    ``same_bits`` says that both backends must agree to the last bit: whole numbers, and products in a fixed order.
    """

    name: str
    arguments: Callable[[np.random.Generator, Geometry], tuple[tuple[np.ndarray, ...], dict[str, Any]]]
    expect: Callable[..., list[tuple[np.ndarray, Any]]]
    call: Callable[..., Any] | None = None
    same_bits: bool = False
    geometry: Any = field(default_factory=geometries)

    def __repr__(self):
        return self.name

    def run(self, backend, arrays, options):
        """The results, always as a tuple."""
        call = self.call or (lambda backend, *a, **o: getattr(backend, self.name)(*a, **o))
        result = call(backend, *arrays, **options)
        return result if isinstance(result, tuple) else (result,)


# ---------------------------------------------------------------------------------------------- what must come out


def exactly(oracle):
    """No error at all."""
    return lambda *arrays, **options: [(oracle(*arrays, **options), 0)]


def linear(oracle, terms):
    """The oracle is linear: its value for absolute arguments is the size of the terms that were summed up."""

    def expect(*arrays, **options):
        exact = oracle(*arrays, **options)
        return [(exact, rounding(terms(*arrays)) * oracle(*map(np.abs, arrays), **options))]

    return expect


def linear_in_first(oracle):
    """The oracle sums signed elements of its first argument in float64."""
    return lambda g, *more: [(oracle(g, *more), rounding(1) * oracle(np.abs(g), *map(np.ones_like, more)))]


def relative(oracle, terms):
    """An error relative to the result itself: products, and sums of positive terms."""

    def expect(*arrays, **options):
        exact = oracle(*arrays, **options)
        return [(exact, rounding(terms(*arrays)) * np.abs(exact))]

    return expect


def expect_batch_norm(x, gamma, beta, eps):
    y, mean, var = naive.naive_batch_norm(x, gamma, beta, eps)
    rows, axes = max(x.size // x.shape[-1], 1), tuple(range(x.ndim - 1))
    mean_bound = rounding(rows) * np.abs(x.astype(np.float64)).mean(axes)
    var_bound = rounding(rows + 2) * var + mean_bound**2
    inverse = 1 / np.sqrt(var + eps)
    y_bound = np.abs(gamma * inverse) * (mean_bound + rounding(4) * (np.abs(x) + np.abs(mean)))
    y_bound += np.abs(y - beta) * var_bound * inverse**2 + rounding(1) * (np.abs(beta) + np.abs(y))
    return [(y, y_bound), (mean, mean_bound), (var, var_bound)]


def expect_batch_norm_inference(x, gamma, beta, mean, var, eps):
    y = naive.naive_batch_norm_inference(x, gamma, beta, mean, var, eps)
    scale = np.abs(gamma) / np.sqrt(var.astype(np.float64) + eps)
    return [(y, rounding(4) * (scale * (np.abs(x) + np.abs(mean)) + np.abs(beta)))]


def expect_batch_norm_grad(grad, x, gamma, mean, var, eps):
    exact = naive.naive_batch_norm_grad(grad, x, gamma, mean, var, eps)
    rows, axes = max(x.size // x.shape[-1], 1), tuple(range(x.ndim - 1))
    inverse = 1 / np.sqrt(var.astype(np.float64) + eps)
    g, x_hat = np.abs(grad.astype(np.float64)), (np.abs(x) + np.abs(mean)) * inverse
    sum_g, sum_gx = g.sum(axes), (g * x_hat).sum(axes)
    size = np.abs(gamma) * inverse * (g + sum_g / rows + x_hat * sum_gx / rows)
    return [(e, rounding(rows + 8) * s) for e, s in zip(exact, (size, sum_gx, sum_g), strict=True)]


def expect_cross_entropy(logits, labels, label_smoothing):
    losses, probabilities = naive.naive_softmax_cross_entropy(logits, labels, label_smoothing)
    classes = logits.shape[1]
    spread = 1 + np.log(classes) + 2 * np.abs(logits).max(axis=1, initial=0)  # bound of the exponents
    bound = rounding(classes + 4) * spread
    return [(losses, bound), (probabilities, bound[:, None] * probabilities)]


# ---------------------------------------------------------------------------------------------- arguments


def window(g):
    return {"stride": g.stride, "padding": g.padding}


def image_and_weight(x_specials=(), weight_specials=ZEROS, **more):
    def arguments(rng, g):
        arrays = values(rng, g.x_shape, x_specials), values(rng, g.weight_shape, weight_specials)
        return arrays, {**window(g), **more}

    return arguments


def image_weight_alpha(rng, g):
    (x, weight), options = image_and_weight(ZEROS)(rng, g)
    return (x, weight, values(rng, g.o)), options


def image_weight_bias(rng, g):
    arrays, options = image_and_weight(SIGN_SPECIALS, SIGN_SPECIALS, alpha=False)(rng, g)
    return arrays, {**options, "bias": rng.integers(-9, 10, g.o)}


def rows_and_weight(x_specials=(), **more):
    return lambda rng, g: ((values(rng, (g.n * g.h, g.c), x_specials), values(rng, (g.o, g.c), ZEROS)), more)


def output_grad(rng, g):
    return values(rng, (g.n, *g.output_size, g.o))


def pool_window(g):
    return {"kernel_size": g.kernel_size, **window(g)}


def pool_output_grad(rng, g):
    return values(rng, (g.n, *g.output_size, g.c))


def sign_bits(rng, rows, n):
    """Packed random signs (..., ceil(n / 64)) with empty tail bits."""
    return naive.naive_pack_signs(values(rng, (*rows, n)))


def norm_arrays(rng, g, least_rows=0):
    """x with its own offset and width for each channel, and gamma, beta (some zero), mean, var."""
    x = values(rng, (max(g.n, least_rows), g.h, g.w, g.c)) * (1 + rng.random(g.c)) + 3 * values(rng, g.c)
    gamma, beta = values(rng, g.c, ZEROS), values(rng, g.c, ZEROS)
    mean, var = values(rng, g.c), np.square(values(rng, g.c, ZEROS, 0.1))
    return x.astype(np.float32), gamma, beta, mean, var


def batch_norm_arguments(rng, g):
    return norm_arrays(rng, g, 1)[:3], {"eps": float(rng.choice([1e-5, 1e-3]))}


def batch_norm_grad_arguments(rng, g):
    x, gamma, _, mean, var = norm_arrays(rng, g, 1)
    return (values(rng, x.shape), x, gamma, mean, var), {"eps": 1e-3}


def logits_arguments(rng, g):
    logits = values(rng, (g.n * g.h, g.o)) * np.float32(rng.choice([1, 20]))
    return (logits, rng.integers(0, g.o, len(logits))), {"label_smoothing": float(rng.choice([0.0, 0.1]))}


def probabilities_arguments(rng, g):
    (logits, labels), options = logits_arguments(rng, g)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True), labels), options


def weight_arguments(*specials):
    """grad_hat, weights (some beyond ±1) and a vector for each further name."""
    return lambda rng, g: (values(rng, g.weight_shape), values(rng, g.weight_shape, [*ZEROS, *specials, 1.0, -1.0]))


def straight_through_arguments(rng, g):
    arrays = *weight_arguments()(rng, g), values(rng, g.o, ZEROS), values(rng, g.o)
    return arrays, {"factor": float(rng.choice([0.0, 0.25]))}


def update_arguments(*moments):
    """Weights, their gradient and moments; a second moment is not negative."""

    def arguments(rng, g):
        arrays = [values(rng, g.weight_shape, ZEROS) for _ in range(2 + len(moments))]
        if "square" in moments:
            arrays[-1] = np.abs(arrays[-1])
        clip = float(rng.choice([0.5, np.inf]))
        return tuple(arrays), {"lr": 0.01, "decay": float(rng.choice([0, 0.1])), "clip": clip}

    return arguments


def adam_arguments(rng, g):
    arrays, options = update_arguments("mean", "square")(rng, g)
    return arrays, {**options, "step": int(rng.integers(1, 1000))}


def sgd_arguments(rng, g):
    arrays, options = update_arguments("velocity")(rng, g)
    return arrays, {**options, "momentum": 0.9, "nesterov": bool(rng.integers(2))}


def quantised_arguments(how, bits):
    """A gradient, half of it behind a ReLU, scales of both signs, weights and images."""

    def arguments(rng, g):
        grad, alpha = values(rng, (g.n, *g.output_size, g.o), ZEROS, 0.3), values(rng, g.o, ZEROS)
        arrays = grad, values(rng, grad.shape, ZEROS), alpha, values(rng, g.weight_shape), values(rng, g.x_shape)
        rounding_options = {
            "how": how,
            "bits": bits,
            "stochastic": bool(rng.integers(4)),
            "seed": int(rng.integers(99)),
        }
        return arrays, {**window(g), "pad_value": int(rng.integers(-1, 2)), **rounding_options}

    return arguments


def expect_quantised(grad, y, alpha, weight, x, *, stride, padding, pad_value, how, bits, stochastic, seed):
    """The float convolutions of the same levels, to the last bit."""
    rows, row_unit, columns, column_unit = naive_quantised(grad, alpha, y, how, bits, stochastic, seed)
    by_x = naive.naive_conv2d_grad_input(rows, naive.naive_sign(weight), x.shape, stride, padding)
    bordered = naive.pad_image(naive.naive_sign(x), padding, pad_value)
    by_weight = naive.naive_conv2d_grad_weight(bordered, columns, weight.shape, stride, 0)
    return [
        (sums.astype(np.float32) * unit[:, None, None, None], 0)
        for sums, unit in ((by_x, row_unit), (by_weight, column_unit))
    ]


def expect_update(oracle):
    """Every operation on each element rounds once; the sizes of what is added bound the error."""
    return lambda *arrays, **options: [(e, rounding(16) * size) for e, size in oracle(*arrays, **options)]


# ---------------------------------------------------------------------------------------------- the table


def plan(name):
    """Call of a class: weights first, then the input."""
    return lambda backend, x, weight, **options: getattr(backend, name)(weight, **options)(x)


def plan_alpha(name):
    """Call of a class that is given its scales."""
    return lambda backend, x, weight, alpha, **options: getattr(backend, name)(weight, alpha=alpha, **options)(x)


def in_place(name):
    """Call of a function that changes its arrays, all but the gradient: on copies, which are the result."""

    def call(backend, *arrays, **options):
        weight, *moments = (np.array(a, np.float32, order="C") for a in (arrays[0], *arrays[2:]))
        getattr(backend, name)(weight, arrays[1], *moments, **options)
        return weight, *moments

    return call


def quantised_gradients(backend, grad, y, alpha, weight, x, *, stride, padding, pad_value, **options):
    """Both backward convolutions with one rounded gradient."""
    gradient = backend.quantise_gradient(grad, alpha, y, **options)
    bordered = naive.pad_image(x, padding, pad_value).astype(np.float32)
    bits = backend.pack_signs(bordered).view(np.uint32)[..., : -(-np.shape(x)[3] // 32)]
    return (
        backend.quantised_grad_input(gradient, backend.pack_signs(weight), np.shape(x), stride, padding),
        backend.quantised_grad_weight(bits, gradient, np.shape(weight), stride, padding, pad_value),
    )


def with_alpha(oracle):
    return lambda x, weight, alpha, **options: oracle(x, weight, alpha=alpha, **options)


def one_rounding(*_):
    return 1


def taps(x, weight, *_):
    """Terms of a convolution's sum, and its scale."""
    return weight[:1].size + 1


def k_terms(x, weight, *_):
    """Terms of K, and two scales."""
    return x.shape[-1] + weight[:1, ..., 0].size + 2


def pool_terms(*_):
    """The largest window, or all the windows that see one pixel; and the division."""
    return 26


CASES = [
    # ---- bits
    Case(
        "sign",
        lambda rng, g: ((values(rng, g.x_shape, SIGN_SPECIALS),), {}),
        exactly(naive.naive_sign),
        same_bits=True,
    ),
    Case(
        "pack_signs",
        lambda rng, g: ((values(rng, g.x_shape, SIGN_SPECIALS),), {}),
        exactly(naive.naive_pack_signs),
        same_bits=True,
    ),
    Case(
        "unpack_signs",
        lambda rng, g: ((sign_bits(rng, (g.n, g.h), g.c),), {"n": g.c}),
        exactly(naive.naive_unpack_signs),
        same_bits=True,
    ),
    Case(
        "xnor_gemm",
        lambda rng, g: ((sign_bits(rng, (g.n * g.h,), g.c), sign_bits(rng, (g.o,), g.c)), {"n": g.c}),
        exactly(naive.naive_xnor_gemm),
        same_bits=True,
    ),
    # ---- scales
    Case(
        "weight_alpha",
        lambda rng, g: ((values(rng, g.weight_shape, ZEROS),), {}),
        relative(naive.naive_weight_alpha, one_rounding),
        same_bits=True,
    ),
    Case(
        "scale_map",
        lambda rng, g: ((values(rng, g.x_shape, ZEROS),), pool_window(g)),
        relative(naive.naive_scale_map, lambda x: x.shape[-1] + 26),
    ),
    # ---- binary weights in training
    Case(
        "weight_hat",
        lambda rng, g: ((values(rng, g.weight_shape, SIGN_SPECIALS), values(rng, g.o)), {}),
        exactly(naive.naive_weight_hat),
        same_bits=True,
    ),
    Case(
        "grad_alpha",
        lambda rng, g: (weight_arguments()(rng, g), {}),
        linear_in_first(naive.naive_grad_alpha),
    ),
    Case(
        "straight_through",
        straight_through_arguments,
        expect_update(naive.naive_straight_through),
        same_bits=True,
    ),
    Case("adam_update", adam_arguments, expect_update(naive.naive_adam), in_place("adam_update"), same_bits=True),
    Case("sgd_update", sgd_arguments, expect_update(naive.naive_sgd), in_place("sgd_update"), same_bits=True),
    # ---- gradients of few levels
    *(
        Case(
            f"gradients of {how}, {bits} bits",
            quantised_arguments(how, bits),
            expect_quantised,
            quantised_gradients,
            same_bits=True,
        )
        for how, bits in (("ternary", 1), ("ternary", 3), ("even", 2), ("even", 8), ("paper", 1))
    ),
    # ---- float32 convolution
    Case("conv2d", image_and_weight(ZEROS), linear(naive.naive_conv2d, taps)),
    Case(
        "conv2d_grad_input",
        lambda rng, g: ((output_grad(rng, g), values(rng, g.weight_shape)), {"x_shape": g.x_shape, **window(g)}),
        linear(naive.naive_conv2d_grad_input, lambda grad, weight: weight[..., :1].size),
    ),
    Case(
        "conv2d_grad_weight",
        lambda rng, g: ((values(rng, g.x_shape), output_grad(rng, g)), {"weight_shape": g.weight_shape, **window(g)}),
        linear(naive.naive_conv2d_grad_weight, lambda x, grad: grad[..., :1].size),
    ),
    Case("Conv2d", image_and_weight(ZEROS), linear(naive.naive_conv2d, taps), plan("Conv2d")),
    # ---- XNOR-popcount
    *(
        Case(
            f"XnorConv2d, pad_value={pad_value}",
            image_and_weight(SIGN_SPECIALS, pad_value=pad_value),
            relative(naive.naive_xnor_conv2d, one_rounding),
            plan("XnorConv2d"),
            same_bits=True,
        )
        for pad_value in (0, 1, -1)
    ),
    Case(
        "XnorConv2d, alpha=False",
        image_and_weight(SIGN_SPECIALS, SIGN_SPECIALS, alpha=False),
        exactly(naive.naive_xnor_conv2d),
        plan("XnorConv2d"),
        same_bits=True,
    ),
    Case(
        "XnorConv2d, alpha given",
        image_weight_alpha,
        relative(with_alpha(naive.naive_xnor_conv2d), one_rounding),
        plan_alpha("XnorConv2d"),
        same_bits=True,
    ),
    Case(
        "XnorConv2d, use_k",
        image_and_weight(ZEROS, use_k=True),
        relative(naive.naive_xnor_conv2d, k_terms),
        plan("XnorConv2d"),
    ),
    Case(
        "XnorConv2d, bias",
        image_weight_bias,
        exactly(naive.naive_xnor_conv2d),
        plan("XnorConv2d"),
        same_bits=True,
    ),
    Case(
        "XnorLinear",
        rows_and_weight(SIGN_SPECIALS),
        relative(naive.naive_xnor_linear, one_rounding),
        plan("XnorLinear"),
        same_bits=True,
    ),
    Case(
        "XnorLinear, alpha=False",
        rows_and_weight(SIGN_SPECIALS, alpha=False),
        exactly(naive.naive_xnor_linear),
        plan("XnorLinear"),
        same_bits=True,
    ),
    Case(
        "XnorLinear, use_k",
        rows_and_weight(ZEROS, use_k=True),
        relative(naive.naive_xnor_linear, k_terms),
        plan("XnorLinear"),
    ),
    # ---- binary weights
    Case("BwnConv2d", image_and_weight(ZEROS), linear(naive.naive_bwn_conv2d, taps), plan("BwnConv2d")),
    Case(
        "BwnConv2d, alpha=False",
        image_and_weight(ZEROS, SIGN_SPECIALS, alpha=False),
        linear(naive.naive_bwn_conv2d, taps),
        plan("BwnConv2d"),
    ),
    Case(
        "BwnConv2d, alpha given",
        image_weight_alpha,
        linear(with_alpha(naive.naive_bwn_conv2d), taps),
        plan_alpha("BwnConv2d"),
    ),
    Case("BwnLinear", rows_and_weight(ZEROS), linear(naive.naive_bwn_linear, taps), plan("BwnLinear")),
    # ---- pooling
    Case(
        "max_pool2d",
        lambda rng, g: ((values(rng, g.x_shape, [*POOL_VALUES, np.nan, np.inf, -np.inf], 0.7),), pool_window(g)),
        exactly(naive.naive_max_pool2d),
        same_bits=True,
        geometry=pool_geometries(),
    ),
    Case(
        "max_pool2d_grad",
        lambda rng, g: (
            (pool_output_grad(rng, g), values(rng, g.x_shape, [*POOL_VALUES, np.nan, np.inf], 0.7)),
            pool_window(g),
        ),
        lambda grad, x, **options: [
            (
                naive.naive_max_pool2d_grad(grad, x, **options),
                rounding(26) * naive.naive_max_pool2d_grad(np.abs(grad), x, **options),
            )
        ],
        geometry=pool_geometries(),
    ),
    Case(
        "avg_pool2d",
        lambda rng, g: ((values(rng, g.x_shape),), pool_window(g)),
        linear(naive.naive_avg_pool2d, pool_terms),
        geometry=pool_geometries(),
    ),
    Case(
        "avg_pool2d_grad",
        lambda rng, g: ((pool_output_grad(rng, g),), {"x_shape": g.x_shape, **pool_window(g)}),
        linear(naive.naive_avg_pool2d_grad, pool_terms),
        geometry=pool_geometries(),
    ),
    # ---- normalisation
    Case("batch_norm", batch_norm_arguments, expect_batch_norm),
    Case(
        "batch_norm_inference",
        lambda rng, g: (norm_arrays(rng, g), {"eps": 1e-3}),
        expect_batch_norm_inference,
    ),
    Case("batch_norm_grad", batch_norm_grad_arguments, expect_batch_norm_grad),
    # ---- loss
    Case("softmax_cross_entropy", logits_arguments, expect_cross_entropy),
    Case(
        "softmax_cross_entropy_grad",
        probabilities_arguments,
        lambda probabilities, labels, **options: [
            (naive.naive_softmax_cross_entropy_grad(probabilities, labels, **options), rounding(4))
        ],
    ),
]
