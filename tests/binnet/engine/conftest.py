"""Set-up of the tests of the engine."""

from collections.abc import Iterator

import pytest

from binnet_kernels.backend import use_backend


@pytest.fixture(autouse=True, scope="module")
def compiled_forms() -> Iterator[None]:
    """``NUMBA_DISABLE_JIT=1`` runs the compiled forms as plain Python here, where the default elsewhere is NumPy."""
    with use_backend("fast"):
        yield
