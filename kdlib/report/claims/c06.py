"""C6: more Monte Carlo samples of the teacher help the student. (No torch.)

A study's sweeps are its entries whose label begins with `samples`; the student of one sample may be that of another
entry. Students are compared in pairs of seeds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from kdlib.report.choice import FREE, TRAINING, chosen, effect, texts
from kdlib.report.claims.claim import BAYES, Claim, Effects, first
from kdlib.report.claims.students import ENDS
from kdlib.report.inference import Effect

MEMBER = "most samples"
TEACHER = "variational"
"""The label of the teacher that C6 is about; sweeps of other teachers are shown and enter no verdict."""


def grids(students: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the students of one teacher, trained alike: every number of samples at every kd_weight, T and S."""
    if students.empty:
        return
    begins = students["label"].astype(str).str.startswith("samples")
    own = (begins if begins.any() else students["samples"] > 1) & ~students["teacher"].isin(ENDS)
    group = texts(students, (*TRAINING, "framework", "framework_weight", "teacher_label"))
    key = group + texts(students, FREE)
    for one in dict.fromkeys(group[own]):
        alike = students[key.isin(key[own & (group == one)])]
        if alike["samples"].nunique() > 1:
            yield alike.sort_values(["samples", "seed"])


def sweeps(students: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the sweeps of the number of samples, one a teacher and training setting: a row a number and seed.

    Where there are several kd_weight, T or S, each number of samples has those of the highest mean validation accuracy.
    """
    for rows in grids(students):
        yield chosen(rows, by=["samples"])


def gain(rows: pd.DataFrame) -> Effect | None:
    """Return the accuracy with the most samples minus that with one, paired over seeds."""
    return effect(rows, rows["samples"].max(), 1, by="samples")


def effects(frame: pd.DataFrame) -> Effects:
    """Return the effect of the teacher's first sweep that has students of one sample."""
    found = (gain(rows) for rows in sweeps(frame[frame["run_type"] == "student"])
             if rows["teacher_label"].iloc[0] == TEACHER)  # fmt: skip
    return {MEMBER: first(found)}


CLAIM = Claim(
    id="C6",
    text="More Monte Carlo samples of the teacher help the student.",
    source=BAYES,
    page="samples",
    short="more samples of the teacher help",
    lead="Students' test accuracy, most samples a step against one",
    published="The paper shows that more are better.",
    measure="the student's test accuracy with the most samples against one sample",
    unit="accuracy",
    smallest=0.005,
    treated=(MEMBER,),
    baseline="one sample",
    effects=effects,
    advice=(
        "**With a stochastic teacher, draw several times a step:** more draws make better students.",
        "**With a stochastic teacher, one draw a step is enough.**",
    ),
)
