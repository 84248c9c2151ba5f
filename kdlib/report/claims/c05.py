"""C5: students of Bayesian teachers converge with less noise. (No torch.)

It rests on students of the entry `convergence`, trained at a constant rate: under a falling one the trend's curvature
decides.
"""

from __future__ import annotations

import pandas as pd

from kdlib.measures.convergence import COLUMN, WINDOW, WINDOWS, of
from kdlib.report.choice import chosen, once
from kdlib.report.claims.claim import BAYES, Claim, Effects
from kdlib.report.claims.students import compared, family, students_of, with_ends
from kdlib.study.rows import histories

__all__ = ["CLAIM", "WINDOW", "WINDOWS", "converging", "effects"]

MEMBERS = ("variational", "laplace")
LABEL = "convergence"
"""Of the students that it rests on."""


@once
def _with_histories(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the students that C5 rests on, and their histories; None where a study has none."""
    own = frame[frame["label"] == LABEL]
    for rows in compared(own, LABEL):
        both = with_ends(chosen(rows), own)
        return both, histories(both)
    return None


def converging(frame: pd.DataFrame, window: int = WINDOW) -> pd.DataFrame | None:
    """Return the students that C5 rests on, each teacher's at its chosen setting, with their `convergence_noise`.

    With those of one-hot labels, for what stands beside; None where a study has none.

    Args:
        frame: students.
        window: epochs of the trend that is taken away.
    """
    if (found := _with_histories(frame)) is None:
        return None
    rows, past = found
    return rows.assign(**{COLUMN: rows["run"].map(of(past, window))})


def effects(frame: pd.DataFrame, window: int = WINDOW) -> Effects:
    """Return the relative change of the convergence noise against the deterministic teacher's students."""
    students = students_of(frame)
    rows = converging(students, window) if len(students) else None
    return dict.fromkeys(MEMBERS) if rows is None else family(rows, MEMBERS, COLUMN, relative=True)


CLAIM = Claim(
    id="C5",
    text="The students of Bayesian teachers converge with less noise (up to 30 % less).",
    source=BAYES,
    page="distillation",
    short="their students converge with less noise",
    lead="Students' convergence noise against those of the deterministic teacher",
    published="The paper reports up to 30 % less.",
    measure="convergence noise of the student's validation accuracy",
    unit="relative change",
    smallest=-0.10,
    treated=MEMBERS,
    effects=effects,
    limit=lambda frame: "the variational teacher's draws, one an epoch, add noise",
)
