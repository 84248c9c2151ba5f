"""What a study was laid out with: each setting tried, by which validation measure, and the best. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kdlib.base.config import Config
from kdlib.report.choice import FREE, texts
from kdlib.runs.recipes import fields

__all__ = ["FREE", "candidates", "measure_of", "runner_up", "with_default"]

PARAMETERS = [name for sort in ("teacher", "student") for name in fields(sort) if name not in Config.model_fields]
APART = "framework"
"""The parameter whose values each choose for themselves."""


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
    """Return what the best setting has over the second, a row a seed of both: `choice`, `seed` and the measure; maybe none.

    Args:
        rows: the runs of an entry.
        measure: `val_nll` or `val_accuracy`.
        over: as in `candidates`.
    """
    table = candidates(rows, measure, over)
    settings = [name for name in table if name not in ("mean", "sd", "n", "best")]
    own, found = texts(rows, settings), []
    for name, tried in table.groupby(APART, sort=False) if APART in table else [("", table)]:
        best, *others = (rows[own == text].groupby("seed")[measure].mean() for text in texts(tried, settings)[:2])
        if others:
            better = (best - others[0] if measure == "val_accuracy" else others[0] - best).dropna()
            choice = f"{rows['label'].iloc[0]} {name}".strip()
            found.append(pd.DataFrame({"choice": choice, "seed": better.index, measure: better.to_numpy()}))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["choice", "seed", measure])


DEFAULTS = {"length": "deterministic", "student_length": "floor"}
"""Entries one of whose settings is the study's own, and so a run of another entry."""


def with_default(frame: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the rows of an entry, with those of its settings that stand under the label that others start from."""
    rows = frame[frame["label"].isin((label, DEFAULTS.get(label, label)))]
    return rows.assign(label=label, teacher_label=label) if label in DEFAULTS else rows


def measure_of(label: str) -> tuple[str, str]:
    """Return by which validation measure students of an entry compete, and how it is called."""
    if "length" in label:
        return "val_nll", "validation NLL (nats)"
    return "val_accuracy", "mean validation accuracy of students"
