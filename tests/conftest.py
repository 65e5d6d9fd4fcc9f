"""Set-up of the whole test run: a fresh folder for compiled kernels, hypothesis profiles, shared fixtures."""

import atexit
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from chromium import browser as browser
from mpi_jobs import mpiexec as mpiexec

ROOT = Path(__file__).resolve().parents[1]


def _use_fresh_kernel_cache() -> None:
    """Point ``BINNET_CACHE_DIR`` to an empty folder for this run, unless the caller has chosen one.

    This has to happen before ``binnet_kernels`` is imported, hence at import of this file. Every kernel is compiled
    once a run; child processes (and workers of pytest-xdist) inherit the folder.
    """
    if "BINNET_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="binnet-kernels-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["BINNET_CACHE_DIR"] = folder


def _choose_hypothesis_profile() -> None:
    """Register the profiles and load the one that ``HYPOTHESIS_PROFILE`` names.

    All but ``thorough`` draw the same examples every time, so that a red run means the change and not the day. None
    has a deadline, or minds slow inputs: the first call of a kernel compiles it, also where inputs are made.
    """
    patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("default", **patient, derandomize=True, max_examples=20)
    settings.register_profile("quick", **patient, derandomize=True, max_examples=8)
    settings.register_profile("thorough", **patient, derandomize=False, max_examples=1000, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def _share_the_cores() -> None:
    """In a worker of pytest-xdist, let waiting threads of GNU OpenMP sleep soon, instead of spinning on busy cores."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _hear_ctrl_c() -> None:
    """Undo what a shell does to programs in the background, which ignore SIGINT: tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _whole_suite(config: pytest.Config) -> bool:
    """True unless files, folders or tests were named."""
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def pytest_configure(config: pytest.Config) -> None:
    """Leave the tests marked ``slow`` out of the whole suite, unless ``-m`` is given (ADR 0042)."""
    if _whole_suite(config) and not config.option.markexpr:
        config.option.markexpr = "not slow"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes run the tests: one for each core, at most four; 0, which is this one, for named tests."""
    if not _whole_suite(config) or config.option.benchmark_enable:
        return 0
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


_hear_ctrl_c()
_share_the_cores()
_use_fresh_kernel_cache()
_choose_hypothesis_profile()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``compiled`` when compilation is switched off."""
    from binnet_kernels.backend import jit_disabled  # not before the folder for compiled kernels is chosen

    if not jit_disabled():
        return
    skip = pytest.mark.skip(reason="needs compiled code, NUMBA_DISABLE_JIT is set")
    for item in items:
        if item.get_closest_marker("compiled"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def script(root: Path) -> Callable[[str], ModuleType]:
    """``script("docs/build.py")`` imports a file of the checkout that is no part of a package."""

    def load(path: str) -> ModuleType:
        name = f"script_{Path(path).stem}"
        spec = importlib.util.spec_from_file_location(name, root / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with large data: ``BINNET_SHARED``, or ``shared`` beside the checkout; skips where there is none."""
    folder = Path(os.environ.get("BINNET_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip("no folder of shared data; name one in BINNET_SHARED")
    return folder
