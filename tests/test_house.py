"""Cheap tests that hold the house: sizes, commands in the README, the index of decisions, layers."""

import ast
import graphlib
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("binnet", "kernels/binnet_kernels", "kernels/binnet_system", "datasets/binnet_datasets")
MAX_LINES = 350
MAX_FILES = 15  # Python files directly in a folder
MAX_PARAMETERS = 8
SKIPPED_FOLDERS = {"build", "dist", "runs", "htmlcov", "venv", "node_modules", "__pycache__"}
# In two pieces each, so that this file does not hold what it forbids.
REGISTRY_HOSTS = [
    "".join(pieces)
    for pieces in (
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("conda", ".anaconda.org"),
        ("registry", ".npmjs.org"),
        ("crates", ".io"),
    )
]


def _files(root: Path) -> list[Path]:
    """The files that are committed or would be: what git knows, or a walk that leaves out the usual debris."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        listing = None
    if listing is not None and listing.returncode == 0 and listing.stdout:
        paths = [root / name for name in listing.stdout.split("\0") if name]
        return [path for path in paths if path.is_file()]
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [n for n in folders if n not in SKIPPED_FOLDERS and (not n.startswith(".") or n == ".ci")]
        found += [Path(folder, name) for name in names]
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_source_files_stay_short(root: Path, package: str) -> None:
    sizes = {str(p.relative_to(root)): len(p.read_text("utf-8").splitlines()) for p in (root / package).rglob("*.py")}
    assert sizes, f"{package} holds no Python"
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_stay_small(root: Path, package: str) -> None:
    folders = Counter(str(path.parent.relative_to(root)) for path in (root / package).rglob("*.py"))
    assert {name: count for name, count in folders.items() if count > MAX_FILES} == {}


@pytest.mark.parametrize("package", [name for name in PACKAGES if "kernels" not in name])
def test_public_functions_have_few_parameters(root: Path, package: str) -> None:
    """What belongs together is grouped in a dataclass instead; kernels take flat arrays, and are not counted."""
    found = {}
    for path in (root / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                found[f"{path.relative_to(root)}:{node.name}"] = len(names) - (names[:1] in (["self"], ["cls"]))
    assert found
    assert {name: count for name, count in found.items() if count > MAX_PARAMETERS} == {}


@pytest.mark.parametrize(
    "command",
    ["python -m pip install . && binnet train", 'python -m pip install ".[test]" && python -m pytest'],
)
def test_readme_gives_the_two_commands(root: Path, command: str) -> None:
    assert command in (root / "README.md").read_text("utf-8").splitlines()


def test_readme_names_folders_that_exist(root: Path) -> None:
    text = (root / "README.md").read_text("utf-8")
    links = re.findall(r"\]\(([^)#]+)", text)
    missing = [link for link in links if "://" not in link and not (root / link).exists()]
    assert links
    assert missing == []


def test_architecture_names_functions_that_exist(root: Path) -> None:
    text = (root / "docs" / "architecture.md").read_text("utf-8")
    paths = [root / "docs" / link for link in re.findall(r"\]\((\.\./[^)#]+)", text)]
    stops = re.findall(r"`([\w.]+)`(?: and `([\w.]+)`)?\s+in\s+\[[^]]+\]\((\.\./[^)#]+)\)", text)
    assert len(paths) > len(stops) > 25
    assert [path for path in paths if not path.is_file()] == []
    missing = []
    for *names, link in stops:
        source = (root / "docs" / link).read_text("utf-8")
        words = [word for name in names for word in name.split(".") if word]
        defined = r"^\S.* {}\(" if link.endswith(".c") else r"^ *(def|class) {}\b"
        missing += [(link, w) for w in words if not re.search(defined.format(w), source, re.MULTILINE)]
    assert missing == []


def test_every_decision_is_in_the_index_once(root: Path) -> None:
    folder = root / "docs" / "adr"
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    linked = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert pages
    assert linked == pages
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))


@pytest.mark.parametrize("heading", ["## Context", "## Decision", "## Consequences", "## Alternatives"])
def test_every_decision_has_its_four_parts(root: Path, heading: str) -> None:
    pages = list((root / "docs" / "adr").glob("[0-9]*.md"))
    assert [page.name for page in pages if heading not in page.read_text("utf-8").splitlines()] == []


# What some systems lack or do otherwise. `x.replace(y)` and `x.rename(y)` of one argument are those of paths.
_OF_ONE_SYSTEM = re.compile(
    r"""\b(?:fcntl|msvcrt|pwd|grp|termios|tty|winreg)\.[a-zA-Z]\w* | [sg]etrlimit | getrusage
    | import[ ](?:fcntl|msvcrt|resource|pwd|grp|termios|winreg)\b
    | \bos\.(?:p?fork\w*|pread\w*|pwrite\w*|sched_\w+|get[ug]id|gete[ug]id|getloadavg|register_at_fork|killpg|kill\b
      |setsid|setpgid|getpgid|uname|readlink|symlink|link\b|mkfifo|posix_\w+|statvfs|nice|wait\w*|replace|rename\w*)
    | \bsignal\.(?:SIGKILL|SIGHUP|SIGUSR\d|SIGALRM|SIGPIPE|SIGCHLD|SIGBREAK|pause|alarm|setitimer|pthread_\w+)
    | \bselect\.(?:select|poll|epoll|kqueue)
    | preexec_fn | start_new_session | creationflags | \bCDLL\b | mallopt | ["']/(?:proc|dev|sys|tmp)/
    | \b(?:os\.name|sys\.platform|platform\.system\(\))[ ]*(?:==|!=|in\b|\.startswith)
    | \.(?:rename|replace)\([^(),"'=]+\)
    | \bshlex\. | \.write_text\((?!.*\bnewline=)""",
    re.VERBOSE,
)


def _code(text: str) -> Iterator[str]:
    """The statements of a file, normalised: no comments and no docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                value.value = ""
    yield from ast.unparse(tree).splitlines()


def test_calls_that_some_systems_lack_stand_in_one_package(root: Path) -> None:
    found, guarded = [], 0
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            text = path.read_text("utf-8")
            suspect = _OF_ONE_SYSTEM.search(text)
            lines = [line.strip() for line in _code(text) if _OF_ONE_SYSTEM.search(line)] if suspect else []
            if package == "kernels/binnet_system":
                guarded += len(lines)
            else:
                found += [f"{path.relative_to(root)}: {line}" for line in lines]
    assert found == []
    assert guarded > 15


def test_no_file_names_a_package_registry(root: Path) -> None:
    found = []
    for path in _files(root):
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [(str(path.relative_to(root)), host) for host in REGISTRY_HOSTS if host in text]
    assert found == []


def _imports(package: str, tree: ast.AST) -> Iterator[str]:
    """The full names that a file imports, also inside functions and for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(package, node)


def test_no_circle_of_files(root: Path) -> None:
    """A file imports no file that comes to import it, neither on top nor inside a function."""
    files = {}
    for folder in PACKAGES:
        for path in (root / folder).rglob("*.py"):
            name = ".".join(path.relative_to((root / folder).parent).with_suffix("").parts)
            files[name.removesuffix(".__init__")] = path
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        # `from package import name` means the file of that name, or else the package's own file.
        found = _imports(package, ast.parse(path.read_text("utf-8")))
        used = {full if full in files else full.rpartition(".")[0] for full in found}
        graph[name] = used & files.keys() - {name}
    assert sum(map(len, graph.values())) > len(files) > 200
    graphlib.TopologicalSorter(graph).prepare()  # CycleError shows the files of a circle


def test_layers_hold(root: Path) -> None:
    if importlib.util.find_spec("importlinter") is None:
        pytest.skip("import-linter is not installed; it comes with the dev extra")
    code = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c(['--no-cache']))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(str(root / folder) for folder in (".", "kernels", "datasets"))}
    result = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
