"""What a study was laid out with: each setting tried, by which validation measure, and the best. (No torch.)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from kdlib.report.choice import FREE, PARAMETERS, texts
from kdlib.report.theme import axis_of
from kdlib.report.words import plain

APART = "framework"
"""The parameter whose values each choose for themselves."""
NEAR = 0.005
"""Nats, or a share of images: half of the smallest effect of interest. What is that near is as good."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Hold one choice of a study: the runs that compete, by which validation measure."""

    rows: pd.DataFrame
    """The runs of an entry."""
    measure: str
    """`val_nll` or `val_accuracy`."""
    over: Sequence[str] = ()
    """Parameters that each setting may choose for itself, such as the students' temperature: its best counts."""

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """One row a setting, best first: what varies, the mean and sd of the measure over seeds, n, best.

        The best has the lowest mean NLL or the highest mean accuracy, among the settings with the most seeds, within
        each framework. Settings that were tried on fewer seeds stand below.
        """
        rows, down = self.rows, self.measure == "val_nll"
        names = [name for name in dict.fromkeys((*PARAMETERS, "teacher_label")) if name in rows]
        varied = [name for name in names if rows[name].astype(str).nunique() > 1 and name not in ("parent", "teacher")]
        keys = [name for name in varied if name not in self.over] or varied
        own = [name for name in varied if name in self.over and name not in keys]
        means = rows.groupby([*keys, *own] or ["label"], dropna=False, sort=False)[self.measure]
        table = means.agg(mean="mean", sd="std", n="count").reset_index().round({"mean": 9})
        table = table.sort_values("mean", ascending=down, kind="stable")
        if own:
            table = table.drop_duplicates(keys)
        apart = [APART] if APART in keys else []
        table = table.sort_values(
            [*apart, "n"], ascending=[*(True for _ in apart), False], kind="stable", ignore_index=True
        )
        return table.assign(best=~table.duplicated(apart) if apart else table.index == 0)

    @cached_property
    def lead(self) -> pd.DataFrame:
        """What the best setting has over the next: columns `choice`, `seed` and the measure, a row a seed of both.

        Above zero the best was better on that seed too. Without two settings there are no rows.
        """
        rows, measure, table = self.rows, self.measure, self.candidates
        settings = [str(name) for name in table if name not in ("mean", "sd", "n", "best")]
        own, found = texts(rows, settings), [pd.DataFrame(columns=["choice", "seed", measure])]
        for name, tried in table.groupby(APART, sort=False) if APART in table else [("", table)]:
            best, *others = (rows[own == text].groupby("seed")[measure].mean() for text in texts(tried, settings)[:2])
            for next_best in others:
                lead = (best - next_best if measure == "val_accuracy" else next_best - best).dropna()
                choice = f"{rows['label'].iloc[0]} {name}".strip()
                found.append(pd.DataFrame({"choice": choice, "seed": lead.index, measure: lead.to_numpy()}))
        return pd.concat(found[1:] or found, ignore_index=True)

    def written(self) -> pd.DataFrame:
        """Return the candidates as readers see them, the measure in its unit, numbers as short as they are."""
        shown, factor = self.candidates.drop(columns="best"), axis_of(self.measure)[1]
        shown[["mean", "sd"]] = (factor * shown[["mean", "sd"]]).map(f"{{:.{4 if factor == 1 else 2}f}}".format)
        return shown.map(lambda cell: f"{cell:g}" if isinstance(cell, float) else cell).replace("nan", "–")


DEFAULTS = {"length": "deterministic", "student_length": "floor"}
"""Entries one of whose settings is the study's own, and so a run of another entry."""


def with_default(frame: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the rows of an entry, with those of its settings that stand under the label that others start from."""
    rows = frame[frame["label"].isin((label, DEFAULTS.get(label, label)))]
    return rows.assign(label=label, teacher_label=label) if label in DEFAULTS else rows


def choices(frame: pd.DataFrame) -> Iterator[Choice]:
    """Yield a study's choices.

    Args:
        frame: a study's rows; an entry of one setting is no choice.
    """
    for label in map(str, frame["label"].unique()):
        rows = with_default(frame, label)
        teachers = (rows["run_type"] == "teacher").all()
        if len(rows) > rows["seed"].nunique():
            measure = "val_nll" if teachers or "length" in label else "val_accuracy"
            yield Choice(rows, measure, () if teachers else FREE)


def said(title: str, frame: pd.DataFrame, made: Sequence[Choice]) -> str:
    """Say what a study chose from, on which seeds, and how often the next setting is as good.

    Args:
        title: of the study.
        frame: its rows.
        made: its `choices`.
    """
    leads = [one.lead.groupby("choice", sort=False)[one.measure].mean() for one in made]
    ahead = [value for lead in leads for value in lead]
    near = sum(value < NEAR for value in ahead)
    settings, low, high = sum(len(one.candidates) for one in made), frame["seed"].min(), frame["seed"].max()
    return (
        f"**{plain(title)}:** {len(ahead)} choices between {settings} settings, on seeds {low:g} to {high:g}; in "
        f"{near} of them the next setting lies within {NEAR:g} nats or {100 * NEAR:g} points of the best."
    )
