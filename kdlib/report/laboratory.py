"""What a laboratory must show before claims are tried in it: four differences of test accuracy. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.choice import chosen, effect
from kdlib.report.inference import Effect

CEILING = "exact-BCP student − one-hot student"
TARGETS = {
    "deterministic teacher − one-hot student": 0.03,
    CEILING: 0.03,
    "deterministic teacher's best student − one-hot student": 0.01,
    "exact-BCP student − deterministic teacher's best student": 0.015,
}
"""The least of each difference at which distillation can work and a better teacher has room; shares of images."""


def differences(frame: pd.DataFrame) -> dict[str, Effect]:
    """Return the four differences of test accuracy, paired over seeds; those that the rows measure.

    Students are those of entries whose label begins with `floor`, `ceiling` or `distilled`, each at the T that
    validation images choose.

    Args:
        frame: a study's table of runs on one dataset, teachers and students.
    """
    teachers = frame[(frame["run_type"] == "teacher") & (frame["label"] == "deterministic")]
    students = frame[frame["run_type"] == "student"]

    def best(begins: str, teacher: str) -> pd.DataFrame:
        own = students["label"].astype(str).str.startswith(begins) & (students["teacher_label"] == teacher)
        return chosen(students[own])

    sides = {
        "deterministic teacher": teachers,
        "one-hot student": best("floor", "one_hot"),
        "exact-BCP student": best("ceiling", "exact_bcp"),
        "deterministic teacher's best student": best("distilled", "deterministic"),
    }
    rows = pd.concat([own.drop_duplicates("seed").assign(side=name) for name, own in sides.items()])
    pairs = {name: name.split(" − ") for name in TARGETS}
    found = {name: effect(rows, high, low, by="side") for name, (high, low) in pairs.items()}
    return {name: one for name, one in found.items() if one}


def promised(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the differences in points with their intervals, n, what was asked and whether the mean reaches it."""
    rows = [
        {"difference": name, "points": 100 * one.mean, "low": 100 * one.low, "high": 100 * one.high, "n": one.n,
         "asked": 100 * TARGETS[name], "met": "yes" if one.mean >= TARGETS[name] else "no"}
        for name, one in differences(frame).items()
    ]  # fmt: skip
    return pd.DataFrame(rows)
