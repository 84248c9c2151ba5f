"""The conditional mutual information (CMI) of teachers and their students' accuracy, by temperature. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.claims import c13
from kdlib.report.claims.students import compared

LABELS = ("deterministic", "fine_tuned", "mcmi", "overtrained")
"""Teachers of one network each: the CMI of several is no function of one temperature."""
SHARPER = ("deterministic", "fine_tuned", "mcmi", "temperature_scaled", "temperature_scaled_mcmi")
"""The deterministic teacher and those made of it that may say more of an image."""
LEAST = 2
"""Temperatures that make a sweep of students; the CMI of their teachers is known at many."""


def swept(students: pd.DataFrame) -> pd.DataFrame:
    """Return the students of a sweep of the teacher's temperature, a row a teacher, temperature and seed; maybe none.

    They were trained alike, at one weight of the teacher's term and either one temperature S of their own or S = T.

    Args:
        students: of a study; those trained alike with teachers at `LEAST` temperatures or more, the first such.
    """
    for rows in compared(students[students["teacher_label"].isin(LABELS)]):
        for _, one in rows.groupby("kd_weight", sort=False):
            fixed = [part for _, part in one.groupby("student_temperature")]
            for part in (one[one["temperature"] == one["student_temperature"]], *fixed):
                found = part[part.groupby("teacher_label")["temperature"].transform("nunique") >= LEAST]
                if len(found):
                    return found.drop_duplicates(["teacher_label", "temperature", "seed"]).sort_values("temperature")
    return students.iloc[:0]


def side_by_side(frame: pd.DataFrame, students: pd.DataFrame) -> pd.DataFrame:
    """Return `teacher_cmi` and `student_accuracy`, on test images: a row a teacher, temperature and seed.

    Either is missing where it was not measured: the CMI is known at every temperature, students at few.

    Args:
        frame: a study's rows.
        students: the sweep among them.
    """
    keys = ["teacher_label", "temperature", "seed"]
    cmi = c13.of_labels(frame, LABELS).rename(columns={"test_cmi": "teacher_cmi"})
    own = students[[*keys, "test_accuracy"]].rename(columns={"test_accuracy": "student_accuracy"})
    return cmi[[*keys, "teacher_cmi"]].merge(own, on=keys, how="outer").sort_values(keys, ignore_index=True)


def warmest(students: pd.DataFrame, label: str) -> float:
    """Return the temperature at which a teacher's students have the highest mean validation accuracy."""
    rows = students[students["teacher_label"] == label]
    return float(str(rows.groupby("temperature")["val_accuracy"].mean().round(9).idxmax()))
