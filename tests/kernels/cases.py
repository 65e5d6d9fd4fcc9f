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
import naive_kbit
from binnet_kernels import reference
from binnet_kernels.weights import WEIGHT_GRADIENTS
from naive_quantised import naive_compress, naive_quantised

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


def rounded(name):
    """A call whose float64 results are rounded, as all other results are."""

    def call(backend, *arrays):
        result = getattr(backend, name)(*arrays)
        return tuple(np.float32(array) for array in result) if isinstance(result, tuple) else np.float32(result)

    return call


# ---------------------------------------------------------------------------------------------- what must come out


def exactly(oracle):
    """No error at all."""
    return lambda *arrays, **options: [(oracle(*arrays, **options), 0)]


def exactly_each(oracle):
    """Several results without any error."""
    return lambda *arrays, **options: [(exact, 0) for exact in oracle(*arrays, **options)]


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


def expect_rprelu_grad(grad, x, before, slope):
    exact = naive.naive_rprelu_grad(grad, x, before, slope)
    # Products are rounded once; their sums are in float64.
    sizes = naive.naive_rprelu_grad(np.abs(grad), -np.abs(x), -np.abs(before), np.maximum(np.abs(slope), 1))
    return [(exact[0], 0), *((e, rounding(4) * np.abs(size)) for e, size in zip(exact[1:], sizes[1:], strict=True))]


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


def expect_batch_statistics(x):
    """Better than a sum of float32 numbers: the two results are rounded, and little else."""
    mean, var = naive.naive_batch_statistics(x)
    mean_bound = rounding(2) * np.abs(x).mean(tuple(range(x.ndim - 1)))
    return [(mean, mean_bound), (var, rounding(9) * var + mean_bound**2)]


def expect_norm_signs_grad(grad, within, x, *more, **options):
    passed = np.unpackbits(within.view(np.uint8), axis=-1, bitorder="little")[..., : x.shape[-1]]
    bounds = [bound for _, bound in expect_batch_norm_grad(grad * passed, x, *more, **options)]
    return list(zip(naive.naive_norm_signs_grad(grad, within, x, *more, **options), bounds, strict=True))


def expect_cross_entropy(logits, labels, label_smoothing):
    losses, probabilities = naive.naive_softmax_cross_entropy(logits, labels, label_smoothing)
    classes = logits.shape[1]
    spread = 1 + np.log(classes) + 2 * np.abs(logits).max(axis=1, initial=0)  # bound of the exponents
    bound = rounding(classes + 4) * spread
    return [(losses, bound), (probabilities, bound[:, None] * probabilities)]


# ---------------------------------------------------------------------------------------------- arguments


def map_and_grad(pad_value):
    """A map of bits and a gradient of the output, as :func:`sign_grad_weight` takes them."""

    def arguments(rng, g):
        bits = naive.naive_pack_map(values(rng, g.x_shape, SIGN_SPECIALS), g.padding, pad_value)
        more = {"weight_shape": g.weight_shape, "x_shape": g.x_shape, "pad_value": pad_value}
        return (bits, output_grad(rng, g)), {**window(g), **more}

    return arguments


def planes_of_map(x, rng, g, pad_value):
    """Planes of a map with its border, and the options of a convolution of them."""
    # The plain loops would take seconds.
    planes, _ = reference.level_planes(x, int(rng.integers(1, 9)), g.padding, pad_value)
    return planes, {**window(g), "x_shape": g.x_shape, "pad_value": pad_value}


def planes_and_grad(pad_value):
    """The same with planes of levels."""

    def arguments(rng, g):
        planes, options = planes_of_map(values(rng, g.x_shape, SIGN_SPECIALS), rng, g, pad_value)
        return (planes, output_grad(rng, g)), {**options, "weight_shape": g.weight_shape}

    return arguments


def planes_and_weight(pad_value, relu):
    """Planes of levels and real weights, for :meth:`KbitConv2d.convolve_bits`."""

    def arguments(rng, g):
        planes, options = planes_of_map(values(rng, g.x_shape, SIGN_SPECIALS), rng, g, pad_value)
        return (planes, values(rng, g.weight_shape, ZEROS)), {**options, "relu": relu, "bits": int(rng.integers(1, 9))}

    return arguments


def grad_signs_alpha(rng, g):
    """A gradient of the output, packed signs of filters and scales, as :func:`sign_grad_input` takes them."""
    signs = naive.naive_pack_signs(values(rng, g.weight_shape, SIGN_SPECIALS))
    return (output_grad(rng, g), signs, values(rng, g.o, ZEROS)), {"x_shape": g.x_shape, **window(g)}


def map_and_weight(**more):
    """A map of bits and real weights, for :meth:`XnorConv2d.convolve_bits`."""

    def arguments(rng, g):
        bits = naive.naive_pack_map(values(rng, g.x_shape, SIGN_SPECIALS), g.padding, more["pad_value"])
        return (bits, values(rng, g.weight_shape, ZEROS)), {**window(g), "x_shape": g.x_shape, **more}

    return arguments


def window(g):
    return {"stride": g.stride, "padding": g.padding}


def image_and_weight(x_specials=(), weight_specials=ZEROS, **more):
    def arguments(rng, g):
        arrays = values(rng, g.x_shape, x_specials), values(rng, g.weight_shape, weight_specials)
        return arrays, {**window(g), **more}

    return arguments


def grouped_sizes(rng, g, few):
    """Groups, and the shapes of images and filters: two wide groups, or many of few channels and filters."""
    groups, c, o = (2, g.c, g.o) if few else (min(g.c, 70), int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    return groups, (g.n, g.h, g.w, groups * c), (groups * o, *naive.pair(g.kernel_size), c)


def grouped_image_and_weight(few):
    def arguments(rng, g):
        groups, x_shape, weight_shape = grouped_sizes(rng, g, few)
        return (values(rng, x_shape, ZEROS), values(rng, weight_shape)), {"groups": groups, **window(g)}

    return arguments


def grouped_grad_and_weight(few):
    def arguments(rng, g):
        groups, x_shape, weight_shape = grouped_sizes(rng, g, few)
        arrays = values(rng, (g.n, *g.output_size, weight_shape[0])), values(rng, weight_shape)
        return arrays, {"x_shape": x_shape, "groups": groups, **window(g)}

    return arguments


def grouped_image_and_grad(few):
    def arguments(rng, g):
        groups, x_shape, weight_shape = grouped_sizes(rng, g, few)
        arrays = values(rng, x_shape), values(rng, (g.n, *g.output_size, weight_shape[0]))
        return arrays, {"weight_shape": weight_shape, "groups": groups, **window(g)}

    return arguments


def image_weight_alpha(rng, g):
    (x, weight), options = image_and_weight(ZEROS)(rng, g)
    return (x, weight, values(rng, g.o)), options


def image_weight_bias(weight_specials=SIGN_SPECIALS):
    def arguments(rng, g):
        arrays, options = image_and_weight(SIGN_SPECIALS, weight_specials, alpha=False)(rng, g)
        return arrays, {**options, "bias": rng.integers(-9, 10, g.o)}

    return arguments


def rows_and_weight(x_specials=(), **more):
    return lambda rng, g: ((values(rng, (g.n * g.h, g.c), x_specials), values(rng, (g.o, g.c), ZEROS)), more)


def with_bits(arguments, *names):
    """The same arguments, and a random number of bits for each name."""

    def more(rng, g):
        arrays, options = arguments(rng, g)
        return arrays, {**options, **{name: int(rng.integers(1, 9)) for name in names}}

    return more


def output_grad(rng, g):
    return values(rng, (g.n, *g.output_size, g.o))


def cut_image_and_grad(rng, g):
    """Three micro-batches of all images, the second of which is empty."""
    cuts = 0, g.n // 3, g.n // 3, g.n
    return (values(rng, g.x_shape), output_grad(rng, g)), {"weight_shape": g.weight_shape, "cuts": cuts, **window(g)}


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


def channel_arguments(maps, vectors):
    """Maps of one shape and numbers a channel."""

    def arguments(rng, g):
        return (*(values(rng, g.x_shape) for _ in range(maps)), *(values(rng, g.c) for _ in range(vectors))), {}

    return arguments


def max_pool_arguments(rng, g):
    return (values(rng, g.x_shape, [*POOL_VALUES, np.nan, np.inf, -np.inf], 0.7),), pool_window(g)


def max_pool_grad_winners_arguments(rng, g):
    """The winners of some image; those past the last channel are anything."""
    (x,), options = max_pool_arguments(rng, g)
    winners = reference.max_pool2d_winners(x, **options)[1]  # the plain loops would take a second
    winners[..., g.c :] = rng.integers(0, 1 << 16, winners[..., g.c :].shape, np.uint16)
    return (pool_output_grad(rng, g), winners), {"x_shape": g.x_shape, **options}


def batch_norm_arguments(rng, g):
    return norm_arrays(rng, g, 1)[:3], {"eps": float(rng.choice([1e-5, 1e-3]))}


def batch_norm_grad_arguments(rng, g):
    x, gamma, _, mean, var = norm_arrays(rng, g, 1)
    return (values(rng, x.shape), x, gamma, mean, var), {"eps": 1e-3}


def signs_arguments(rng, g):
    x = values(rng, g.x_shape, [*SIGN_SPECIALS, 1.0, -1.0, np.nextafter(np.float32(1), 2)])
    return (x,), {"padding": g.padding, "pad_value": int(rng.integers(-1, 2))}


def norm_signs_arguments(rng, g):
    """Some values are their channel's mean, and some shifts zero: where normalising gives a zero of either sign."""
    x, gamma, beta, mean, var = norm_arrays(rng, g)
    chosen = rng.random(x.shape) < 0.2
    x[chosen] = np.broadcast_to(mean, x.shape)[chosen]
    x[rng.random(x.shape) < 0.05] = np.nan
    return (x, gamma, beta, mean, var), {**signs_arguments(rng, g)[1], "eps": 1e-3}


def norm_relu_arguments(rng, g):
    arrays, options = norm_signs_arguments(rng, g)
    return arrays, {"eps": options["eps"]}


def norm_signs_grad_arguments(rng, g):
    x, gamma, _, mean, var = norm_arrays(rng, g, 1)
    within = reference.signs(2 * values(rng, x.shape))[1]
    return (values(rng, x.shape), within, x, gamma, mean, var), {"eps": 1e-3}


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


def weight_gradient_arguments(rng, g):
    arrays = *weight_arguments()(rng, g), values(rng, g.o, ZEROS)
    return arrays, {"rule": str(rng.choice(WEIGHT_GRADIENTS)), "mean_alpha": bool(rng.integers(2))}


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
            "seed": int(rng.integers(99)),
        }
        return arrays, {**window(g), "pad_value": int(rng.integers(-1, 2)), **rounding_options}

    return arguments


def expect_quantised(grad, y, alpha, weight, x, *, stride, padding, pad_value, how, bits, seed):
    """The float convolutions of the same levels, to the last bit."""
    rows, row_unit, columns, column_unit = naive_quantised(grad, alpha, y, how, bits, seed)
    by_x = naive.naive_conv2d_grad_input(rows, naive.naive_sign(weight), x.shape, stride, padding)
    bordered = naive.pad_image(naive.naive_sign(x), padding, pad_value)
    by_weight = naive.naive_conv2d_grad_weight(bordered, columns, weight.shape, stride, 0)
    return [
        (sums.astype(np.float32) * unit[:, None, None, None], 0)
        for sums, unit in ((by_x, row_unit), (by_weight, column_unit))
    ]


def signs_of_map(bits, x_shape, padding):
    """The signs inside a map of bits, as floats."""
    (n, h, w, c), (ph, pw) = x_shape, naive.pair(padding)
    inside = np.ascontiguousarray(bits[:, ph : ph + h, pw : pw + w])
    words = np.zeros((n, h, w, -(-c // 64) * 2), np.uint32)
    words[..., : bits.shape[3]] = inside
    return naive.naive_unpack_signs(words.view(np.uint64), c)


def expect_convolve_bits(bits, weight, x_shape, stride, padding, pad_value, relu):
    y = naive.naive_xnor_conv2d(signs_of_map(bits, x_shape, padding), weight, stride, padding, pad_value)
    return [(np.maximum(y, 0) if relu else y, rounding(1) * np.abs(y))]


def expect_sign_grad_weight(bits, grad, weight_shape, x_shape, stride, padding, pad_value):
    signs, sizes = signs_of_map(bits, x_shape, padding), (weight_shape, stride, padding, pad_value)
    size = naive.naive_sign_grad_weight(np.ones(x_shape), np.abs(grad), *sizes[:3], abs(pad_value))
    return [(naive.naive_sign_grad_weight(signs, grad, *sizes), rounding(grad[..., :1].size) * size)]


def levels_of_map(planes, x_shape, padding):
    """The levels inside planes of bits, as floats."""
    whole = sum(2**i * signs_of_map(plane, x_shape, padding) for i, plane in enumerate(planes))
    return whole / (2 ** len(planes) - 1)


def expect_level_grad_weight(planes, grad, weight_shape, x_shape, stride, padding, pad_value):
    levels = levels_of_map(planes, x_shape, padding)
    sums = [
        naive.naive_conv2d_grad_weight(naive.pad_image(x, padding, value), g, weight_shape, stride)
        for x, g, value in ((levels, grad, pad_value), (np.abs(levels), np.abs(grad), abs(pad_value)))
    ]
    return [(sums[0], rounding(grad[..., :1].size + len(planes)) * sums[1])]


def expect_convolve_planes(planes, weight, x_shape, stride, padding, pad_value, relu, bits):
    levels = levels_of_map(planes, x_shape, padding)
    y = naive_kbit.naive_kbit_conv2d(levels, weight, bits, len(planes), stride, padding, pad_value)
    return [(np.maximum(y, 0) if relu else y, rounding(4) * np.abs(y))]


def call_convolve_planes(backend, planes, weight, x_shape, relu, bits, **options):
    return backend.KbitConv2d(weight, bits, len(planes), **options).convolve_bits(planes, x_shape, relu)


def expect_sign_grad_input(grad, signs, alpha, x_shape, stride, padding):
    weight = naive.naive_unpack_signs(signs, x_shape[3])
    size = naive.naive_sign_grad_input(np.abs(grad), np.ones_like(weight), np.abs(alpha), x_shape, stride, padding)
    exact = naive.naive_sign_grad_input(grad, weight, alpha, x_shape, stride, padding)
    return [(exact, rounding(signs[..., 0].size + 1) * size)]


def call_convolve_bits(backend, bits, weight, x_shape, relu, **options):
    return backend.XnorConv2d(weight, **options).convolve_bits(bits, x_shape, relu)


def expect_update(oracle):
    """Every operation on each element rounds once; the sizes of what is added bound the error."""
    return lambda *arrays, **options: [(e, rounding(16) * size) for e, size in oracle(*arrays, **options)]


def compress_arguments(rng, g):
    return (values(rng, g.weight_shape, ZEROS), values(rng, g.weight_shape, ZEROS)), {"bits": int(rng.integers(2, 10))}


def expect_compressed(grad, error, bits):
    """The expanded gradient, the units and what is left, to the last bit."""
    levels, unit, left = naive_compress(grad.reshape(len(grad), -1), error.reshape(len(grad), -1), bits)
    expanded = (levels.astype(np.float32) * unit[:, None]).reshape(grad.shape)
    return [(expanded, 0), (unit, 0), (left.reshape(grad.shape), 0)]


def call_compress(backend, grad, error, bits):
    left = np.array(error, np.float32, order="C")
    packed, unit = backend.compress_gradient(grad, left, bits)
    return backend.expand_gradient(packed, unit, np.empty_like(left)), unit, left


# ---------------------------------------------------------------------------------------------- the table


def plan(name):
    """Call of a class: weights first, then the input."""
    return lambda backend, x, weight, **options: getattr(backend, name)(weight, **options)(x)


def plan_alpha(name):
    """Call of a class that is given its scales."""
    return lambda backend, x, weight, alpha, **options: getattr(backend, name)(weight, alpha=alpha, **options)(x)


def in_place(name):
    """Call of a function that changes its arrays, all but the gradient after the first: on copies, the result."""

    def call(backend, weight, grad, *moments, **options):
        weight, *moments = (np.array(a, np.float32, order="C") for a in (weight, *moments))
        getattr(backend, name)(weight, grad, *moments, **options)
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


def winners_without_rest(backend, x, **options):
    """Winners past the last channel mean nothing."""
    y, winners = backend.max_pool2d_winners(x, **options)
    return y, np.ascontiguousarray(winners[..., : y.shape[-1]])


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
        "binary_weights",
        lambda rng, g: ((values(rng, g.weight_shape, ZEROS),), {}),
        lambda weight: [
            (naive.naive_pack_signs(weight.reshape(len(weight), -1)), 0),
            *relative(naive.naive_weight_alpha, one_rounding)(weight),
        ],
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
    Case("weight_gradient", weight_gradient_arguments, expect_update(naive.naive_weight_gradient)),
    Case("adam_update", adam_arguments, expect_update(naive.naive_adam), in_place("adam_update"), same_bits=True),
    Case("sgd_update", sgd_arguments, expect_update(naive.naive_sgd), in_place("sgd_update"), same_bits=True),
    # ---- gradients of few levels
    Case("compress_gradient", compress_arguments, expect_compressed, call_compress, same_bits=True),
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
    Case(
        "cuts of conv2d_grad_weight",
        cut_image_and_grad,
        # Exact sums do not depend on their order.
        linear(lambda *a, cuts, **o: naive.naive_conv2d_grad_weight(*a, **o), lambda x, grad: grad[..., :1].size),
        lambda backend, *a, **o: backend.conv2d_grad_weight(*a, **o),
    ),
    *(
        Case(prefix + name, arguments(few), linear(oracle, terms), call)
        for prefix, few in (("", False), ("few ", True))
        for name, arguments, oracle, terms, call in (
            (
                "grouped_conv2d",
                *(grouped_image_and_weight, naive.naive_grouped_conv2d, taps),
                lambda backend, *a, **o: backend.conv2d(*a, **o),
            ),
            (
                "grouped_conv2d_grad_input",
                *(grouped_grad_and_weight, naive.naive_grouped_conv2d_grad_input, lambda g, w: w[..., :1].size),
                lambda backend, *a, **o: backend.conv2d_grad_input(*a, **o),
            ),
            (
                "grouped_conv2d_grad_weight",
                *(grouped_image_and_grad, naive.naive_grouped_conv2d_grad_weight, lambda x, g: g[..., :1].size),
                lambda backend, *a, **o: backend.conv2d_grad_weight(*a, **o),
            ),
        )
    ),
    *(
        Case(f"sign_grad_weight, pad_value={pad_value}", map_and_grad(pad_value), expect_sign_grad_weight, call)
        for pad_value, call in ((v, lambda backend, *a, **o: backend.sign_grad_weight(*a, **o)) for v in (0, 1, -1))
    ),
    *(
        Case(f"level_grad_weight, pad_value={pad_value}", planes_and_grad(pad_value), *both)
        for pad_value, both in (
            (v, (expect_level_grad_weight, lambda backend, *a, **o: backend.level_grad_weight(*a, **o)))
            for v in (0, 1, -1)
        )
    ),
    *(
        Case(
            f"convolve_bits of levels, pad_value={pad_value}",
            planes_and_weight(pad_value, relu),
            expect_convolve_planes,
            call_convolve_planes,
            same_bits=True,
        )
        for pad_value, relu in ((0, True), (1, False), (-1, True))
    ),
    Case("sign_grad_input", grad_signs_alpha, expect_sign_grad_input),
    *(
        Case(
            f"convolve_bits, pad_value={pad_value}",
            map_and_weight(pad_value=pad_value, relu=relu),
            expect_convolve_bits,
            call_convolve_bits,
            same_bits=True,
        )
        for pad_value, relu in ((0, True), (1, False), (-1, True))
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
        image_weight_bias(),
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
    # ---- levels of k bits
    Case(
        "quantise_input",
        with_bits(lambda rng, g: ((values(rng, g.x_shape, [*SIGN_SPECIALS, 1.0, -1.0]),), {}), "bits"),
        exactly(naive_kbit.naive_quantise),
        same_bits=True,
    ),
    Case(
        "pack_planes",
        with_bits(lambda rng, g: ((values(rng, g.x_shape, SIGN_SPECIALS),), {}), "bits"),
        exactly(naive_kbit.naive_pack_planes),
        same_bits=True,
    ),
    Case(
        "weight_planes",
        with_bits(lambda rng, g: ((values(rng, g.weight_shape, ZEROS),), {}), "bits"),
        exactly(naive_kbit.naive_weight_planes),
        same_bits=True,
    ),
    Case(
        "level_weight_hat",
        with_bits(lambda rng, g: ((values(rng, g.weight_shape, ZEROS), values(rng, g.o)), {}), "bits"),
        exactly(naive_kbit.naive_level_hat),
        same_bits=True,
    ),
    Case(
        "level_grad_alpha",
        with_bits(lambda rng, g: (weight_arguments()(rng, g), {}), "bits"),
        expect_update(naive_kbit.naive_level_grad_alpha),
    ),
    Case(
        "level_weight_gradient",
        with_bits(weight_gradient_arguments, "bits"),
        expect_update(naive_kbit.naive_level_gradient),
    ),
    Case(
        "weight_range",
        with_bits(lambda rng, g: ((values(rng, g.weight_shape, ZEROS),), {}), "bits"),
        relative(naive_kbit.naive_weight_range, one_rounding),
        same_bits=True,
    ),
    Case(
        "quantise_weight",
        with_bits(lambda rng, g: ((values(rng, g.weight_shape, ZEROS),), {}), "bits"),
        exactly(naive_kbit.naive_quantise_weight),
        same_bits=True,
    ),
    *(
        Case(
            f"KbitConv2d, pad_value={pad_value}",
            with_bits(image_and_weight(SIGN_SPECIALS, pad_value=pad_value), "weight_bits", "act_bits"),
            relative(naive_kbit.naive_kbit_conv2d, lambda *_: 4),
            plan("KbitConv2d"),
            same_bits=True,
        )
        for pad_value in (0, 1, -1)
    ),
    Case(
        "KbitConv2d, use_k",
        with_bits(image_and_weight(ZEROS, use_k=True), "weight_bits", "act_bits"),
        relative(naive_kbit.naive_kbit_conv2d, k_terms),
        plan("KbitConv2d"),
    ),
    Case(
        "KbitConv2d, bias",
        with_bits(image_weight_bias(ZEROS), "weight_bits", "act_bits"),
        lambda x, weight, **options: [
            (naive_kbit.naive_kbit_conv2d(x, weight, **options), rounding(4) * (weight[:1].size + 9))
        ],
        plan("KbitConv2d"),
        same_bits=True,
    ),
    Case(
        "KbitLinear",
        with_bits(rows_and_weight(SIGN_SPECIALS), "weight_bits", "act_bits"),
        relative(naive_kbit.naive_kbit_linear, lambda *_: 4),
        plan("KbitLinear"),
        same_bits=True,
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
        max_pool_arguments,
        exactly(naive.naive_max_pool2d),
        same_bits=True,
        geometry=pool_geometries(),
    ),
    Case(
        "max_pool2d_winners",
        max_pool_arguments,
        exactly_each(naive.naive_max_pool2d_winners),
        winners_without_rest,
        same_bits=True,
        geometry=pool_geometries(),
    ),
    Case(
        "max_pool2d_grad_winners",
        max_pool_grad_winners_arguments,
        lambda grad, winners, **options: [
            (
                naive.naive_max_pool2d_grad_winners(grad, winners, **options),
                rounding(26) * naive.naive_max_pool2d_grad_winners(np.abs(grad), winners, **options),
            )
        ],
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
    # ---- element by element
    Case(
        "relu",
        lambda rng, g: ((values(rng, g.x_shape, SIGN_SPECIALS),), {}),
        exactly(naive.naive_relu),
        same_bits=True,
    ),
    Case(
        "relu_grad",
        lambda rng, g: ((values(rng, g.x_shape, [np.nan, np.inf]), values(rng, g.x_shape, SIGN_SPECIALS)), {}),
        exactly(naive.naive_relu_grad),
        same_bits=True,
    ),
    Case(
        "polynomial_grad",
        lambda rng, g: ((values(rng, g.x_shape, [np.nan]), values(rng, g.x_shape, SIGN_SPECIALS)), {}),
        exactly(naive.naive_polynomial_grad),
        same_bits=True,
    ),
    Case(
        "add",
        lambda rng, g: ((values(rng, g.x_shape, ZEROS), values(rng, g.x_shape, ZEROS)), {}),
        relative(naive.naive_add, one_rounding),
        same_bits=True,
    ),
    # ---- with numbers a channel
    Case("rprelu", channel_arguments(1, 3), exactly(naive.naive_rprelu), same_bits=True),
    Case("rprelu_grad", channel_arguments(2, 2), expect_rprelu_grad, rounded("rprelu_grad")),
    Case(
        "channel_sums", channel_arguments(1, 0), linear(naive.naive_channel_sums, lambda x: 1), rounded("channel_sums")
    ),
    # ---- normalisation
    Case("batch_norm", batch_norm_arguments, expect_batch_norm),
    Case(
        "batch_norm_inference",
        lambda rng, g: (norm_arrays(rng, g), {"eps": 1e-3}),
        expect_batch_norm_inference,
    ),
    Case("batch_norm_grad", batch_norm_grad_arguments, expect_batch_norm_grad),
    Case("batch_statistics", lambda rng, g: (norm_arrays(rng, g, 1)[:1], {}), expect_batch_statistics),
    Case("signs", signs_arguments, exactly_each(naive.naive_signs), same_bits=True),
    Case("norm_signs", norm_signs_arguments, exactly_each(naive.naive_norm_signs), same_bits=True),
    Case(
        "level_planes",
        with_bits(signs_arguments, "bits"),
        exactly_each(naive_kbit.naive_plane_maps),
        same_bits=True,
    ),
    Case(
        "norm_level_planes",
        with_bits(norm_signs_arguments, "bits"),
        exactly_each(naive_kbit.naive_norm_plane_maps),
        same_bits=True,
    ),
    Case("norm_relu", norm_relu_arguments, exactly_each(naive.naive_norm_relu), same_bits=True),
    Case("norm_signs_grad", norm_signs_grad_arguments, expect_norm_signs_grad),
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
