"""Weight gradients over micro-batches: exactly the gradients of their images alone, added in a tree."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
from binnet_kernels import reference
from binnet_kernels.tree import middle
from naive import naive_pack_map

from .strategies import PURE_PYTHON, Geometry, each_backend, geometries, seeds, values

pad_values = st.sampled_from([0, 1, -1])


def naive_tree_sum(parts):
    """Whole arrays, added in the tree."""
    if len(parts) == 1:
        return parts[0]
    split = middle(0, len(parts))
    return naive_tree_sum(parts[:split]) + naive_tree_sum(parts[split:])


def real(backend, rng, g, groups=1):
    """A gradient of float images, as a function of the images that count."""
    x, grad = values(rng, g.x_shape), values(rng, (g.n, *g.output_size, g.o))
    window = (*g.weight_shape[:3], g.c // groups), g.stride, g.padding, groups
    return lambda images, **options: backend.conv2d_grad_weight(x[images], grad[images], *window, **options)


def signs(backend, rng, g, pad_value):
    x, grad = values(rng, g.x_shape), values(rng, (g.n, *g.output_size, g.o))
    bits = naive_pack_map(x, g.padding, pad_value)

    def gradient(images, **options):
        sizes = g.weight_shape, x[images].shape, g.stride, g.padding, pad_value
        return backend.sign_grad_weight(bits[images], grad[images], *sizes, **options)

    return gradient


def levels(backend, rng, g, pad_value, number):
    x, grad = values(rng, g.x_shape), values(rng, (g.n, *g.output_size, g.o))
    planes, _ = reference.level_planes(x, number, g.padding, pad_value)

    def gradient(images, **options):
        sizes = g.weight_shape, x[images].shape, g.stride, g.padding, pad_value
        return backend.level_grad_weight(planes[:, images], grad[images], *sizes, **options)

    return gradient


def assert_same_bits(gradient, cuts):
    """Whatever the number of threads; NaN in ``out`` would show what is not written."""
    expected = naive_tree_sum([gradient(np.s_[first:end]) for first, end in pairwise(cuts)])
    before = bk.get_num_threads()
    for threads in sorted({1, before}):
        try:
            bk.set_num_threads(threads)
            out = np.full(expected.shape, np.nan, np.float32)
            assert gradient(np.s_[:], cuts=cuts, out=out) is out
        finally:
            bk.set_num_threads(before)
        assert out.tobytes() == expected.tobytes()


@st.composite
def batches(draw, depths=None):
    """A convolution of some images, and cuts: micro-batches are often empty, and images left out."""
    n = draw(st.integers(0, 4 if PURE_PYTHON else 12))
    cuts = sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=10)))
    return replace(draw(geometries(depths) if depths else geometries()), n=n), tuple(cuts)


@each_backend
@given(batches(), seeds)
def test_real_images(backend, batch, seed):
    g, cuts = batch
    assert_same_bits(real(backend, np.random.default_rng(seed), g), cuts)


@each_backend
@given(batches([4, 8, 64]), seeds, st.sampled_from([2, 4]), st.sampled_from([1, 2, 5]))
def test_groups(backend, batch, seed, groups, filters):
    """Wide and narrow ones."""
    g, cuts = batch
    assert_same_bits(real(backend, np.random.default_rng(seed), replace(g, o=groups * filters), groups), cuts)


@each_backend
@given(batches(), seeds, pad_values)
def test_signs(backend, batch, seed, pad_value):
    g, cuts = batch
    assert_same_bits(signs(backend, np.random.default_rng(seed), g, pad_value), cuts)


@each_backend
@given(batches(), seeds, pad_values, st.integers(1, 8))
def test_levels(backend, batch, seed, pad_value, number):
    g, cuts = batch
    assert_same_bits(levels(backend, np.random.default_rng(seed), g, pad_value, number), cuts)


RAGGED = (0, 4, 8, 12, 15, 18, 21, 24)
LAYERS = {
    "sums in slices": (Geometry(24, 30, 30, 3, 20, 5, 1, 2), RAGGED),
    "some of them in slices": (Geometry(24, 20, 20, 3, 20, 5, 1, 2), (0, 1, 9, 9, 24)),
    "many chunks": (Geometry(24, 14, 13, 64, 72, 3, 1, 1), RAGGED),
    "many channels and taps": (Geometry(24, 4, 4, 200, 300, 3, 1, 1), RAGGED),
    "chunks that end with micro-batches": (Geometry(48, 2, 4, 96, 40, 3, 2, 1), (0, 0, 24, 24, 48, 48)),
    "a map of 1x1": (Geometry(24, 1, 1, 512, 200, 3, 1, 1), RAGGED),
    "past the caches": (Geometry(24, 1, 1, 1024, 1100, 1, 1, 0), RAGGED),
    "images that do not count": (Geometry(24, 2, 2, 512, 40, 1, 1, 0), (5, 9, 17)),
    "a dummy": (Geometry(1, 7, 7, 64, 64, 3, 1, 1), (0, 0)),
    "dummies": (Geometry(1, 7, 7, 64, 64, 3, 1, 1), (0, 0, 0, 0)),
}


@pytest.mark.compiled
@pytest.mark.parametrize(("g", "cuts"), LAYERS.values(), ids=LAYERS.keys())
def test_ways_through_the_kernels(g, cuts):
    rng = np.random.default_rng(0)
    assert_same_bits(real(bk, rng, g), cuts)
    assert_same_bits(signs(bk, rng, g, 0), cuts)
    assert_same_bits(levels(bk, rng, g, 1, 3), cuts)


@each_backend
@given(batches(), seeds)
def test_a_single_micro_batch(backend, batch, seed):
    """Of all images it is the default."""
    gradient = real(backend, np.random.default_rng(seed), batch[0])
    assert gradient(np.s_[:], cuts=(0, batch[0].n)).tobytes() == gradient(np.s_[:]).tobytes()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@each_backend
def test_what_does_not_count_is_not_read(backend):
    x, grad = np.full((6, 4, 4, 65), np.nan), np.full((6, 4, 4, 9), np.nan)
    x[2:5] = grad[2:5] = 1
    result = backend.conv2d_grad_weight(x, grad, (9, 3, 3, 65), padding=1, cuts=[2, 3, 5])
    assert (result[:, 1, 1] == 3 * 16).all()


@each_backend
@pytest.mark.parametrize("kind", [real, signs, levels])
@pytest.mark.parametrize("cuts", [(), (0,), 3, (0, 4), (-1, 3), (2, 1, 3), (0, 1.5, 3), (0, True), "03", ((0, 3),)])
def test_what_are_no_cuts(backend, kind, cuts):
    more = {real: (), signs: (0,), levels: (0, 2)}[kind]
    gradient = kind(backend, np.random.default_rng(0), Geometry(3, 4, 4, 5, 2, 3, 1, 1), *more)
    with pytest.raises(ValueError, match=r"^cuts must be at least two whole numbers from 0 to 3 .* got ") as error:
        gradient(np.s_[:], cuts=cuts)
    assert str(error.value).endswith(f"got {cuts!r}")
