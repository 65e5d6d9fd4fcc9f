"""Settings of the documentation site; `python docs/build.py` builds it. Why these tools: docs/adr/0021."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOTS = [DOCS, DOCS.parent, DOCS.parent / "kernels", DOCS.parent / "datasets"]

# The pages and the reference show this checkout, whatever else is installed; kernels of the pages inherit it.
sys.path[:0] = [str(DOCS / "_ext"), *map(str, ROOTS)]
os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, ROOTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)

from docutils import nodes  # noqa: E402

from binnet import __version__  # noqa: E402

project = "binnet"
author = "The binnet authors"
copyright = "the binnet authors, Apache-2.0"
version = release = __version__
language = "en_GB"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.doctest",
    "sphinx_design",
    "sphinx_copybutton",
    "mathml",
    "equations",
    "chapters",
    "checks",
    "notebooks",
    "docstrings",
    "subjects",
]
exclude_patterns = ["_build"]

# Pages. Each runs from top to bottom in a fresh kernel whenever it is built; an error in a cell ends the build.
nb_execution_mode = "force"
nb_execution_timeout = 900  # seconds a cell; a busy machine compiles slowly
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "error"  # warnings in a cell end the build as well
profile = DOCS / "_build" / "ipython" / "profile_default"  # not the one of whoever builds: it may hold start-up files
profile.mkdir(parents=True, exist_ok=True)
(profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\nc.HistoryManager.enabled = False\n")
os.environ["IPYTHONDIR"] = str(profile.parent)
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
nb_render_markdown_format = "myst"  # what cells give as Markdown has tables
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_inline", "attrs_block"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# Reference, out of docstrings in NumPy style.
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give shapes and types in words
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
viewcode_line_numbers = True
doctest_global_setup = "import numpy as np\nimport binnet, binnet_kernels as bk"

# Looks. No file is fetched from elsewhere: maths is MathML, its font stands beside the pages.
html_theme = "furo"
html_title = "binnet"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["binnet.css"]
html_search_scorer = str(DOCS / "_static" / "scorer.js")  # chapters before the reference
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5cad", "color-brand-content": "#0b5cad"},
    "dark_css_variables": {"color-brand-primary": "#7db8f0", "color-brand-content": "#7db8f0"},
}
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "github-dark"
copybutton_selector = ".cell_input div.highlight pre, div.highlight-default pre, div.highlight-bash pre"


def _list_decisions(app, docname, source):  # type: ignore[no-untyped-def]
    """The page of decisions has a table for readers of the repository; the site wants its pages in a tree as well."""
    if docname == "adr/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n0*\ntemplate\n```\n"


def _name_solutions(app, doctree):  # type: ignore[no-untyped-def]
    """Cells of which code and output are hidden are the solutions of exercises; of figures only the code is."""
    for cell in doctree.findall(nodes.container):
        if cell.get("hide_mode") == "all":
            cell["prompt_show"] = cell["prompt_hide"] = "Solution"


def setup(app):  # type: ignore[no-untyped-def]
    app.connect("doctree-read", _name_solutions)
    app.connect("source-read", _list_decisions)
