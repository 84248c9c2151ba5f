"""C4: students of Bayesian teachers are more accurate. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.choice import TRAINING, chosen, effect, texts
from kdlib.report.claims import c06
from kdlib.report.claims.claim import BAYES, Claim, Effects
from kdlib.report.claims.students import compared, family, grid, students_of
from kdlib.report.words import interval

MEMBERS = ("variational", "laplace")


def effects(frame: pd.DataFrame) -> Effects:
    """Return the effects in the first training setting of the grid that has both sides, each at its chosen setting."""
    for rows in compared(students_of(frame)):
        if {"deterministic"} < {"deterministic", *MEMBERS} & set(rows["teacher_label"]):
            return family(chosen(rows), MEMBERS)
    return dict.fromkeys(MEMBERS)


def drawn(frame: pd.DataFrame) -> str:
    """Say what students of the variational teacher gain with the most draws a step: those of the claim have one."""
    plain = chosen(grid(students_of(frame)))
    plain = plain[plain["teacher_label"] == "deterministic"]
    for rows in c06.sweeps(frame[frame["run_type"] == "student"]):
        most = rows[rows["samples"] == rows["samples"].max()]
        both = pd.concat([plain, most])
        if most["teacher_label"].iloc[0] == c06.TEACHER and texts(both, TRAINING).nunique() == 1:
            found = effect(both, c06.TEACHER, "deterministic")
            if found is not None:
                n, gained = f"{most['samples'].iloc[0]:g}", interval(found, "accuracy")
                return f"students hear one draw of the variational teacher a step; with {n} it is {gained}"
    return ""


CLAIM = Claim(
    id="C4",
    text="The students of Bayesian teachers are more accurate (up to +4.27 points).",
    source=BAYES,
    page="distillation",
    short="Bayesian teachers' students are better",
    lead="Students' test accuracy against those of the deterministic teacher",
    published="The paper reports up to +4.27 points, with larger networks, 32×32 photographs and 200 epochs.",
    measure="the student's test accuracy",
    unit="accuracy",
    smallest=0.005,
    treated=MEMBERS,
    effects=effects,
    limit=drawn,
    advice=(
        "**A Bayesian teacher pays** in the students' accuracy.",
        "**Do not train a Bayesian teacher for the students' accuracy alone.**",
    ),
)
