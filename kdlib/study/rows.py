"""The table of runs: one row a finished run or a kept record, everything about it a column.

Columns: `run` (its name), `source` (`run` or `record`; one row where both exist), `run_type`, every parameter, every
metric, `teacher` (kind, `one_hot` or `exact_bcp`; for a teacher its own kind), `teacher_run`, the costs (`COSTS`,
`samples_used`, `seconds`), `device`, `precision`, and for a study `label` (of the row's entry) and `teacher_label`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import pandas as pd

from kdlib.runs import studies
from kdlib.runs.plans import Plan, Planner
from kdlib.runs.recipes import RECIPES
from kdlib.store import folders, runs
from kdlib.study import records


def row(record: dict[str, Any], metrics: dict[str, float], provenance: dict[str, Any], source: str) -> dict[str, Any]:
    """Return a run's row."""
    config = dict(record["config"])
    role = record["role"].removeprefix("from-").removeprefix("of-")
    return {
        "run": record["run"],
        "source": source,
        "run_type": record["run_type"],
        "dataset": record["dataset"],
        **config,
        "teacher": role,
        "teacher_run": record["parents"].get("teacher"),
        **metrics,
        **{name: provenance.get(name) for name in records.COSTS},
        "samples_used": provenance.get("eval_samples"),
        "seconds": sum(session.get("seconds") or 0.0 for session in provenance.get("sessions", [])),
        **{name: provenance.get("hardware", {}).get(name) for name in ("device", "precision", "threads")},
        "processor": provenance.get("hardware", {}).get("name"),
        "finished": provenance.get("finished"),
    }


def of_run(run: runs.Run) -> dict[str, Any]:
    """Return the row of a finished run of the store."""
    config, provenance, metrics = folders.read(run.path)
    assert config is not None and provenance is not None and metrics is not None, run.name
    return row(config, metrics, provenance, "run")


def recorded(study: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the rows kept in git, by run name: those of one study, or all."""
    return {one["run"]: {**one, "source": "record"} for file in records.files(study) for one in records.rows(file)}


@functools.cache
def plans_of(study: studies.Study) -> tuple[tuple[studies.Entry, Plan], ...]:
    """Return the runs that a study expands to, with the entry each comes from."""
    plan = Planner().plan
    return tuple((entry, plan(config)) for entry in study.entries for config in entry.configs())


@functools.cache
def labels(study: studies.Study) -> dict[str, dict[str, Any]]:
    """Return `label` and `teacher_label` of every run of a study, by the run's name."""
    out: dict[str, dict[str, Any]] = {}
    for entry, planned in plans_of(study):
        recipe, label = RECIPES[entry.run_type], entry.label
        if recipe.refers_by and not recipe.named_by_label:
            label = str(getattr(planned.config, recipe.refers_by)).rpartition("/")[2]
        out.setdefault(planned.name, {"label": entry.label, "teacher_label": label})
    return out


def table(study: str | None = None, only: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row a finished run or record: of a study, of the runs named in `only`, or of all.

    Raises:
        InputError: the study does not exist, or a run in `only` does not.
    """
    loaded = None if study is None else studies.load(study)
    kept = recorded(loaded.name if loaded else None)
    if only is not None:
        wanted: dict[str, dict[str, Any]] = {}
        for name in only:
            wanted[name if name in kept else runs.find(name, "runs").name] = {}
    elif loaded is not None:
        wanted = labels(loaded)
    else:
        wanted = {name: {} for name in sorted({*kept, *runs.names()})}
    return found(wanted, kept)


def found(wanted: dict[str, dict[str, Any]], kept: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Return one row a run of `wanted` that is finished or kept, with what `wanted` says of it beside.

    Args:
        wanted: by the run's name, as `labels` gives them.
        kept: the kept rows, as `recorded` gives them.
    """
    rows = []
    for name, more in wanted.items():
        run = runs.Run(name)
        if run.finished:
            rows.append({**of_run(run), **more})
        elif name in kept:
            rows.append({**kept[name], **more})
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["run", "source", "run_type", "teacher", "label"])


def histories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the histories of a table's rows, one under the other, with `run`, `label` and `seed` beside each step.

    Runs give every step; records keep the steps that end an epoch.
    """
    kept, parts = records.histories(frame.loc[frame["source"] == "record", "run"]), []
    for _, one in frame.iterrows():
        name = str(one["run"])
        part = runs.Run(name).history() if one["source"] == "run" else kept.get(name, pd.DataFrame())
        if len(part):
            more = {key: one.get(key) for key in ("run", "label", "teacher", "seed") if key in one}
            parts.append(part.drop(columns="run", errors="ignore").assign(**more))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def arrays_of(name: str) -> records.Arrays:
    """Return the arrays of a run that makes no network, from the store or from records; none where neither has it."""
    run = runs.Run(name)
    if run.finished:
        return {key: value.numpy() for key, value in run.arrays().items()}
    return records.arrays(name)
