"""Keep a study's finished runs in its records: merged by name, and nothing that the study no longer expands to."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from kdlib.base import paths
from kdlib.base.errors import DamagedRun, InputError, NoImages
from kdlib.runs import studies
from kdlib.runs.recipes import recipe_of, recorded
from kdlib.store import runs
from kdlib.study import labels as labelling
from kdlib.study import records
from kdlib.study.labels import labels, plans_of
from kdlib.study.rows import of_run

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
        InputError: the study is a sample of another, no run of it is finished here, a file in the folder is no file of
            records, or images that what is kept is counted on are not here: then nothing of that seed is written.
    """
    loaded = studies.load(study)
    if loaded.sample:  # kept twice, a run would stand for itself where a machine is set beside its record
        raise InputError(
            f"study = {study!r} is refused: it is a sample of {loaded.sample}, whose records hold its runs."
        )
    about = labels(loaded)
    wanted: dict[int | None, list[str]] = defaultdict(list)
    for name, one in about.items():
        if chosen is None or one.seed in chosen:
            wanted[one.seed].append(name)
    if not any(runs.Run(name).finished for own in wanted.values() for name in own):
        raise InputError(f"study = {study!r} has no finished run in {paths.runs()}: run it first.")
    seeds_of: dict[str, set[int | None]] = defaultdict(set)  # of each run type
    for _, planned in plans_of(loaded):
        seeds_of[planned.config.run_type].add(about[planned.name].seed)
    first = {sort: min(seeds, key=lambda seed: seed or 0) for sort, seeds in seeds_of.items()}
    count, written = 0, set[Path]()
    for seed, own in wanted.items():
        file = records.file_of(loaded.folder_name, seed)
        before = records.read(file) if file.is_file() else {}
        kept = {name: before[name] for name in own if name in before}
        for name in own:
            try:
                if (run := runs.Run(name)).finished:
                    kept[name] = record_of(run, first_seed=seed == first[run.record["run_type"]])
            except DamagedRun as error:  # only now, since histories and arrays are read here
                warnings.warn(str(error), stacklevel=2)
            except NoImages as error:
                raise NoImages(f"{name} is not kept, for what is kept of it takes its images: {error}") from None
        records.write(file, ({**one, **about[name].columns} for name, one in kept.items()))
        count += len(kept)
        written.add(file)
    labelling.keep(loaded)
    if chosen is None:
        for file in set(records.files(loaded.folder_name)) - written:
            file.unlink()
    return paths.RECORDS / loaded.folder_name, count


def record_of(run: runs.Run, first_seed: bool = True) -> records.Record:
    """Return what records keep of a finished run.

    Args:
        run: in the store.
        first_seed: whether it is of the first seed of its run type; of others some keep less.
    """
    row, record = of_run(run), run.record
    config = recorded(record["run_type"], record["config"])
    past = run.history()
    ends = past[past["val_nll"].notna()] if len(past) else past
    return {
        **{name: value for name, value in row.items() if name not in LOCAL},
        "provenance": json.dumps(run.provenance, sort_keys=True),
        "class_names": record.get("classes"),
        "history": ends[list(records.STEP)].to_dict("records") if len(ends) else None,
        "arrays": records.packed(recipe_of(config).arrays(run, config, first_seed)),
    }


def complete(study: studies.Study, there: Collection[str] | None = None) -> list[int]:
    """Return the seeds of which all of a study's runs are there, in ascending order.

    Args:
        study: with every run that it expands to.
        there: names of runs; by default those that its own records keep.
    """
    if there is None:
        there = set(records.frame(study.folder_name).index)
    about = labels(study)
    lacking = {one.seed for name, one in about.items() if name not in there}
    return sorted({one.seed for one in about.values() if one.seed is not None} - lacking)
