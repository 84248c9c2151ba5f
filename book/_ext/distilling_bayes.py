"""The book's own Sphinx extension: result pages that do not exist yet, and what the others found.

A result page is an executed notebook, `book/results/<page>.ipynb`, which git does not keep. Where the table
of contents names one that is missing, a stub is written, so that the book builds before any study has run.
The directive `{findings}` lists the result pages and, under each, the output of the cells tagged `finding`:
the opening page repeats what the pages measured and no number is typed in twice. The first page, the verdicts, is
quoted in full, a line a study; of every other page the lines of one study, the earliest of those that the first page
names (it begins with the study of the most runs).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx_external_toc.parsing import parse_toc_yaml

RESULTS = "book/results/"
MOST_LINES = 2
"""Of a page, on the opening page."""
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


def reread_stubs(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Return the pages to read again: new stubs, which their old time would hide, and who quotes them."""
    written: list[str] = app.distilling_bayes_stubs  # type: ignore[attr-defined]
    files = {f"{name}.ipynb" for name in written}
    quoting = [name for name, needs in env.dependencies.items() if files & {str(need) for need in needs}]
    return [name for name in {*written, *quoting} if name in env.found_docs]


def findings(notebook: dict[str, Any]) -> list[str]:
    """Return the Markdown (else plain text) that the cells tagged `finding` display."""
    texts = []
    for cell in notebook["cells"]:
        if "finding" not in cell.get("metadata", {}).get("tags", []):
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = data.get("text/markdown") or data.get("text/plain") or ""
            texts.append("".join(text).strip())
    return [text for text in texts if text]


def study_of(line: str) -> str | None:
    """Return the study that a finding is about: it begins with the study's title in bold."""
    found = re.match(r"\*\*(.+?)\*\*", line)
    return found[1] if found else None


def of_one_study(lines: Sequence[str], order: Sequence[str]) -> list[str]:
    """Return the lines about the study that comes first in an order, else on the page, and where there is more.

    Lines about no study stay. At most `MOST_LINES` are returned, and one that names what was left out.
    """
    studies = list(dict.fromkeys(study for line in lines if (study := study_of(line))))
    chosen = min(studies, key=lambda name: order.index(name) if name in order else len(order), default=None)
    kept = [line for line in lines if study_of(line) in (None, chosen)]
    more = [f"more of {chosen}"] * (len(kept) > MOST_LINES) + [name for name in studies if name != chosen]
    return kept[:MOST_LINES] + ([f"*Also there: {'; '.join(more)}.*"] if more else [])


class Findings(SphinxDirective):
    """List the result pages, each with what it found."""

    def run(self) -> list[nodes.Node]:
        items: list[str] = []
        order: list[str] | None = None
        for page in result_pages(self.config):
            file = f"{RESULTS}{page}.ipynb"
            self.env.note_dependency(file)
            notebook = json.loads((Path(self.env.srcdir) / file).read_text(encoding="utf-8"))
            is_stub = notebook["metadata"].get("kdlib", {}).get("stub", False)
            lines = findings(notebook)
            if order is None:  # the verdicts, a line a study
                order, found = [study for line in lines if (study := study_of(line))], lines
            else:
                found = of_one_study(lines, order)
            found = ["Not run here yet."] if is_stub else found
            text = "\n\n".join([f"**{{doc}}`/{RESULTS}{page}`**", *found])
            items.append("- " + text.replace("\n", "\n  "))
        return self.parse_text_to_nodes("\n".join(items) + "\n")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the parts to Sphinx; stubs come before sphinx-external-toc reads the table (priority 900)."""
    app.connect("config-inited", write_stubs, priority=100)
    app.connect("env-get-outdated", reread_stubs)
    app.add_directive("findings", Findings)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
