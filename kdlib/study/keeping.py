"""Keep a study's finished runs in its records: merged by name, and nothing that the study no longer expands to."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from kdlib.base import paths
from kdlib.base.config import RunType
from kdlib.base.errors import DamagedRun, InputError
from kdlib.report import cmi_by_temperature, confusions
from kdlib.runs import studies
from kdlib.store import runs
from kdlib.study import records, seeds
from kdlib.study.rows import labels, of_run, plans_of

LOCAL = ("data_root", "source", "retrain")
"""Parameters that only mean something on one machine."""


def keep(study: str, chosen: Collection[int | None] | None = None) -> tuple[Path, int]:
    """Write a study's finished runs into `data/records/<study>`, beside what is kept of them there.

    Of a run that the store and the records have, the store's is kept. A record whose run the study no longer expands
    to goes, and so does a file of a seed that it no longer has.

    Args:
        study: its name, or the path of its file.
        chosen: seeds, None for the runs that belong to no seed; of other seeds nothing is read or written.

    Returns:
        The folder and how many runs its written files hold.

    Raises:
        InputError: no run of the study is finished here, or a file in the folder is no file of records.
    """
    loaded = studies.load(study)
    about = labels(loaded)
    by_seed: dict[int | None, list[str]] = defaultdict(list)
    for _, planned in plans_of(loaded):
        by_seed[seeds.of(planned.config)].append(planned.name)
    wanted = {seed: list(dict.fromkeys(own)) for seed, own in by_seed.items() if chosen is None or seed in chosen}
    if not any(runs.Run(name).finished for own in wanted.values() for name in own):
        raise InputError(f"study = {study!r} has no finished run in {paths.runs()}: run it first.")
    mapped = {planned.config.seed for _, planned in plans_of(loaded) if planned.name.startswith(RunType.EIGENCAM)}
    files = {seed: records.file_of(loaded.folder_name, seed) for seed in wanted}
    count = 0
    for seed, own in wanted.items():
        file = files[seed]
        before = records.read(file) if file.is_file() else {}
        kept = {name: before[name] for name in own if name in before}
        for name in own:
            try:
                if (run := runs.Run(name)).finished:
                    kept[name] = record_of(run, with_maps=seed == min(mapped, default=None))
            except DamagedRun as error:  # only now, since histories and arrays are read here
                warnings.warn(str(error), stacklevel=2)
        records.write(file, ({**one, **about[name]} for name, one in kept.items()))
        count += len(kept)
    if chosen is None:
        for file in set(records.files(loaded.folder_name)) - set(files.values()):
            file.unlink()
    return paths.RECORDS / loaded.folder_name, count


def record_of(run: runs.Run, with_maps: bool = True) -> records.Record:
    """Return what records keep of a finished run.

    Args:
        run: in the store.
        with_maps: whether to keep the pictures and maps of an Eigen-CAM run; pages show those of the first seed.
    """
    row = of_run(run)
    past = run.history()
    ends = past[past["val_nll"].notna()] if len(past) else past
    return {
        **{name: value for name, value in row.items() if name not in LOCAL},
        "provenance": json.dumps(run.provenance, sort_keys=True),
        "class_names": run.record.get("classes"),
        "history": ends[list(records.STEP)].to_dict("records") if len(ends) else None,
        "arrays": records.packed(_arrays_of(run, row, with_maps)),
    }


def _arrays_of(run: runs.Run, row: dict[str, Any], with_maps: bool) -> records.Arrays:
    """Return the small arrays that pages show of a run, from its predictions or as it has them."""
    series = pd.Series(row, dtype=object)
    if row["run_type"] == RunType.SYNTHETIC:
        return {name: value.numpy() for name, value in run.arrays().items()}
    if row["run_type"] == RunType.EIGENCAM:
        whole = {name: value.numpy() for name, value in run.arrays().items()} if with_maps else {}
        return {name: value[: len(whole["pictures"])] for name, value in whole.items()}
    if row["run_type"] == RunType.TEACHER and row["teacher"] in cmi_by_temperature.KINDS:
        return cmi_by_temperature.arrays_of_run(series)
    if row["run_type"] == RunType.STUDENT and row["omit_classes"]:
        return confusions.arrays_of_run(series)
    return {}


def complete(study: studies.Study, there: Collection[str] | None = None) -> list[int]:
    """Return the seeds of which all of a study's runs are there, in ascending order.

    Args:
        study: with every run that it expands to.
        there: names of runs; by default those that its own records keep.
    """
    if there is None:
        there = {row["run"] for file in records.files(study.folder_name) for row in records.rows(file)}
    missing: dict[int, bool] = {}
    for _, planned in plans_of(study):
        seed = seeds.of(planned.config)
        if seed is not None:
            missing[seed] = missing.get(seed, False) or planned.name not in there
    return sorted(seed for seed, lacks in missing.items() if not lacks)
