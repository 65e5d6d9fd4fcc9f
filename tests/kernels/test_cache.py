"""The cache of compiled kernels: never stale, never in the way. A damaged or impossible one only costs time."""

import hashlib
import importlib
import json
import os
import pickle
import pkgutil
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba import config, prange
from numba.core import compiler

import binnet_kernels as bk
from binnet_kernels import compiled
from binnet_kernels.compiled.forward import bits
from binnet_kernels.simd import cache as kernel_cache
from binnet_kernels.simd.jit import Kernel, helper

pytestmark = pytest.mark.compiled

ROOTS = [Path(__file__).parents[2] / name for name in ("kernels", "datasets", ".")]
X = np.random.default_rng(0).standard_normal((3, 70)).astype(np.float32)
WORDS = bk.reference.pack_signs(X)
CHECKSUM = 32

needs_two = pytest.mark.skipif(int(config.NUMBA_NUM_THREADS) < 2, reason="needs two threads, NUMBA_NUM_THREADS is 1")

# ---------------------------------------------------------------------------------------------- in this process


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The folder of this process, empty and not yet made."""
    monkeypatch.setenv("BINNET_CACHE_DIR", str(tmp_path / "cache"))
    return kernel_cache.folder()


def pack(threads=1):
    """Pack with a kernel that has never been called: the words, and whether the code came from the cache."""
    kernel, before = Kernel(bits._pack_rows.python), bk.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bits, "_pack_rows", kernel)
        bk.set_num_threads(threads)
        try:
            words = bk.pack_signs(X)
        finally:
            bk.set_num_threads(before)
    dispatcher = kernel.serial if threads == 1 else kernel.parallel
    return words, sum(dispatcher._cache_hits.values()) == 1


def assert_compiles_again():
    words, cached = pack()
    assert not cached
    np.testing.assert_array_equal(words, WORDS)


def assert_sound(entry):
    data = entry.read_bytes()
    assert hashlib.sha256(data[CHECKSUM:]).digest() == data[:CHECKSUM]
    words, cached = pack()
    assert cached
    np.testing.assert_array_equal(words, WORDS)


def test_an_entry_is_loaded_and_not_written_again(folder):
    assert not folder.exists()
    assert_compiles_again()
    (entry,) = folder.iterdir()
    before = entry.stat()
    assert_sound(entry)
    assert [entry.stat().st_mtime_ns, entry.stat().st_ino] == [before.st_mtime_ns, before.st_ino]


def with_checksum(payload):
    return hashlib.sha256(payload).digest() + payload


DAMAGE = {
    "truncated": lambda entry: entry[: len(entry) // 2],
    "one byte lost": lambda entry: entry[:-1],
    "one bit flipped": lambda entry: entry[:-100] + bytes([entry[-100] ^ 1]) + entry[-99:],
    "shorter than a checksum": lambda entry: entry[:7],
    "empty": lambda entry: b"",
    "garbage": lambda entry: np.random.default_rng(0).bytes(5000),
    "sound, no pickle": lambda entry: with_checksum(b"no pickle at all"),
    "sound, empty": lambda entry: with_checksum(b""),
    "sound, half a pickle": lambda entry: with_checksum(entry[CHECKSUM : len(entry) // 2]),
    "sound, a pickle of something else": lambda entry: with_checksum(pickle.dumps({"answer": 42})),
    "sound, a pickle of a missing module": lambda entry: with_checksum(b"cno_such_module\nname\n."),
    "sound, another tuple": lambda entry: with_checksum(pickle.dumps((None,) * 8)),
}


@pytest.fixture(scope="module")
def sound_entry(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BINNET_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        pack()
        (entry,) = kernel_cache.folder().iterdir()
        return entry


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_entry_is_compiled_again_and_rewritten(folder, sound_entry, damage):
    folder.mkdir(parents=True)
    entry = folder / sound_entry.name
    entry.write_bytes(damage(sound_entry.read_bytes()))
    assert_compiles_again()
    assert list(folder.iterdir()) == [entry]
    assert_sound(entry)


@helper
def _increment():
    return 1


def _count(array):
    for i in prange(len(array)):
        array[i] += _increment()


def test_twins_and_signatures_have_entries_of_their_own(folder):
    for cached in (False, True):
        kernel = Kernel(_count)
        for form in (kernel.serial, kernel.parallel):
            for dtype in (np.float32, np.float64):
                array = np.ones(3, dtype)
                form(array)
                np.testing.assert_array_equal(array, 2)
            assert list(form.stats.cache_hits.values()) == [1, 1] * cached
    entries = sorted(folder.iterdir())
    assert [e.name.split("-")[0].rsplit("_", 1)[1] for e in entries] == ["parallel"] * 2 + ["serial"] * 2
    assert len({e.read_bytes() for e in entries}) == 4


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=needs_two)])
def test_each_form_loads_its_own_code(folder, threads):
    for cached in (False, True):
        words, hit = pack(threads)
        assert hit == cached
        np.testing.assert_array_equal(words, WORDS)


def test_a_folder_that_cannot_be_made(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"not a folder")
    monkeypatch.setenv("BINNET_CACHE_DIR", str(file / "below"))
    for _ in range(2):
        assert_compiles_again()
    assert file.read_bytes() == b"not a folder"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(folder):
    folder.mkdir(parents=True, mode=0o500)
    assert_compiles_again()
    assert list(folder.iterdir()) == []


def test_a_folder_in_place_of_an_entry(folder, sound_entry):
    (folder / sound_entry.name).mkdir(parents=True)
    assert_compiles_again()
    assert [path.name for path in folder.iterdir()] == [sound_entry.name]


def test_no_home(monkeypatch):
    """A container may run as a user that has no home and no name."""

    monkeypatch.delenv("BINNET_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does for a user without an entry
    assert_compiles_again()


@pytest.mark.parametrize("function", ["mkstemp", "replace", "_reduce"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), pickle.PicklingError("no"), MemoryError()])
def test_trouble_while_writing_leaves_nothing_behind(folder, monkeypatch, function, error):
    def fail(*_, **__):
        raise error

    owner = {"mkstemp": kernel_cache.tempfile, "replace": kernel_cache, "_reduce": compiler.CompileResult}[function]
    monkeypatch.setattr(owner, function, fail)
    assert_compiles_again()
    assert not folder.exists() or list(folder.iterdir()) == []


def test_an_interrupt_while_writing_leaves_nothing_behind(folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel_cache, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pack()
    assert list(folder.iterdir()) == []


def test_a_folder_lost_between_two_kernels(folder):
    assert_compiles_again()
    shutil.rmtree(folder)
    assert_compiles_again()
    (entry,) = folder.iterdir()
    assert_sound(entry)


# ---------------------------------------------------------------------------------------------- the name of the folder


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CPU_NAME", "haswell"),
        ("CPU_FEATURES", "-avx512f"),
        ("ENABLE_AVX", False),
        ("OPT", 0),
        ("BOUNDSCHECK", 1),
        ("DEBUGINFO_DEFAULT", 1),
        ("LOOP_VECTORIZE", 0),
        ("SLP_VECTORIZE", 1),
        ("DISABLE_INTEL_SVML", 1),
        ("USING_SVML", True),
        ("LLVM_REFPRUNE_FLAGS", "per_bb"),
        ("EXTEND_VARIABLE_LIFETIMES", 1),
    ],
)
def test_settings_that_reach_the_code_have_their_own_folder(monkeypatch, setting, value):
    before = kernel_cache.folder()
    assert getattr(config, setting) != value
    monkeypatch.setattr(config, setting, value)
    assert kernel_cache.folder() != before


@pytest.mark.parametrize(
    ("setting", "value"),
    [("NUMBA_NUM_THREADS", 77), ("THREADING_LAYER", "workqueue"), ("CACHE_DIR", "/x"), ("CUDA_LOG_SIZE", 1)],
)
def test_settings_that_do_not_reach_the_code_share_a_folder(monkeypatch, setting, value):
    before = kernel_cache.folder()
    monkeypatch.setattr(config, setting, value)
    assert kernel_cache.folder() == before


@pytest.mark.parametrize("module", ["numba", "llvmlite", "np"])
def test_versions_have_their_own_folder(monkeypatch, module):
    before = kernel_cache.folder()
    monkeypatch.setattr(getattr(kernel_cache, module), "__version__", "99.0")
    assert kernel_cache.folder() != before


@pytest.mark.parametrize("function", ["get_host_cpu_name", "get_host_cpu_features"])
def test_cpus_have_their_own_folder(monkeypatch, function):
    before = kernel_cache.folder()
    another = "another" if function.endswith("name") else type(kernel_cache.llvm.get_host_cpu_features())()
    monkeypatch.setattr(kernel_cache.llvm, function, lambda: another)
    assert kernel_cache.folder() != before


def test_every_source_counts(monkeypatch, tmp_path):
    """Each file, its name as well as its text."""
    package = tmp_path / "binnet_kernels"
    shutil.copytree(Path(bk.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(kernel_cache, "__file__", str(package / "simd" / "cache.py"))
    seen = {kernel_cache._SOURCES, kernel_cache._sources()}
    assert len(seen) == 1
    files = sorted(package.rglob("*.py"))
    assert {len(file.relative_to(package).parts) for file in files} == {1, 2, 3, 4}
    for file in files:
        file.write_bytes(file.read_bytes() + b"#")
        seen.add(kernel_cache._sources())
    forward = package / "compiled" / "forward"
    (forward / "pool.py").rename(forward / "pools.py")
    seen.add(kernel_cache._sources())
    assert len(seen) == len(files) + 2


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these have places of their own")
def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    monkeypatch.setenv("BINNET_CACHE_DIR", "/chosen")
    assert kernel_cache.root() == Path("/chosen")
    monkeypatch.setenv("BINNET_CACHE_DIR", "")
    assert kernel_cache.root() == Path("/elsewhere/binnet/kernels")
    monkeypatch.delenv("BINNET_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kernel_cache.root() == Path("/home/someone/.cache/binnet/kernels")


def test_paths_of_entries_are_short(folder):
    """Windows refuses paths of 260 characters and more; its folder for caches takes some 60 of them."""
    modules = pkgutil.walk_packages(compiled.__path__, f"{compiled.__name__}.")
    loaded = [vars(importlib.import_module(module.name)).values() for module in modules]
    kernels = {kernel for members in loaded for kernel in members if isinstance(kernel, Kernel)}
    entries = [kernel.parallel._cache._file("signature") for kernel in kernels]
    assert len(entries) > 50
    assert max(len(str(entry.relative_to(kernel_cache.root()))) for entry in entries) < 180


# ---------------------------------------------------------------------------------------------- in new processes

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from numba.core import event
with event.install_recorder("numba:compile") as events:
    import binnet_kernels as bk
    from binnet_kernels.simd import cache as kernel_cache
    bk.set_num_threads(1)
    {before}
    words = bk.pack_signs(np.random.default_rng(0).standard_normal((3, 70)).astype(np.float32))
compiled = [e.data["dispatcher"].py_func.__name__ for _, e in events.buffer if e.is_start]
folder, file = str(kernel_cache.folder()), sys.modules["binnet_kernels"].__file__
print(json.dumps([words.tolist(), sorted(set(compiled)), folder, file]))
"""


def start(cache, code, roots=ROOTS, **environment):
    path = os.pathsep.join(str(root) for root in roots)
    environment = {**os.environ, "BINNET_CACHE_DIR": str(cache), "PYTHONPATH": path, **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def result_of(process):
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""
    return json.loads(output)


def pack_in_a_new_process(cache, before="", **options):
    words, compiled, folder, file = result_of(start(cache, SCRIPT.format(before=before), **options))
    return np.array(words, np.uint64), compiled, Path(folder), Path(file)


def test_the_second_process_compiles_nothing(tmp_path):
    words, compiled, folder, _ = pack_in_a_new_process(tmp_path / "cache")
    assert "_pack_rows_serial" in compiled
    assert "_pack_rows_parallel" not in compiled
    again, compiled, same, _ = pack_in_a_new_process(tmp_path / "cache")
    assert compiled == []
    assert same == folder
    np.testing.assert_array_equal([words, again], [WORDS, WORDS])
    assert [path.suffix for path in folder.iterdir()] == [".bin"]


def test_settings_in_the_environment_have_their_own_folder(tmp_path):
    words, _, folder, _ = pack_in_a_new_process(tmp_path, NUMBA_OPT="1")
    assert folder.name != kernel_cache.folder().name
    np.testing.assert_array_equal(words, WORDS)


@pytest.mark.slow
def test_of_four_processes_one_compiles(tmp_path):
    started = [start(tmp_path / "cache", SCRIPT.format(before="")) for _ in range(4)]
    results = [result_of(process) for process in started]
    assert sum(result[1].count("_pack_rows_serial") for result in results) == 1
    np.testing.assert_array_equal(np.array([result[0] for result in results], np.uint64), [WORDS] * 4)
    assert [path.suffix for path in Path(results[0][2]).iterdir()] == [".bin"]
    assert pack_in_a_new_process(tmp_path / "cache")[1] == []


NOTHING = """
import json, os, sys
from numba.core import event
with event.install_recorder("numba:compile") as events:
    import binnet, binnet_kernels
print(json.dumps([len(events.buffer), os.path.exists(os.environ["BINNET_CACHE_DIR"])]))
"""


def test_import_compiles_nothing_and_makes_no_folder(tmp_path):
    assert result_of(start(tmp_path / "cache", NOTHING)) == [0, False]


# Turns the comparison of a helper in simd/vector.py around, which the kernel in bits.py uses: all signs flip.
OLD, NEW = 'fcmp_ordered("<", x,', 'fcmp_ordered( ">", x,'
FLIPPED = bk.reference.pack_signs(-X)


@pytest.fixture
def package(tmp_path):
    """A copy of binnet_kernels that a test may edit."""
    copy = tmp_path / "copy" / "binnet_kernels"
    shutil.copytree(Path(bk.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert (copy / "simd" / "vector.py").read_text("utf-8").count(OLD) == 1
    return copy


def edit(file):
    file.write_text(file.read_text("utf-8").replace(OLD, NEW), "utf-8")


def test_an_edited_helper_never_runs_stale(tmp_path, package):
    words, _, folder, file = pack_in_a_new_process(tmp_path / "cache", roots=[package.parent])
    assert file.parent == package
    np.testing.assert_array_equal(words, WORDS)
    edit(package / "simd" / "vector.py")
    words, compiled, other, _ = pack_in_a_new_process(tmp_path / "cache", roots=[package.parent])
    assert other != folder
    assert compiled
    np.testing.assert_array_equal(words, FLIPPED)


@pytest.mark.slow
def test_an_edit_under_a_running_process(tmp_path, package):
    """It compiles what it imported, and must not leave that for those that import the new text."""
    edit_now = (
        f"f = Path({str(package / 'simd' / 'vector.py')!r}); f.write_text(f.read_text().replace({OLD!r}, {NEW!r}))"
    )
    edit_now = f"import binnet_kernels.compiled; {edit_now}"
    words, _, folder, _ = pack_in_a_new_process(tmp_path / "cache", edit_now, roots=[package.parent])
    np.testing.assert_array_equal(words, WORDS)
    words, compiled, other, _ = pack_in_a_new_process(tmp_path / "cache", roots=[package.parent])
    assert other != folder
    assert compiled
    np.testing.assert_array_equal(words, FLIPPED)


# ---------------------------------------------------------------------------------------------- first calls at once


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=needs_two)])
def test_first_calls_from_four_threads(folder, monkeypatch, threads):
    monkeypatch.setattr(bits, "_pack_rows", Kernel(bits._pack_rows.python))
    before, together = bk.get_num_threads(), threading.Barrier(4)

    def work(_):
        together.wait(30)
        return bk.pack_signs(X)

    bk.set_num_threads(threads)
    try:
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(work, range(4)))
    finally:
        bk.set_num_threads(before)
    np.testing.assert_array_equal(results, [WORDS] * 4)
    assert [path.suffix for path in folder.iterdir()] == [".bin"]
