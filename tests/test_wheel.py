"""What gets into the wheel, and that it works away from the checkout. Needs no network."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PACKAGES = ("binnet", "binnet_kernels", "binnet_datasets", "binnet_system")
BORROWED = (
    *("numpy", "numba", "llvmlite", "scipy", "h5py"),
    *("msgspec", "PIL", "rich", "platformdirs", "pooch", "requests"),
)


AWKWARD = "Meine Übungen – 猫"  # a folder with spaces and letters that few code pages have


def _run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``cwd`` without the import path of the running process."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("no pip in this environment to build a wheel with")
    return _build(root, tmp_path_factory.mktemp("wheel"))


def _build(root: Path, folder: Path) -> Path:
    """Build the wheel of ``root`` in ``folder``."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    has_backend = importlib.util.find_spec("hatchling") is not None
    if has_backend:
        command.append("--no-build-isolation")
    result = _run([*command, str(root)], cwd=folder)
    if result.returncode != 0 and not has_backend:
        pytest.skip("hatchling is not installed and pip could not fetch it: " + result.stderr.strip()[-200:])
    assert result.returncode == 0, result.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty virtual environment that holds the wheel, and borrows its dependencies from the running one.

    The borrowed folders come from a ``.pth`` file, hence after the environment's own packages: the wheel wins.
    """
    folder = tmp_path_factory.mktemp("environment") / AWKWARD / "venv"
    folder.parent.mkdir()
    pip = [sys.executable, "-m", "pip", "--python", str(_script(folder, "python"))]
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", str(folder)],
        [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
    ):
        result = _run(command, cwd=folder.parent)
        assert result.returncode == 0, result.stderr
    origins = [importlib.util.find_spec(name) for name in BORROWED]
    lines = {str(Path(spec.origin).parents[1]) for spec in origins if spec is not None and spec.origin}
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    purelib = _run([str(_script(folder, "python")), "-c", code], cwd=folder.parent).stdout.strip()
    Path(purelib, "borrowed.pth").write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
    return folder


def _script(environment: Path, name: str) -> Path:
    """Path of a program in a virtual environment."""
    return environment / "Scripts" / f"{name}.exe" if os.name == "nt" else environment / "bin" / name


def test_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]


def test_wheel_holds_every_source_file(wheel: Path, root: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = (root, root / "kernels", root / "datasets", root / "kernels")
    for source_root, package in zip(folders, PACKAGES, strict=True):
        sources = {path.relative_to(source_root).as_posix() for path in (source_root / package).rglob("*.py")}
        assert sources
        assert sources <= names


def test_wheel_holds_type_markers_data_and_licence(wheel: Path, root: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert [name for name in names if name.startswith("binnet_datasets/") and name.endswith("/digits.h5")]
    viewer = {path.relative_to(root).as_posix() for path in (root / "binnet" / "lab" / "trace" / "viewer").iterdir()}
    assert viewer
    assert viewer <= set(names)
    assert "binnet/shipped/quick-tiny20.h5" in names
    assert [name for name in names if name.endswith("licenses/LICENSE")]


@pytest.mark.parametrize("package", PACKAGES)
def test_installed_package_is_imported_from_the_environment(environment: Path, tmp_path: Path, package: str) -> None:
    code = f"import {package}; print({package}.__file__)"
    result = _run([str(_script(environment, "python")), "-W", "error", "-c", code], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).resolve().is_relative_to(environment.resolve())


def test_installed_package_brings_a_model(environment: Path, tmp_path: Path) -> None:
    code = "import binnet; print(binnet.load('quick-tiny20').info.dataset)"
    result = _run([str(_script(environment, "python")), "-W", "error", "-c", code], cwd=tmp_path)
    assert (result.returncode, result.stdout.strip()) == (0, "tiny-imagenet-20"), result.stderr


def test_installed_command_answers_help(environment: Path, tmp_path: Path) -> None:
    result = _run([str(_script(environment, "binnet")), "--help"], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "train" in result.stdout


@pytest.mark.slow
def test_wheel_is_built_of_the_same_bytes_again(wheel: Path, root: Path, tmp_path: Path) -> None:
    """Without ``SOURCE_DATE_EPOCH`` hatchling takes a date of its own for all files, so no clock gets in."""
    again = _build(root, tmp_path)
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_wheel_needs_no_compiler(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_sdist_is_built_of_the_same_bytes_again(root: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("build") is None:
        pytest.skip("build is not installed; it comes with the dev extra")
    built = []
    for name in ("a", "b"):
        command = [sys.executable, "-m", "build", "--sdist", "--outdir", str(tmp_path / name), str(root)]
        result = _run(command, cwd=tmp_path)
        if result.returncode != 0 and importlib.util.find_spec("hatchling") is None:
            pytest.skip("hatchling is not installed and could not be fetched: " + result.stderr.strip()[-200:])
        assert result.returncode == 0, result.stderr
        built += (tmp_path / name).glob("*.tar.gz")
    assert len(built) == 2
    assert built[0].read_bytes() == built[1].read_bytes()


def test_installed_command_packs_and_predicts_in_an_awkward_folder(environment: Path, tmp_path: Path) -> None:
    """The environment itself lies in such a folder as well."""
    folder = tmp_path / AWKWARD
    folder.mkdir()
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / "Bär 1.png")
    binnet = str(_script(environment, "binnet"))
    train = ["train", "--epochs", "1", "--model", "lenet5", "--out", "Lauf é 1"]
    for words in (train, ["predict", "quick-tiny20", "Bär 1.png"], ["summary", "Lauf é 1"]):
        result = _run([binnet, *words], cwd=folder)
        assert result.returncode == 0, result.stderr
        assert result.stdout
    assert (folder / "Lauf é 1" / "packed.h5").is_file()
