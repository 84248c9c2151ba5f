"""Which runs a study expands to, under which labels and of which seeds. (No torch.)

Kept beside the study's records, `data/records/<study>/labels.parquet`, with digests of the study file, of the files
that declare what a run is, and of the datasets; where one of them differs, the study is expanded.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as arrow
from pyarrow import parquet

from kdlib import data
from kdlib.base import paths
from kdlib.base.files import write_atomically
from kdlib.base.registry import PLUGINS
from kdlib.runs import studies
from kdlib.runs.plans import Plan, Planner
from kdlib.runs.recipes import RECIPES, recipe_of
from kdlib.runs.studies import Study

FILE = "labels.parquet"
DECLARATIONS = (
    "base/*.py", "data/*.py", "data/*/__init__.py", "data/cifar/answers.py", "data/folder/*.py", "models/__init__.py",
    "training/config.py", "teachers/*.py", "teachers/*/__init__.py", "teachers/*/options.py", "students/config.py",
    "students/frameworks/*.py", "students/frameworks/*/__init__.py", "experiments/*.py", "experiments/*/__init__.py",
    "experiments/synthetic/config.py", "runs/*.py",
)  # fmt: skip
"""The files of which a run's name is a function."""


class About(NamedTuple):
    """What a study says of a run."""

    label: str
    teacher_label: str
    seed: int | None

    @property
    def columns(self) -> dict[str, str]:
        """Return what stands in the run's row."""
        return {"label": self.label, "teacher_label": self.teacher_label}


@functools.cache
def plans_of(study: Study) -> tuple[tuple[studies.Entry, Plan], ...]:
    """Return the runs that a study expands to, with the entry each comes from."""
    plan = Planner().plan
    return tuple((entry, plan(config)) for entry in study.entries for config in entry.configs())


@functools.cache
def labels(study: Study) -> dict[str, About]:
    """Return what a study says of each of its runs, by the run's name."""
    kept = _kept(study)
    return expanded(study) if kept is None else kept


def expanded(study: Study) -> dict[str, About]:
    """Return `labels`, worked out."""
    out: dict[str, About] = {}
    for entry, planned in plans_of(study):
        recipe, label = RECIPES[entry.run_type], entry.label
        if recipe.refers_by and not recipe.named_by_label:
            label = str(getattr(planned.config, recipe.refers_by)).rpartition("/")[2]
        out.setdefault(planned.name, About(entry.label, label, recipe_of(planned.config).seed_of(planned.config)))
    return out


def study_of(name: str) -> Study:
    """Return a study: read, and checked unless its labels are kept, which only a checked one has."""
    study = studies.load(name, check=False)
    return studies.load(name) if _kept(study) is None else study


def keep(study: Study) -> Path:
    """Write a study's labels beside its records."""
    about = expanded(study)
    seen = [planned.config for _, planned in plans_of(study) if recipe_of(planned.config).images]
    images = {(config.dataset, config.image_size) for config in seen}
    marks = [[name, size, data.fingerprint(name, image_size=size)] for name, size in images]
    digests = {"study": study.digest, "declarations": declarations(), "images": json.dumps(sorted(marks, key=str))}
    columns = zip(*([name, *of] for name, of in about.items()), strict=True)
    table = arrow.table(dict(zip(("run", *About._fields), map(list, columns), strict=True)))
    stream = arrow.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata(digests), stream, compression="zstd", compression_level=15)
    file = paths.RECORDS / study.folder_name / FILE
    write_atomically(file, stream.getvalue().to_pybytes())
    return file


@functools.cache
def declarations() -> str:
    """Return a digest of the files that declare what a run is, plugins included."""
    root = paths.ROOT / "kdlib"
    files = sorted({file for pattern in DECLARATIONS for file in root.glob(pattern)})
    digest = hashlib.sha256(os.environ.get(PLUGINS, "").encode())
    for file in [*files, *map(Path, filter(None, os.environ.get(PLUGINS, "").split(os.pathsep)))]:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def _kept(study: Study) -> dict[str, About] | None:
    """Return the labels that are kept, if what they were worked out from is as it was."""
    return _read(paths.RECORDS / study.folder_name / FILE, study.digest)


@functools.cache
def _read(file: Path, digest: str) -> dict[str, About] | None:
    if not digest or not file.is_file():
        return None
    try:
        meta = parquet.read_schema(file).metadata or {}
        same = meta[b"study"].decode() == digest and meta[b"declarations"].decode() == declarations()
        images = json.loads(meta[b"images"])
        if not same or any(data.fingerprint(name, image_size=size) != mark for name, size, mark in images):
            return None
        frame: dict[str, list[Any]] = parquet.read_table(file).to_pydict()
    except (OSError, ValueError, KeyError, TypeError, arrow.ArrowException):  # no such file as `keep` writes
        return None
    columns = (frame[name] for name in ("run", *About._fields))
    return {run: About(*about) for run, *about in zip(*columns, strict=True)}
