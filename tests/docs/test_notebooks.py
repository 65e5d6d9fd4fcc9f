"""The notebooks of the pages: plain Markdown, the cells of the page, and able to run away from the repository."""

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REASON = "what builds the pages is not installed: pip install '.[docs]'"
PAGES = [
    "index",
    "paper/1-why-binary",
    "paper/2-binary-weights",
    "paper/3-dot-products-of-bits",
    "paper/4-on-a-photograph",
    "paper/4-xnor-convolution",
    "paper/5-training",
    "paper/6-speed",
    "paper/7-results",
    "paper/8-beyond",
    "try",
]


@pytest.fixture
def notebooks(script: Callable[[str], ModuleType]) -> ModuleType:
    pytest.importorskip("nbformat", reason=REASON)
    pytest.importorskip("sphinx", reason=REASON)
    return script("docs/_ext/notebooks.py")


@pytest.fixture(scope="module")
def unpacked(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `notebooks.zip` holds."""
    folder = tmp_path_factory.mktemp("away")
    with zipfile.ZipFile(site / "notebooks.zip") as archive:
        archive.extractall(folder)
    return folder / "binnet-notebooks"


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("(a-name)=\n## Title\n", "## Title"),
        ("a {term}`multiply-add` and {term}`others <other>`", "a multiply-add and others"),
        ("{py:func}`binnet_kernels.sign` {py:class}`~binnet.nn.Linear`", "`binnet_kernels.sign` `binnet.nn.Linear`"),
        ("[next](5-training.md), [part](5-training.md#x)", "[next](5-training.ipynb), [part](5-training.ipynb)"),
        ("[up](../index.md), [why](../adr/0006-scale-map.md)", "[up](../index.ipynb), why"),
        ("[here](#where), [there](https://a.b/c.md#d)", "here, [there](https://a.b/c.md#d)"),
        ("![curve](x.png)", "![curve](x.png)"),
        ("```{note}\nOne\ntwo\n```", "> One\n> two"),
        ("```python\nx = 1\n```", "```python\nx = 1\n```"),
        ("```{dropdown} Solution\nYes.\n```", "<details><summary>Solution</summary>\n\nYes.\n\n</details>"),
        ("```{equation} 6\n:title: best\n:by: a.b\nx\n```", "**Eq. 6**: best\n\n$$\nx\n$$\n\nComputed by `a.b`."),
        ("```{equation} 2\nx\n```", "**Eq. 2**\n\n$$\nx\n$$"),
        ("```{equation} K\n:title: map\nx\n```", "**K**: map\n\n$$\nx\n$$"),
        ("One\n\n```{toctree}\n:hidden:\n\nx\n```\n\ntwo", "One\n\ntwo"),
        ("{ref}`eq-6`", "`eq-6`"),
    ],
)
def test_markdown_becomes_plain(notebooks: ModuleType, markdown: str, expected: str, tmp_path: Path) -> None:
    assert notebooks.plain(markdown, "paper/4-xnor-convolution", PAGES, tmp_path) == expected


def test_cards_become_links(notebooks: ModuleType, tmp_path: Path) -> None:
    text = notebooks.plain("```{chapters}\npaper/5-training: Why?\n```", "index", PAGES, tmp_path)
    assert text == "- [paper/5-training](paper/5-training.ipynb): Why?"


def test_parts_of_files_become_code(notebooks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "a.py").write_text("x = 0\n# [one]\ny = 1\n# [two]\nz = 2\n")
    text = '```{literalinclude} ../a.py\n:language: python\n:start-after: "# [one]"\n:end-before: "# [two]"\n```'
    assert notebooks.plain(text, "paper/1-x", [], tmp_path) == "```python\ny = 1\n```"


def test_unknown_directives_are_named(notebooks: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'mermaid'"):
        notebooks.plain("```{mermaid}\nx\n```", "paper/1-x", [], tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_notebooks_have_the_cells_of_their_pages(page: str, root: Path, site: Path, unpacked: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason=REASON)
    notebook = nbformat.read(unpacked / f"{page}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert (site / f"{page}.ipynb").read_bytes() == (unpacked / f"{page}.ipynb").read_bytes()
    source = (root / "docs" / f"{page}.md").read_text("utf-8")
    cells = re.findall(r"^```\{code-cell\}\n(?::tags: [^\n]*\n\n?)?(.*?)^```", source, re.DOTALL | re.MULTILINE)
    assert [cell.source for cell in notebook.cells if cell.cell_type == "code"] == [cell.strip() for cell in cells]
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.findall(r"^```\{.*|\{[a-z:]+\}`.*|^\(.*\)=$|\.md\)", text, re.MULTILINE) == []
    for link in re.findall(r"\]\(([^)#:]+\.ipynb)\)", text):
        assert (unpacked / page).parent.joinpath(link).exists(), link


def test_pages_link_their_notebooks(site: Path) -> None:
    for page in PAGES:
        html = (site / f"{page}.html").read_text("utf-8")
        assert f'href="{page.rpartition("/")[2]}.ipynb"' in html
        assert f'href="{"../" * page.count("/")}notebooks.zip"' in html


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_notebooks_run_away_from_the_repository(
    page: str, unpacked: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    nbformat = pytest.importorskip("nbformat", reason=REASON)
    client: Any = pytest.importorskip("nbclient", reason=REASON)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(root / "docs")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    path = unpacked / f"{page}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        cell.outputs, cell.execution_count = [], None
    run = client.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    run.execute()  # raises on an error in a cell
    assert code
    assert all(cell.execution_count for cell in code)
