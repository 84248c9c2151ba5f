"""What a page is made of: a part for each study that fills it, or for each of its datasets. (No torch.)"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.report.claims.rules import MINIMUM_PAIRS
from kdlib.runs import studies
from kdlib.runs.notebook import given_names
from kdlib.study.keeping import complete
from kdlib.study.labels import labels, study_of
from kdlib.study.rows import found, table

SETTINGS = ("architecture", "fraction", "match", "omit_classes", "kd_weight", "temperature", "student_temperature",
            "samples", "framework", "preset", "epochs", "batch_size", "learning_rate", "optimizer")  # fmt: skip
"""Settings that tell the groups of a page apart, the first that do."""
APART = ("cifar10h",)
"""Images that only students which learn from people see: no dataset of a part."""
SHORT = {"kd_weight": "α", "temperature": "T", "student_temperature": "S", "omit_classes": "without"}


@dataclass(frozen=True, eq=False)
class Part:
    """One study's part of a page, on one dataset: its finished runs and records."""

    name: str
    title: str
    about: str
    frame: pd.DataFrame
    missing: int = 0
    """How many more runs the study has, not finished here and not kept."""
    waiting: str = ""
    """How many of the planned seeds are complete, while some are not: then the page gives no verdict."""
    decides: bool = False
    """Whether it is the study that decides on the page, or was asked for by name."""
    chosen: bool = False
    """Whether it is of runs chosen by hand, which answer nothing."""

    @functools.cache  # noqa: B019 - a page's parts live as long as the page
    def of(self, run_type: str) -> pd.DataFrame:
        """Return the rows of one run type, without those of another noise of the digits or for other images."""
        rows = self.frame[self.frame["run_type"] == run_type]
        return rows[~(swept(rows) | rows["label"].astype(str).str.startswith("humans"))]

    def origin(self) -> str:
        """Say how many runs there are, on what and when they were made, and warn where a comparison mixes machines."""
        frame = self.frame
        made = {"run": "made by this store", "record": "kept as records"}
        counts = [f"{n:,} {made[str(source)]}" for source, n in frame["source"].value_counts().items()]
        places = frame[["processor", "precision"]].drop_duplicates().fillna("unknown")
        where = "; ".join(f"{row.processor}, {row.precision}" for row in places.itertuples())
        mixed = " Devices or precisions differ: compare with care." if len(places) > 1 else ""
        days = sorted(str(day)[:10] for day in frame["finished"].dropna())
        when = f" Measured {days[0]}" + (f" to {days[-1]}." if days[0] != days[-1] else ".") if days else ""
        of = f" of {len(frame) + self.missing:,}" if self.missing else ""
        waiting = f" {self.waiting}" if self.waiting else ""
        return f"{len(frame):,}{of} runs: {', '.join(counts)} ({where}).{when}{mixed}{waiting}"


def parts_of(page: str, only: str = "", chosen: str = "") -> list[Part]:
    """Return a page's parts, the study that decides first; those that have finished runs or records.

    Args:
        page: its name, as studies list it.
        only: studies joined by `+`; all but those apart and samples of others by default.
        chosen: run names joined by `+`; then the page has one part, of these runs.

    Raises:
        InputError: a study or a run does not exist, or papermill was given a name that is no parameter.
    """
    known, injected = given_names()
    for name in injected:
        if name not in known:
            raise InputError(f"{name} is no parameter of this report: allowed are {', '.join(sorted(known))}.")
    if chosen:
        frame = table(only=[name for name in chosen.split("+") if name])
        frame = frame.assign(label=frame["teacher"], teacher_label=frame["teacher"])
        return apart(Part("chosen", "Chosen runs", "", frame, chosen=True))
    found = [study_of(name) for name in (only.split("+") if only else studies.names())]
    shown = [one for one in found if page in one.reports and (only or not (one.scratch or one.sample))]
    order = sorted(shown, key=lambda study: page not in study.role)
    parts = [one for study in order for one in apart(part_of(study, bool(only) or page in study.role))]
    return [part for part in parts if len(part.frame)]


def part_of(study: studies.Study, decides: bool) -> Part:
    """Return a study's part, with all its rows."""
    wanted = labels(study)
    frame = found(wanted, study.folder_name)
    waiting = waits_for(study, set(frame["run"]))
    return Part(study.name, study.title, study.about, frame, len(wanted) - len(frame), waiting, decides)


def swept(frame: pd.DataFrame) -> pd.Series[bool]:
    """Say which rows belong to a sweep of the noise in the images: entries whose label begins with `noise`."""
    return frame["label"].astype(str).str.startswith("noise")


def datasets_of(frame: pd.DataFrame) -> list[str]:
    """Return the datasets on which a study compares: not those of a sweep of the noise, or that people alone label."""
    left_out = swept(frame) | frame["dataset"].isin(APART) | (frame["run_type"] == RunType.SYNTHETIC)
    return list(dict.fromkeys(map(str, frame.loc[~left_out, "dataset"])))


def apart(whole: Part) -> list[Part]:
    """Return a part for each dataset, the first of which decides where the study does; of one dataset the whole."""
    names = datasets_of(whole.frame) if len(whole.frame) else []
    if len(names) < 2:
        return [whole]
    rows = {name: whole.frame[~whole.frame["dataset"].isin(set(names) - {name})] for name in names}
    return [
        replace(whole, name=f"{whole.name} {name}", title=f"{whole.title}: {name}", frame=own,
                decides=whole.decides and name == names[0])
        for name, own in rows.items()
    ]  # fmt: skip


def waits_for(study: studies.Study, there: Collection[str]) -> str:
    """Say how many seeds of a study are complete; nothing where all are, or where too few for a verdict are planned.

    Args:
        study: with all its entries.
        there: the runs that are finished or kept.
    """
    planned = {about.seed for about in labels(study).values() if about.seed is not None}
    done = complete(study, there)
    if len(planned) < MINIMUM_PAIRS or len(done) == len(planned):
        return ""
    return f"{len(done)} of {len(planned)} seeds are there; no verdict before the last."


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `group`: a row's teacher label, with as many settings as tell rows of the same label apart."""
    there = [name for name in SETTINGS if name in frame]
    labels, settings = frame["teacher_label"].astype(str), [[_given(value) for value in frame[name]] for name in there]
    rows = list(zip(labels, *settings, strict=True))
    texts = dict[tuple[str, ...], str]()
    for label in dict.fromkeys(labels):
        own = list(dict.fromkeys(row for row in rows if row[0] == label))
        differing, groups = list[int](), 1
        for place in range(1, len(there) + 1):
            finer = len({tuple(row[k] for k in (*differing, place)) for row in own})
            if finer > groups:  # else it differs only together with those before it
                differing, groups = [*differing, place], finer
        heads = {k: SHORT.get(there[k - 1], there[k - 1].replace("_", " ")) for k in differing}
        texts |= {row: " ".join([label, *(f"{head} {row[k]}" for k, head in heads.items() if row[k])]) for row in own}
    return frame.assign(group=[texts[row] for row in rows])


def _given(value: Any) -> str:
    """Return a setting as text; nothing of none."""
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
