"""Which students a claim compares: trained alike, each teacher's at its chosen setting. (No torch.)

The grid is the students of entries whose label begins with `distilled`, over kd_weight, T and S. Each teacher's setting
is chosen by the mean validation accuracy of its students (`choice.chosen`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from kdlib.report.choice import TRAINING, chosen, effect, entering, texts
from kdlib.report.claims.claim import Effects
from kdlib.report.theme import name_of

BEGINS = "distilled"
"""How the labels of the grid's entries begin."""
FLOOR, CEILING = ENDS = ("one_hot", "exact_bcp")


def students_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a study's students of the labels that claims compare."""
    return entering(frame[frame["run_type"] == "student"]) if len(frame) else frame


def compared(frame: pd.DataFrame, begins: str = BEGINS) -> Iterator[pd.DataFrame]:
    """Yield the students that may be compared: one training setting each, of every teacher and point of the grid.

    Args:
        frame: rows of one study (or of runs chosen by hand, which are labelled by their teacher) and one dataset.
        begins: how the labels of their entries begin.
    """
    if frame.empty:
        return
    rows = frame[~frame["teacher"].isin(ENDS)]
    own = rows["label"].astype(str).str.startswith(begins) | ((rows["label"] == rows["teacher"]) & (begins == BEGINS))
    plain = (rows["framework"] == "kd") & (rows["samples"] == 1) & (rows["omit_classes"].fillna("") == "")
    rows = rows[own & plain]
    setting = texts(rows, TRAINING)
    for one in dict.fromkeys(setting):
        yield rows[setting == one]


def grid(frame: pd.DataFrame, begins: str = BEGINS) -> pd.DataFrame:
    """Return the students of the first training setting of `compared`; no rows where there is none."""
    return next(compared(frame, begins), frame.iloc[:0])


def with_ends(picked: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Add students of one-hot labels and of the exact BCPs that were trained alike: the floor and the ceiling."""
    setting = texts(picked, TRAINING)
    ends = frame[frame["teacher"].isin(ENDS) & (frame["framework"] == "kd")]
    ends = ends[texts(ends, TRAINING).isin(setting)]
    return pd.concat([picked, chosen(ends, by=("teacher",))]) if len(ends) else picked


def family(
    rows: pd.DataFrame, members: tuple[str, ...], column: str = "test_accuracy", relative: bool = False
) -> Effects:
    """Return what each member's students have over the deterministic teacher's; None where there is no pair.

    Args:
        rows: one row a teacher and seed.
        members: labels of teachers.
        column: the measure.
        relative: whether the effect is its relative change; a pair in which it is zero is left out.
    """
    return {member: effect(rows, member, "deterministic", column, relative=relative) for member in members}


def at_the_edge(rows: pd.DataFrame, picked: pd.DataFrame) -> str:
    """Say which teachers' chosen T is the least or the greatest of those that were tried; nothing where none is.

    Args:
        rows: the whole grid.
        picked: each teacher's students at the chosen setting.
    """
    said = []
    for label, own in picked.groupby("teacher_label", sort=False):
        tried, chosen_t = rows.loc[rows["teacher_label"] == label, "temperature"], own["temperature"].iloc[0]
        if tried.nunique() > 1 and chosen_t in (tried.min(), tried.max()):
            said.append(f"{name_of(label)} ({chosen_t:g} of {tried.min():g} to {tried.max():g})")
    return f"Chosen at the edge of what was tried, so perhaps not the best T: {', '.join(said)}." if said else ""
