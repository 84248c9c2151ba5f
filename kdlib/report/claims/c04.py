"""C4: students of Bayesian teachers are more accurate. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.choice import chosen
from kdlib.report.claims.claim import BAYES, Claim, Effects
from kdlib.report.claims.students import compared, family, students_of

MEMBERS = ("variational", "laplace")


def effects(frame: pd.DataFrame) -> Effects:
    """Return the effects in the first training setting of the grid that has both sides, each at its chosen setting."""
    for rows in compared(students_of(frame)):
        if {"deterministic"} < {"deterministic", *MEMBERS} & set(rows["teacher_label"]):
            return family(chosen(rows), MEMBERS)
    return dict.fromkeys(MEMBERS)


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
    advice=(
        "**A Bayesian teacher pays** in the students' accuracy.",
        "**Do not train a Bayesian teacher for the students' accuracy alone.**",
    ),
)
