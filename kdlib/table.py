"""The table of runs: one row a finished run or a kept record, everything about it a column.

Columns: `run` (its name), `source` (`run` or `record`; one row where both exist), `run_type`, every parameter, every
metric, `teacher` (kind, `one_hot` or `exact_bcp`; for a teacher its own kind), `teacher_run`, the costs (`COSTS`,
`samples_used`, `seconds`), `device`, `precision`, and for a study `label` (of the row's entry) and `teacher_label`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from kdlib import cam_records, cmi_by_temperature, confusions, paths, runs, studies
from kdlib.checkpoints import write_atomically, write_json
from kdlib.config import RunType
from kdlib.errors import InputError
from kdlib.plans import Plan, plan
from kdlib.synthetic import records as synthetic_records

COSTS = ("training_seconds", "lineage_seconds", "prediction_seconds_per_image", "peak_memory_bytes", "numbers_kept")
"""What `kdlib.costs` wrote to the provenance; none in runs that are older."""


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
        **{name: provenance.get(name) for name in COSTS},
        "samples_used": provenance.get("eval_samples"),
        "seconds": sum(session.get("seconds") or 0.0 for session in provenance.get("sessions", [])),
        **{name: provenance.get("hardware", {}).get(name) for name in ("device", "precision", "threads")},
        "processor": provenance.get("hardware", {}).get("name"),
        "finished": provenance.get("finished"),
    }


def of_run(run: runs.Run) -> dict[str, Any]:
    """Return the row of a finished run of the store."""
    return row(run.record, run.metrics, run.provenance, "run")


@functools.cache
def _lines_of(file: Path, _: float) -> list[dict[str, Any]]:
    """Read a file of records once for each time that it was written."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def recorded(study: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the rows kept in git, by run name: those of one study, or all."""
    files = sorted(paths.RECORDS.glob(f"{study or '*'}/runs.jsonl"))
    kept = (one for file in files for one in _lines_of(file, file.stat().st_mtime))
    return {one["run"]: {**one, "source": "record"} for one in kept}


def plans_of(study: studies.Study) -> list[tuple[studies.Entry, Plan]]:
    """Return the runs that a study expands to, with the entry each comes from."""
    return [(entry, plan(config)) for entry in study.entries for config in entry.configs()]


@functools.cache
def labels(study: studies.Study) -> dict[str, dict[str, Any]]:
    """Return `label` and `teacher_label` of every run of a study, by the run's name."""
    out: dict[str, dict[str, Any]] = {}
    for entry, planned in plans_of(study):
        teacher = getattr(planned.config, "teacher", None) or getattr(planned.config, "parent", None)
        own = entry.run_type in (RunType.TEACHER, RunType.SYNTHETIC)
        label = entry.label if own else str(teacher).rpartition("/")[2]
        out.setdefault(planned.name, {"label": entry.label, "teacher_label": label})
    return out


def table(study: str | None = None, only: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row a finished run or record: of a study, of the runs named in `only`, or of all.

    Raises:
        InputError: the study does not exist, or a run in `only` does not.
    """
    kept = recorded()
    if only is not None:
        wanted: dict[str, dict[str, Any]] = {}
        for name in only:
            wanted[name if name in kept else runs.find(name, "runs").name] = {}
    elif study is not None:
        wanted = labels(studies.load(study))
    else:
        wanted = {name: {} for name in sorted({*kept, *runs.names()})}
    return found(wanted, kept)


def found(wanted: dict[str, dict[str, Any]], kept: dict[str, dict[str, Any]] | None = None) -> pd.DataFrame:
    """Return one row a run of `wanted` that is finished or kept, with what `wanted` says of it beside.

    Args:
        wanted: by the run's name, as `labels` gives them.
        kept: the kept rows, as `recorded` gives them; read if not given.
    """
    kept = recorded() if kept is None else kept
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
    parts = []
    for _, one in frame.iterrows():
        name = str(one["run"])
        part = runs.Run(name).history() if one["source"] == "run" else _recorded_history(name)
        if len(part):
            more = {key: one.get(key) for key in ("run", "label", "teacher", "seed") if key in one}
            parts.append(part.drop(columns="run", errors="ignore").assign(**more))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


@functools.cache
def _histories_of(file: Path, _: float) -> dict[str, pd.DataFrame]:
    """Read a file of histories once for each time that it was written."""
    return {str(name): part for name, part in pd.read_parquet(file).groupby("run", sort=False)}


def _recorded_history(name: str) -> pd.DataFrame:
    for file in sorted(paths.RECORDS.glob("*/histories.parquet")):
        found = _histories_of(file, file.stat().st_mtime)
        if name in found:
            return found[name]
    return pd.DataFrame()


def keep(study: str) -> tuple[Path, int]:
    """Write a study's finished runs into `data/records/<study>`, beside what is kept there already.

    `runs.jsonl` has a line a run (the columns of the table), `histories.parquet` the steps that end an epoch,
    `provenance.json` what made each run, `eigencam.safetensors` the maps that pages show, `confusion.safetensors` and
    `cmi_by_temperature.parquet` what follows from predictions. Returns the folder and the number of runs in it.

    Raises:
        InputError: no run of the study is finished here.
    """
    frame = table(study)
    fresh = frame[frame["source"] == "run"]
    if fresh.empty:
        raise InputError(f"study = {study!r} has no finished run in {paths.runs()}: run it first.")
    folder = paths.RECORDS / studies.load(study).name
    folder.mkdir(parents=True, exist_ok=True)
    provenance_file, history_file = folder / "provenance.json", folder / "histories.parquet"
    provenance = json.loads(provenance_file.read_text()) if provenance_file.is_file() else {}
    rows = recorded(folder.name)
    for name in fresh["run"]:
        run = runs.Run(name)
        rows[name] = of_run(run)
        provenance[name] = run.provenance
    past = histories(fresh)
    past = past[past["val_nll"].notna()] if len(past) else past
    if history_file.is_file():
        before = pd.read_parquet(history_file)
        past = pd.concat([before[~before["run"].isin(fresh["run"])], past], ignore_index=True)
    lines = [json.dumps(_portable(rows[name]), sort_keys=True) for name in sorted(rows)]
    write_atomically(folder / "runs.jsonl", ("\n".join(lines) + "\n").encode())
    write_json(provenance_file, provenance)
    cam_records.keep(folder, fresh)
    cmi_by_temperature.keep(folder, fresh)
    confusions.keep(folder, fresh)
    synthetic_records.keep(folder, fresh)
    if len(past):
        temporary = folder / ".histories"
        columns = ["run", "step", "epoch", "train_loss", "val_nll", "val_accuracy", "learning_rate"]
        past[columns].to_parquet(temporary, compression="zstd", index=False)
        temporary.replace(history_file)
    return folder, len(rows)


def _portable(one: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a record what only means something on one machine."""
    return {k: v for k, v in one.items() if k not in ("data_root", "source", "retrain")}
