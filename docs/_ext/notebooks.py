"""Each page with code as a notebook: what the build has executed, with the directives of the page as plain Markdown.

A notebook lies beside its page, as `paper/1-why-binary.ipynb`, and the page links it. `notebooks.zip` has all of them,
and the files that their cells read. `tests/docs/test_notebooks.py` unpacks it elsewhere and executes them there.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx

ARCHIVE = "notebooks.zip"
_DATE = (2000, 1, 1, 0, 0, 0)  # the same pages give the same archive
_ABOUT = (
    "*A page of binnet's documentation as a notebook. Its cells need binnet with what the pages need: in a copy of the "
    'repository, `python -m pip install ".[docs]"`. Some read files that lie beside the notebooks in `notebooks.zip`.*'
)
_HIDDEN = {"hide-input": ["source"], "remove-input": ["source"], "hide-cell": ["source", "outputs"]}


def plain(text: str, page: str, pages: Iterable[str], folder: Path) -> str:
    """The Markdown of a page without what only the site understands.

    Parameters
    ----------
    text
        Markdown with the directives of this site.
    page
        Name of the page, as ``paper/1-why-binary``; links and files are relative to it.
    pages
        Names of all pages that are notebooks; links to other pages become text.
    folder
        Where the sources of the pages are.
    """
    known = set(pages)

    def directive(found: re.Match[str]) -> str:
        _, name, argument, body = found.groups()
        options = dict(re.findall(r"^:([\w-]+): *\"?(.*?)\"?$", body, re.MULTILINE))
        content = re.sub(r"\A(:[\w-]+:.*\n)+", "", body).strip()
        match name:
            case "equation":
                by = f"\n\nComputed by `{options['by']}`." if options.get("by") else ""
                number = f"Eq. {argument}" if argument[0].isdigit() else argument
                title = f": {options['title']}" if options.get("title") else ""
                return f"**{number}**{title}\n\n$$\n{content}\n$$" + by
            case "literalinclude":
                return f"```python\n{_part((folder / page).parent / argument, options)}\n```"
            case "chapters":
                lines = [line.partition(": ") for line in content.splitlines()]
                return "\n".join(f"- [{name}]({name}.md): {question}" for name, _, question in lines)
            case "dropdown":
                return f"<details><summary>{argument}</summary>\n\n{content}\n\n</details>"
            case "note":
                return "> " + content.replace("\n", "\n> ")
            case "toctree":
                return ""
        raise ValueError(f"page {page}: no notebook has the directive {name!r}; docs/_ext/notebooks.py must know it")

    def link(found: re.Match[str]) -> str:
        words, target = found[1], found[2]
        if "://" in target:
            return found[0]
        path = target.partition("#")[0].removesuffix(".md")
        other = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        return f"[{words}]({path}.ipynb)" if path and other in known else words

    text = re.sub(r"^(```+)\{([\w-]+)\} *(.*)\n([\s\S]*?)^\1$", directive, text, flags=re.MULTILINE)
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{term\}`([^`<]*?)(?:\s*<[^`]*>)?`", r"\1", text)
    text = re.sub(r"\{[a-z:]+\}`~?([^`]*)`", r"`\1`", text)
    text = re.sub(r"(?<!!)\[([^\[\]]+)\]\(([^()\s]+)\)", link, text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _part(path: Path, options: dict[str, str]) -> str:
    """The lines of a file between two of its lines."""
    text = path.read_text("utf-8")
    if "start-after" in options:
        text = text.partition(options["start-after"])[2].partition("\n")[2]
    if "end-before" in options:
        text = text.partition(options["end-before"])[0]
    return text.strip()


def convert(notebook: Any, page: str, pages: Iterable[str], folder: Path) -> Any:
    """An executed page as a notebook for others: plain Markdown, folded cells, no traces of the build."""
    cells = [nbformat.v4.new_markdown_cell(_ABOUT)]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = plain(cell.source, page, pages, folder)
            cells += [nbformat.v4.new_markdown_cell(text)] if text else []
            continue
        tags = cell.metadata.get("tags", [])
        hidden = {f"{part}_hidden": True for tag in tags for part in _HIDDEN.get(tag, [])}
        metadata = {"tags": tags, "jupyter": hidden} if hidden else {}
        cells.append(nbformat.v4.new_code_cell(cell.source, outputs=cell.outputs, metadata=metadata))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # random otherwise
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _write(app: Sphinx, error: Exception | None) -> None:
    """Write the notebooks of all pages with code, and the archive."""
    if error is not None or app.builder.name != "html":
        return
    site, sources = Path(app.outdir), Path(app.srcdir)
    executed = site.parent / "jupyter_execute"
    pages = _pages(app)
    for page in pages:
        notebook = convert(nbformat.read(executed / f"{page}.ipynb", as_version=4), page, pages, sources)
        nbformat.write(notebook, site / f"{page}.ipynb")
    files = {f"{page}.ipynb": site / f"{page}.ipynb" for page in pages}
    files["paper/xnor_net_in_100_lines.py"] = sources / "xnor_net_in_100_lines.py"
    records = (path for path in sorted((sources / "results").rglob("*.*")) if path.suffix in {".json", ".toml", ".csv"})
    files |= {path.relative_to(sources).as_posix(): path for path in records}
    with zipfile.ZipFile(site / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            archive.writestr(
                zipfile.ZipInfo(f"binnet-notebooks/{name}", _DATE), path.read_bytes(), zipfile.ZIP_DEFLATED
            )


def _pages(app: Sphinx) -> list[str]:
    """Names of the pages that have code to run."""
    sources = Path(app.srcdir)
    return sorted(
        name
        for name in app.env.found_docs
        if (sources / f"{name}.md").is_file()
        and (sources / f"{name}.md").read_text("utf-8").startswith("---\nfile_format: mystnb\n")
    )


def _link(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Under the title of a page with code: links to its notebook and to all of them."""
    if app.builder.name != "html" or docname not in _pages(app):
        return
    own, root = posixpath.basename(docname) + ".ipynb", "../" * docname.count("/")
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is not None:
        line = f'<p class="notebook"><a href="{own}" download>This page as a notebook</a> · '
        line += f'<a href="{root}{ARCHIVE}" download>all notebooks</a></p>'
        title.parent.insert(title.parent.index(title) + 1, nodes.raw("", line, format="html"))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-resolved", _link)
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
