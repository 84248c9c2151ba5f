"""What a study was laid out with: each setting tried, by which validation measure, and the best. (No torch.)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from kdlib.base.config import Config
from kdlib.report.choice import FREE, texts
from kdlib.report.theme import axis_of
from kdlib.report.words import plain
from kdlib.runs.recipes import fields

__all__ = ["FREE", "candidates", "choices", "runner_up", "said", "with_default", "written"]

PARAMETERS = [name for sort in ("teacher", "student") for name in fields(sort) if name not in Config.model_fields]
APART = "framework"
"""The parameter whose values each choose for themselves."""
NEAR = 0.005
"""Nats, or a share of images: half of the smallest effect of interest. What is that near is as good."""


def candidates(rows: pd.DataFrame, measure: str, over: Sequence[str] = ()) -> pd.DataFrame:
    """Return one row a setting, best first: what varies, the mean and sd of a validation measure over seeds, n, best.

    The best has the lowest mean NLL or the highest mean accuracy, among the settings with the most seeds, within each
    framework. Settings that were tried on fewer seeds stand below.

    Args:
        rows: the runs of an entry.
        measure: `val_nll` or `val_accuracy`.
        over: parameters that each setting may choose for itself, such as the students' temperature: its best counts.
    """
    names = [name for name in dict.fromkeys((*PARAMETERS, "teacher_label")) if name in rows]
    varied = [name for name in names if rows[name].astype(str).nunique() > 1 and name not in ("parent", "teacher")]
    keys = [name for name in varied if name not in over] or varied
    own = [name for name in varied if name in over and name not in keys]
    down = measure == "val_nll"
    means = rows.groupby([*keys, *own] or ["label"], dropna=False, sort=False)[measure]
    table = means.agg(mean="mean", sd="std", n="count").reset_index().round({"mean": 9})
    table = table.sort_values("mean", ascending=down, kind="stable")
    if own:
        table = table.drop_duplicates(keys)
    apart = [APART] if APART in keys else []
    table = table.sort_values(
        [*apart, "n"], ascending=[*(True for _ in apart), False], kind="stable", ignore_index=True
    )
    return table.assign(best=~table.duplicated(apart) if apart else table.index == 0)


def runner_up(rows: pd.DataFrame, measure: str, over: Sequence[str] = ()) -> pd.DataFrame:
    """Return what the best setting has over the next: columns `choice`, `seed` and the measure, a row a seed of both.

    Above zero the best was better on that seed too. Without two settings there are no rows.

    Args:
        rows: the runs of an entry.
        measure: `val_nll` or `val_accuracy`.
        over: as in `candidates`.
    """
    table = candidates(rows, measure, over)
    settings = [str(name) for name in table if name not in ("mean", "sd", "n", "best")]
    own, found = texts(rows, settings), [pd.DataFrame(columns=["choice", "seed", measure])]
    for name, tried in table.groupby(APART, sort=False) if APART in table else [("", table)]:
        best, *others = (rows[own == text].groupby("seed")[measure].mean() for text in texts(tried, settings)[:2])
        for next_best in others:
            lead = (best - next_best if measure == "val_accuracy" else next_best - best).dropna()
            choice = f"{rows['label'].iloc[0]} {name}".strip()
            found.append(pd.DataFrame({"choice": choice, "seed": lead.index, measure: lead.to_numpy()}))
    return pd.concat(found[1:] or found, ignore_index=True)


DEFAULTS = {"length": "deterministic", "student_length": "floor"}
"""Entries one of whose settings is the study's own, and so a run of another entry."""


def with_default(frame: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the rows of an entry, with those of its settings that stand under the label that others start from."""
    rows = frame[frame["label"].isin((label, DEFAULTS.get(label, label)))]
    return rows.assign(label=label, teacher_label=label) if label in DEFAULTS else rows


def choices(frame: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, str, Sequence[str]]]:
    """Yield a study's choices: the runs of an entry, by which measure they compete, and what each chooses for itself.

    Args:
        frame: a study's rows; an entry of one setting is no choice.
    """
    for label in map(str, frame["label"].unique()):
        rows = with_default(frame, label)
        teachers = (rows["run_type"] == "teacher").all()
        if len(rows) > rows["seed"].nunique():
            yield rows, "val_nll" if teachers or "length" in label else "val_accuracy", () if teachers else FREE


def written(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return candidates as readers see them, their measure in its unit, numbers as short as they are."""
    shown, factor = table.drop(columns="best"), axis_of(measure)[1]
    shown[["mean", "sd"]] = (factor * shown[["mean", "sd"]]).map(f"{{:.{4 if factor == 1 else 2}f}}".format)
    return shown.map(lambda cell: f"{cell:g}" if isinstance(cell, float) else cell).replace("nan", "–")


def said(title: str, frame: pd.DataFrame, made: Sequence[tuple[pd.DataFrame, str, Sequence[str]]]) -> str:
    """Say what a study chose from, on which seeds, and how often the next setting is as good.

    Args:
        title: of the study.
        frame: its rows.
        made: its `choices`.
    """
    tables = [candidates(*one) for one in made]
    leads = [runner_up(*one).groupby("choice", sort=False).mean(numeric_only=True) for one in made]
    ahead = [value for one, (_, measure, _) in zip(leads, made, strict=True) for value in one[measure]]
    near = sum(value < NEAR for value in ahead)
    low, high = frame["seed"].min(), frame["seed"].max()
    return (
        f"**{plain(title)}:** {len(ahead)} choices between {sum(map(len, tables))} settings, on seeds {low:g} to "
        f"{high:g}; in {near} of them the next setting lies within {NEAR:g} nats or {100 * NEAR:g} points of the best."
    )
