"""The directive `{benches} <names>`: what each bench measures, from its docstring, and what is kept of its last run.

No number is typed: the page shows what `make bench` printed, or says that there is no record.
"""

from __future__ import annotations

import ast
import json
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from kdlib.base import paths

FOLDER = paths.ROOT / "benchmarks"
NO_RECORD = "No record of it is kept here."


def kept() -> dict[str, Any]:
    """Return what `data/records/bench.json` holds, an entry a bench; nothing where there is none."""
    file = paths.RECORDS / "bench.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def docstring(name: str) -> str:
    """Return what a bench says of itself."""
    return ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""


def provenance(entry: dict[str, Any]) -> str:
    """Return in one sentence what a record was made on."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(entry["versions"].items()))
    return (
        f"Made at {entry['finished']} with commit `{entry['commit']}` on {entry['processor']}, {entry['cores']} cores "
        f"with a load of {entry['load']} before; {versions}."
    )


class Benches(SphinxDirective):
    """Show some benches, a section each; with `:recorded:`, also what is kept of them."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"recorded": lambda argument: True}

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return [self.section(name) for name in self.arguments[0].split()]

    def section(self, name: str) -> nodes.Node:
        """Return the section of one bench."""
        section = nodes.section(ids=[f"bench-{name.replace('_', '-')}"], names=[name])
        section += nodes.title(text=name)
        section += self.parse_text_to_nodes(docstring(name) + "\n")
        if "recorded" in self.options:
            entry = kept().get(name)
            if entry is None:
                section += self.parse_text_to_nodes(f"*{NO_RECORD}*\n")
            else:
                section += self.parse_text_to_nodes(provenance(entry) + "\n")
                section += nodes.literal_block(text="\n".join(entry["lines"]), language="text")
        return section


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("benches", Benches)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
