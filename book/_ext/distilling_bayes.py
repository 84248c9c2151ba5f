"""The book's own Sphinx extension: result pages that do not exist yet, and what the others found.

A result page is an executed notebook, `book/results/<page>.ipynb`, which git does not keep. Where the table
of contents names one that is missing, a stub is written, so that the book builds before any study has run.
The directive `{quoted}` shows what tagged cells of a result page display: the opening page repeats what the pages
measured, and no number is typed in twice.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx_external_toc.parsing import parse_toc_yaml

RESULTS = "book/results/"
NOT_RUN = "Not run here yet: `make book` runs the study that fills this page."
TITLES = {
    "teachers": "Teachers",
    "bcp": "Distance to the Bayes class probabilities",
    "eigencam": "What a teacher looks at",
    "synthetic": "The variance of SGD",
    "distillation": "Distillation",
    "fewshot": "Few-shot",
    "zeroshot": "Zero-shot",
    "samples": "Monte Carlo samples",
    "frameworks": "Distillation frameworks",
    "temperature": "Temperature and mutual information",
    "humans": "Human labels",
    "cost": "What each teacher costs",
    "claims": "Verdicts on the claims",
    "replication": "Made here, beside the record",
}


def result_pages(config: Config) -> list[str]:
    """Return the names of the result pages in the table of contents, in its order."""
    docnames = [str(name).removesuffix(".ipynb") for name in parse_toc_yaml(config.external_toc_path)]
    return [name.removeprefix(RESULTS) for name in docnames if name.startswith(RESULTS)]


def stub(page: str) -> str:
    """Return the notebook that stands in for a result page: a title and one sentence."""
    title = TITLES.get(page, page.replace("_", " ").capitalize())
    cell = {"cell_type": "markdown", "id": "stub", "metadata": {}, "source": f"# {title}\n\n{NOT_RUN}\n"}
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "kdlib": {"stub": True}}
    notebook = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1) + "\n"


def write_stubs(app: Sphinx, config: Config) -> None:
    """Write a stub for every result page that is missing, with a time that is older than any input's."""
    written = []
    for page in result_pages(config):
        path = Path(app.srcdir) / RESULTS / f"{page}.ipynb"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(stub(page), encoding="utf-8")
            os.utime(path, (1, 1))  # not 0, which Snakemake takes for no time and the page for up to date
            written.append(RESULTS + page)
    app.distilling_bayes_stubs = written  # type: ignore[attr-defined]


def set_address(app: Sphinx, config: Config) -> None:
    """Take the address that the book is published at, if it is, from BOOK_URL; links for sharing begin with it."""
    address = os.environ.get("BOOK_URL", "").strip()
    if address:
        config.html_baseurl = config.ogp_site_url = address.rstrip("/") + "/"


def set_all_formulas(app: Sphinx) -> None:
    """Have MathJax in a book of one page, whose first part has no formula; else only pages with one have it."""
    if app.builder.name == "singlehtml":
        app.set_html_assets_policy("always")


def name_items(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Call the entries of the bibliography items: docutils' own role for them is no item of its list to a reader."""
    if "citation-list" in (context.get("body") or ""):
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def reread_stubs(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Return the pages to read again: new stubs, which their old time would hide, and who quotes them."""
    written: list[str] = app.distilling_bayes_stubs  # type: ignore[attr-defined]
    files = {f"{name}.ipynb" for name in written}
    quoting = [name for name, needs in env.dependencies.items() if files & {str(need) for need in needs}]
    return [name for name in {*written, *quoting} if name in env.found_docs]


def quoted(notebook: dict[str, Any], tag: str) -> list[tuple[str, str]]:
    """Return what the cells of a tag display, each as `markdown` or `html` and its text."""
    found = []
    for cell in notebook["cells"]:
        if tag not in cell.get("metadata", {}).get("tags", []):
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in ("html", "markdown"):
                if f"text/{kind}" in data:
                    found.append((kind, "".join(data[f"text/{kind}"]).strip()))
                    break
    return [(kind, text) for kind, text in found if text]


class Quoted(SphinxDirective):
    """Show what the cells with a tag of a result page display: `{quoted} claims` with `:tag: front`."""

    required_arguments = 1
    option_spec = {"tag": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        file = f"{RESULTS}{self.arguments[0]}.ipynb"
        self.env.note_dependency(file)
        notebook = json.loads((Path(self.env.srcdir) / file).read_text(encoding="utf-8"))
        found = quoted(notebook, self.options["tag"]) or [("markdown", NOT_RUN)]
        out: list[nodes.Node] = []
        for kind, text in found:
            out += [nodes.raw("", text, format="html")] if kind == "html" else self.parse_text_to_nodes(text + "\n")
        return out


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the parts to Sphinx; stubs come before sphinx-external-toc reads the table (priority 900)."""
    app.connect("config-inited", write_stubs, priority=100)
    app.connect("config-inited", set_address)
    app.connect("builder-inited", set_all_formulas)
    app.connect("html-page-context", name_items)
    app.connect("env-get-outdated", reread_stubs)
    app.add_directive("quoted", Quoted)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
