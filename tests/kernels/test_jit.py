"""What a kernel is: two forms of one text, each compiled when first called, and plain Python without compilation."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numba import config, prange

import binnet_kernels as bk
from binnet_kernels.simd import jit
from binnet_kernels.simd.jit import Kernel, helper, kernel

needs_two = pytest.mark.skipif(int(config.NUMBA_NUM_THREADS) < 2, reason="needs two threads, NUMBA_NUM_THREADS is 1")


@pytest.fixture(autouse=True)
def _keep_number_of_threads():
    before = bk.get_num_threads()
    yield
    bk.set_num_threads(before)


def body(x, out):
    """One over each."""
    for i in prange(len(x)):
        out[i] = np.float32(1) / x[i]


def one_over(function, *values):
    out = np.zeros(len(values), np.float32)
    function(np.array(values, np.float32), out)
    return out.tolist()


@pytest.mark.compiled
def test_a_kernel_keeps_name_and_text():
    made = kernel(body)
    assert isinstance(made, Kernel)
    assert (made.__name__, made.__doc__, made.python) == ("body", "One over each.", body)
    assert made.__module__ == body.__module__


@pytest.mark.compiled
@pytest.mark.parametrize("form", ["serial", pytest.param("parallel", marks=needs_two)])
def test_the_number_of_threads_chooses_the_form(form):
    made = kernel(body)
    assert not {"serial", "parallel"} & set(vars(made))
    bk.set_num_threads(1 if form == "serial" else 2)
    assert one_over(made, 2, 4) == [0.5, 0.25]
    assert {"serial", "parallel"} & set(vars(made)) == {form}
    assert len(getattr(made, form).signatures) == 1


@pytest.mark.compiled
def test_the_forms_differ_in_name_alone():
    """Numba names machine code by the qualified name, and would take one form for the other."""
    made = kernel(body)
    for form in ("serial", "parallel"):
        python = getattr(made, form).py_func
        assert python.__code__ is body.__code__
        assert python.__qualname__ == f"body_{form}"
        assert python.__module__ == body.__module__


@pytest.mark.compiled
def test_options():
    """NumPy's rules for division, and no interpreter lock while computing; sums keep their order (no fast math)."""
    made = kernel(body)
    for form, parallel in (("serial", False), ("parallel", True)):
        options = getattr(made, form).targetoptions
        assert {name: options.get(name) for name in ("nopython", "nogil", "parallel", "error_model", "fastmath")} == {
            "nopython": True,
            "nogil": True,
            "parallel": parallel,
            "error_model": "numpy",
            "fastmath": None,
        }
        assert one_over(getattr(made, form), 0.0, -0.0) == [np.inf, -np.inf]


def test_plain_python_without_compilation(monkeypatch):
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    made = kernel(body)
    assert made is body
    assert one_over(made, 2, 4) == one_over(made.serial, 2, 4) == [0.5, 0.25]


@pytest.mark.compiled
def test_a_helper_is_compiled_and_not_cached_by_itself(monkeypatch, tmp_path):
    """Its code goes into that of the kernels that call it."""
    monkeypatch.setenv("BINNET_CACHE_DIR", str(tmp_path / "cache"))
    twice = helper(lambda x: x + x)
    assert twice(3) == 6
    assert not (tmp_path / "cache").exists()


def test_errors_of_a_kernel_reach_the_caller():
    made = kernel(body)
    with pytest.raises(Exception, match=r"argument|signature|positional"):
        made(1)


def test_one_place_for_options():
    assert set(jit.OPTIONS) == {"error_model", "nogil"}


def test_every_public_name_is_found_and_stands_in_the_reference():
    aside = {"get_num_threads", "set_num_threads", "reference"}
    assert {"add", "relu", "max_pool2d"} < set(bk.__all__)
    for name in bk.__all__:
        assert getattr(bk, name) is not None
        assert name in dir(bk)
        assert name in aside or hasattr(bk.reference, name)
    with pytest.raises(AttributeError, match="no attribute 'xnor_conv3d'"):
        _ = bk.xnor_conv3d


@needs_two
@pytest.mark.compiled
def test_alone_stays_out_of_the_pool():
    made = kernel(body)
    bk.set_num_threads(2)
    assert one_over(made.serial, 2, 4) == [0.5, 0.25]
    assert "parallel" not in vars(made)


LINEAR_ALGEBRA = """
import sys
import numba
import os
import subprocess
import sys

import numpy as np
import binnet_kernels as bk

bk.pack_signs(np.ones((1, 3), np.float32))
assert "scipy.linalg" not in sys.modules, "binnet loaded it"
matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
inverse, product, convolved = numba.njit(lambda a: (np.linalg.inv(a), a @ a, np.convolve(a[0], a[1])))(matrix)
np.testing.assert_allclose(inverse, [[0.6, -0.2], [-0.2, 0.4]])
np.testing.assert_array_equal(product, [[5, 5], [5, 10]])
np.testing.assert_array_equal(convolved, [2, 7, 3])
"""


@pytest.mark.slow
@pytest.mark.compiled
def test_linear_algebra_is_loaded_for_those_who_use_it():
    done = subprocess.run([sys.executable, "-c", LINEAR_ALGEBRA], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


LOADED = """
import sys

import numpy as np
import binnet_kernels as bk

assert bk.pack_signs(np.ones((1, 3), np.float32)).tolist() == [[0]]
print(*(name for name in ("numba.np.arraymath", "numba.np.polynomial", "numba.typed.typedlist") if name in sys.modules))
"""


@pytest.mark.compiled
def test_what_compiling_needs_is_not_loaded_for_code_from_the_cache(tmp_path):
    environment = {**os.environ, "BINNET_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", LOADED]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=True)
        for _ in range(2)
    )
    assert "numba.np.arraymath" in first.stdout
    assert second.stdout == "\n"
