"""A teacher's conditional mutual information (CMI) against its temperature, and its students' accuracy. (No torch.)

A stored answer is tempered after the fact: softmax(log p / T) is softmax(z / T) for one network of logits z. So the
sweep needs no forward pass, and teachers of several networks, which temper each one, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from kdlib.measures.cmi import ARRAYS, GRID
from kdlib.report.claims import CLAIMS, Effect, Judgement, judge, paired
from kdlib.runs.recipes import recipe_of, recorded
from kdlib.store.runs import Run
from kdlib.study import records

KINDS = ("deterministic", "mcmi")
"""Kinds of teacher of which the sweep is kept and shown: one network each."""
PLAIN = "deterministic"
"""The label of the teacher that claim C13 is about."""
CLAIM = next(claim for claim in CLAIMS if claim.id == "C13")
COLUMNS = ["run", *ARRAYS]
LEAST = 3
"""Temperatures that make a sweep: two are a comparison, which the page on distillation shows."""


def sweep(teachers: pd.DataFrame) -> pd.DataFrame:
    """Return the CMI of teachers at the temperatures of `GRID`: columns run, temperature, val_cmi and test_cmi.

    Those of runs are computed from their predictions, those of records are read; a teacher without either is left out.

    Args:
        teachers: rows of the table of runs.
    """
    parts = [_of_run(row) if row["source"] == "run" else _recorded(str(row["run"])) for _, row in teachers.iterrows()]
    found = [part for part in parts if part is not None]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _of_run(row: pd.Series) -> pd.DataFrame | None:  # type: ignore[type-arg]
    run = Run(str(row["run"]))
    config = recorded(str(row["run_type"]), run.record["config"])
    found = recipe_of(config).arrays(run, config, first_seed=False)
    return pd.DataFrame({"run": run.name, **found}) if found else None


def _recorded(run: str) -> pd.DataFrame | None:
    kept = records.arrays(run)
    found = [kept[name] for name in ARRAYS if name in kept and kept[name].shape == (len(GRID),)]
    return pd.DataFrame({"run": run, **dict(zip(ARRAYS, found, strict=True))}) if len(found) == len(ARRAYS) else None


def students_of(students: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each sweep of the teacher's temperature among students, with the settings that it has in common in words.

    A sweep has one dataset, network, kd_weight and either one student's temperature S or S = T, knows all classes and
    images, and has teachers at three temperatures or more; rows are one a teacher label, temperature and seed.
    """
    plain = (students["fraction"] == 1) & (students["omit_classes"].fillna("") == "") & (students["framework"] == "kd")
    rows = students[plain & students["teacher"].isin(KINDS) & students["temperature"].notna()]
    alike = ["dataset", "architecture", "kd_weight", "epochs"]
    for values, part in rows.groupby(alike, sort=False, dropna=False):
        dataset, architecture, weight, _ = values
        equal = part["temperature"] == part["student_temperature"]
        own = {f"S = {s:g}": part["student_temperature"] == s for s in sorted(part["student_temperature"].unique())}
        for name, chosen in {**own, "S = T": equal}.items():
            found = part[chosen].drop_duplicates(["teacher_label", "temperature", "seed"])
            found = found[found.groupby("teacher_label")["temperature"].transform("nunique") >= LEAST]
            if len(found):
                yield f"{dataset}, {architecture}, α = {weight:g}, {name}", found.sort_values("temperature")


def best(table: pd.DataFrame, label: str = PLAIN) -> float | None:
    """Return the temperature above 1 of the highest mean validation CMI of a teacher, or None without one.

    Args:
        table: what `sweep` gives, with `teacher_label` and `seed` beside each row.
        label: of the teacher.
    """
    warm = table[(table["teacher_label"] == label) & (table["temperature"] > 1)]
    return None if warm.empty else float(str(warm.groupby("temperature")["val_cmi"].mean().idxmax()))


def effect(table: pd.DataFrame, label: str = PLAIN) -> Effect | None:
    """Return the test CMI at the best temperature above 1 minus that at T = 1, paired over seeds; C13's effect."""
    warmest = best(table, label)
    if warmest is None:
        return None
    wide = table[table["teacher_label"] == label].pivot(index="seed", columns="temperature", values="test_cmi").dropna()
    return paired(wide[warmest].to_numpy(), wide[1.0].to_numpy()) if len(wide) else None


def effects(frame: pd.DataFrame) -> dict[str, dict[str, Effect | None]]:
    """Return the effect of C13, of the teachers labelled `deterministic`.

    Args:
        frame: a study's rows on one dataset.
    """
    plain = frame[frame["run_type"] == "teacher"]
    found = None
    if len(plain):
        own = plain[plain["teacher_label"] == PLAIN].drop_duplicates("seed")
        found = effect(sweep(own).merge(own[["run", "teacher_label", "seed"]], on="run"))
    return {CLAIM.id: {CLAIM.treated[0]: found}}


def judged(table: pd.DataFrame) -> Judgement:
    """Return the verdict on C13, a claim about the maximum-likelihood teacher."""
    (said,) = judge(CLAIM, {CLAIM.treated[0]: effect(table)})
    return said


def spread(found: Effect) -> float:
    """Return half the width of an effect's interval; NaN with one seed."""
    return (found.high - found.low) / 2 if not math.isnan(found.high) else math.nan
