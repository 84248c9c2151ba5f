"""The directives `{parameters} <notebook>` and `{architectures}`, from what run types, kinds and networks declare.

Read while the book is built, so that the page cannot be behind the code. (No torch.)
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from docutils import nodes
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from kdlib import models
from kdlib.base.config import Config, kind_of
from kdlib.runs.notebook import of_notebook
from kdlib.runs.recipes import resolve
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.teachers.kinds import KINDS
from kdlib.training.config import TrainingConfig

COMMAND = ".venv/bin/papermill notebooks/{notebook}.ipynb data/jobs/{notebook}.ipynb"

EXAMPLES = {
    "annealing_epochs": "10",
    "architecture": "resnet20",
    "augmentation": "zero_crop_flip -p dataset cifar10",
    "augmentation_seed": "1 -p augmentation zero_crop_flip -p dataset cifar10",
    "batch_size": "64",
    "cmi_weight": "0.05,0.15",
    "data_root": "~/datasets -p dataset cifar10",
    "dataset": "cifar10",
    "device": "cpu",
    "eval_samples": "10",
    "fraction": "0.05",
    "framework": "kd,crd",
    "framework_weight": "0.5 -p framework crd",
    "image_size": "16 -p dataset cifar10",
    "inducing_columns": "64 -p family inducing",
    "inducing_rows": "64 -p family inducing",
    "initial_sd": "0.1",
    "kind": "mcmi",
    "kl_weight": "0.03,0.1",
    "lambda_initial": "0.001 -p family inducing",
    "lambda_max": "0.3 -p family inducing",
    "link": "mc",
    "link_samples": "1000 -p link mc",
    "lr_decay_epochs": "5+7 -p schedule steps",
    "lr_decay_rate": "0.2 -p lr_decay_epochs 5+7 -p schedule steps",
    "match": "epochs -p fraction 0.05",
    "max_sd": "0.5 -p family inducing",
    "members": "RUN+RUN -p kind ensemble",
    "ml_epochs": "2",
    "omit_classes": "3+5",
    "prior_scale": "1",
    "samples": "1,4 -p teacher variational",
    "seed": "0,1,2",
    "smoothing": "0.1",
    "teacher": "one_hot,deterministic",
    "teacher_architecture": "cnn32 -p teacher weights:FILE",
    "temperature": "1,2,4",
    "threads": "1",
    "views": "8 -p dataset cifar10",
    "whitened": "False -p family inducing",
}
"""A value to begin with, where it is neither the default nor the first that is allowed, and what it needs beside it."""

OWN_EXAMPLES = {
    "teacher": {"parent": "RUN -p kind mcmi"},
    "eigencam": {"parent": "deterministic,mcmi", "architecture": "cnn32 -p parent weights:FILE"},
    "synthetic": {"learning_rate": "0.0005,0.001", "steps": "1000"},
}
"""Those of one notebook."""


@dataclass(frozen=True)
class Row:
    """One parameter as the table shows it."""

    name: str
    type: str
    default: str
    allowed: str
    meaning: str
    words: str
    """What follows the command: `-p <name> <value>`, and what else the value needs."""


def inner(annotation: Any) -> Any:
    """Return a type without what stands around it: `Optional`, `Annotated`."""
    if get_origin(annotation) is Annotated:
        return inner(get_args(annotation)[0])
    if get_origin(annotation) in (UnionType, Union):
        return inner(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def limits(field: FieldInfo) -> Iterator[Any]:
    """Yield what bounds a number, wherever it is declared."""
    yield from field.metadata
    for part in get_args(field.annotation):
        for more in getattr(part, "__metadata__", ()):
            yield from getattr(more, "metadata", [more])


def allowed(name: str, field: FieldInfo, notebook: str) -> str:
    """Return, as HTML, which values a parameter takes."""
    plain, named = inner(field.annotation), {"kind": tuple(KINDS), "framework": tuple(FRAMEWORKS)}
    if name == "kind":
        named["kind"] += tuple(one.name for one in of_notebook(notebook)[1:])
    if name.endswith("architecture"):
        listed = ", ".join(models.NAMES)
        return f"<details><summary>{len(models.NAMES)} names</summary>{listed}</details>"
    if name in named:
        return ", ".join(named[name])
    if issubclass(plain, Enum):
        return ", ".join(str(one.value) for one in plain)
    if plain is bool:
        return "True, False"
    signs = {"ge": "≥", "gt": "&gt;", "le": "≤", "lt": "&lt;"}
    bounds = {key: getattr(one, key) for one in limits(field) for key in signs if hasattr(one, key)}
    if bounds:
        return ", ".join(f"{signs[key]}&nbsp;{_number(bounds[key])}" for key in signs if key in bounds)
    return {"set": "values joined by +", "path": "a path"}.get(kind_of(field), "")


def words_of(name: str, field: FieldInfo, usual: Any, notebook: str, kind: str | None) -> str:
    """Return the papermill options of one parameter's example."""
    value = OWN_EXAMPLES.get(notebook, {}).get(name) or EXAMPLES.get(name)
    if value is None and inner(field.annotation) is bool:
        value = str(not field.default)
    if value is None and usual is None:
        choices = inner(field.annotation)
        value = str(next(iter(choices)).value) if issubclass(choices, Enum) else "1"
    text = f"-p {name} {usual if value is None else value}"
    return f"{text} -p kind {kind}" if kind else text


def groups(notebook: str) -> Iterator[tuple[str, list[Row]]]:
    """Yield the parameters of a notebook in groups, each with a heading: what to begin with first, kinds' own last."""
    recipe, *others = of_notebook(notebook)
    fields = {name: field for one in (*others, recipe) for name, field in one.schema().model_fields.items()}
    owners = {name: kind.name for kind in KINDS.values() for name in kind.own()} if "kind" in fields else {}
    usual: dict[str | None, Config] = {None: resolve(recipe.name, {})}
    sorted_into: dict[str, list[Row]] = {}
    trains = set(TrainingConfig.model_fields) & set(recipe.schema().model_fields) - set(Config.model_fields)
    common = set(Config.model_fields)
    for name in dict.fromkeys((*recipe.first, *fields)):
        field, kind = fields[name], owners.get(name)
        if kind not in usual:
            usual[kind] = resolve(recipe.name, {"kind": kind})
        here = getattr(usual[kind], name, None)
        heading = (
            f"Of the kind {kind}" if kind
            else "To begin with" if name in recipe.first
            else "Of every run" if name in common
            else "Of the training" if name in trains and issubclass(recipe.schema(), TrainingConfig)
            else "Further"
        )  # fmt: skip
        sorted_into.setdefault(heading, []).append(
            Row(
                name,
                inner(field.annotation).__name__ if not issubclass(inner(field.annotation), Enum) else "str",
                _default(field.default, here),
                allowed(name, field, notebook),
                str(field.description),
                words_of(name, field, here, notebook, kind),
            )
        )
    order = ["To begin with", "Of the training", "Further", "Of every run"]
    yield from sorted(sorted_into.items(), key=lambda one: order.index(one[0]) if one[0] in order else len(order))


def _default(declared: Any, usual: Any) -> str:
    """Return a default as HTML; one that is left open, with what it is on `digits`."""
    if declared is None:
        return "open" if usual is None else f"open; <code>{html.escape(str(usual))}</code> on digits"
    return f"<code>{html.escape(str(declared))}</code>" if str(declared) else "empty"


def _number(value: float) -> str:
    return "2<sup>31</sup>" if value == 2**31 else str(value)


def table(notebook: str) -> str:
    """Return the tables of a notebook as HTML; what stands behind a command's button is the whole command."""
    start = html.escape(COMMAND.format(notebook=notebook))
    parts = []
    for heading, rows in groups(notebook):
        body = "".join(
            f'<tr><td><code>{row.name}</code><br><span class="type">{row.type}</span></td>'
            f'<td>{row.default}<br><span class="type">{row.allowed}</span></td>'
            f"<td>{html.escape(row.meaning)}"
            '<div class="highlight command"><pre tabindex="0">'
            f'<span class="start">{start} </span>{html.escape(row.words)}\n</pre></div></td></tr>'
            for row in rows
        )
        head = "".join(f'<th scope="col">{word}</th>' for word in ("Parameter", "Default; allowed", "Meaning; example"))
        parts.append(
            f'<div class="pst-scrollable-table-container"><table class="table parameters"><caption>{heading}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
    return "\n".join(parts)


class Parameters(SphinxDirective):
    """Show every parameter of a run notebook: `{parameters} teacher`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # the code may have changed, of which Sphinx knows nothing
        return [nodes.raw("", table(self.arguments[0]), format="html")]


class Architectures(SphinxDirective):
    """Show the names of all architectures, a family a line: `{architectures}`."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        lines = [f"- {', '.join(f'`{name}`' for name in names)}" for names in models.FILES.values()]
        return self.parse_text_to_nodes("\n".join(lines) + "\n")


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive("parameters", Parameters)
    app.add_directive("architectures", Architectures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
