"""The table of runs: one row a finished run or a kept record, everything about it a column.

Columns: `run` (its name), `source` (`run` or `record`; one row, the record's, where both exist), `run_type`, every
parameter, every metric, `teacher` (kind, `one_hot` or `exact_bcp`; for a teacher its own kind), `teacher_run`, the
costs (`COSTS`, `samples_used`, `seconds`), `device`, `precision`, and for a study `label` (of the row's entry) and
`teacher_label`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kdlib.base.errors import DamagedRun, NoImages
from kdlib.runs import recipes
from kdlib.runs.recipes import fields
from kdlib.store import folders, runs
from kdlib.study import records
from kdlib.study.labels import About, labels, study_of


def of_run(run: runs.Run) -> dict[str, Any]:
    """Return the row of a finished run of the store."""
    record, provenance, metrics = folders.read(run.path)
    assert record is not None and provenance is not None and metrics is not None, run.name
    return {
        "run": record["run"],
        "source": "run",
        "run_type": record["run_type"],
        "dataset": record["dataset"],
        **record["config"],
        "teacher": record["role"].removeprefix("from-").removeprefix("of-"),
        "teacher_run": record["parents"].get("teacher"),
        **metrics,
        **{name: provenance.get(name) for name in records.COSTS},
        "samples_used": provenance.get("eval_samples"),
        "seconds": sum(session.get("seconds") or 0.0 for session in provenance.get("sessions", [])),
        **{name: provenance.get("hardware", {}).get(name) for name in ("device", "precision", "threads")},
        "processor": provenance.get("hardware", {}).get("name"),
        "finished": provenance.get("finished"),
    }


def table(study: str | None = None, only: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row a finished run or record: of a study, of the runs named in `only`, or of all.

    Raises:
        InputError: the study does not exist, or a run in `only` does not.
    """
    loaded = None if study is None else study_of(study)
    folder = None if loaded is None else loaded.folder_name
    if loaded is not None and only is None:
        return found(labels(loaded), folder)
    kept = {str(name) for name in records.frame(folder).index}
    if only is not None:
        names = [name if name in kept else runs.find(name, "runs").name for name in only]
        return found(names, folder, records_first=False)
    return found(sorted({*kept, *runs.names()}), folder)


def found(wanted: Mapping[str, About] | Sequence[str], folder: str | None, records_first: bool = True) -> pd.DataFrame:
    """Return one row a run of `wanted` that is finished or kept, with what a study says of it.

    Args:
        wanted: names of runs, or what `labels` says of them.
        folder: of the records to take; all of them by default.
        records_first: whether the record counts where both are there, so that a page says the same wherever it is made.
    """
    kept = records.frame(folder)
    there, stored = set(kept.index), set(runs.names())
    made_here = (runs.Run(name) for name in wanted if name in stored and not (records_first and name in there))
    own = {run.name: of_run(run) for run in made_here if run.finished}
    order = [name for name in dict.fromkeys(wanted) if name in own or name in there]
    if not order:
        return pd.DataFrame(columns=["run", "source", "run_type", "teacher", "label"])
    rows = kept.reindex([name for name in order if name not in own]).assign(source="record")
    if own:
        made = pd.DataFrame(list(own.values())).set_index("run")
        rows = pd.concat([made, rows]).reindex(order) if len(rows) else made.reindex(order)
    rows = rows.where(rows.notna(), np.nan)  # one way to say that there is nothing
    if isinstance(wanted, Mapping):
        about = pd.DataFrame([wanted[str(name)].columns for name in rows.index], index=rows.index)
        rows = rows.drop(columns=list(about), errors="ignore").join(about)
    rows = without_empty(rows)
    # texts as objects lie in one piece, pandas' own in one a column: pages take rows thousands of times
    return rows.astype(dict.fromkeys(rows.select_dtypes("string"), object)).copy().reset_index()


def without_empty(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the empty columns of other run types than its rows have."""
    own = {*records.ALWAYS, *(name for sort in set(rows["run_type"]) for name in fields(str(sort)))}
    return rows.drop(columns=[name for name in rows if name not in own and rows[name].isna().all()])


def histories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the histories of a table's rows, one under the other, with `run`, `label` and `seed` beside each step.

    Runs give every step; records keep the steps that end an epoch. A damaged one is left out, with a warning.
    """
    own = frame["source"] == "run"
    past = [records.histories(frame.loc[~own, "run"])]
    for name in frame.loc[own, "run"]:
        try:
            past.append(runs.Run(name).history().assign(run=name))
        except DamagedRun as error:
            warnings.warn(str(error), stacklevel=2)
    about = frame[[name for name in ("run", "label", "teacher", "seed") if name in frame]]
    steps = pd.concat([one for one in past if len(one)] or past[:1])
    return about.merge(steps, on="run")


def arrays_of(name: str) -> records.Arrays:
    """Return the small arrays that records keep of a run, or would keep of one in the store.

    None where neither has the run, or the images that they are counted on are not here.

    Raises:
        DamagedRun: they cannot be read.
    """
    kept, run = records.arrays(name), runs.Run(name)
    if kept or not run.finished:
        return kept
    config = recipes.recorded(run.record["run_type"], run.record["config"])
    try:
        return recipes.recipe_of(config).arrays(run, config, first_seed=True)
    except NoImages:
        return {}
