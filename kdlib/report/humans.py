"""Which runs the page on people's answers to CIFAR-10's test images (CIFAR-10H) shows. (No torch.)

The shares of people's answers stand where other pages have the Bayes class probabilities; the page makes no claim.
"""

from __future__ import annotations

import pandas as pd

from kdlib.report.choice import TRAINING, chosen, effect, ranked, texts
from kdlib.report.inference import Effect
from kdlib.report.sections import named
from kdlib.report.words import differences

PHOTOS, ASKED = "cifar10", "cifar10h"
DISTANCE = "test_kl_to_bcp"
FLOOR, ANSWERS, PEOPLE = "one_hot", "exact_bcp", "people"


def worded(text: str, who: str = "teacher") -> str:
    """Write people where the name of a measure has the class probabilities for which they stand here."""
    return text.replace("BCP ‖ network", f"people ‖ {who}").replace("the BCP", "people")


def teachers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the teachers whose distance to people is known, the nearest `group` first; maybe no rows.

    Args:
        frame: a study's rows.
    """
    own = frame[(frame["run_type"] == "teacher") & (frame["dataset"] == PHOTOS)]
    known = own.reindex(columns=[*own, *({DISTANCE} - {*own})]).dropna(subset=DISTANCE)
    return ranked(named(known), DISTANCE, "group")


def students(frame: pd.DataFrame) -> pd.DataFrame:
    """Return students of CIFAR-10H that were trained alike, a row a supervision and seed: labels, teachers, `people`.

    Those of the way of training that has most supervisions, each at the setting that validation images chose.

    Args:
        frame: a study's rows.
    """
    own = frame[(frame["run_type"] == "student") & (frame["dataset"] == ASKED)]
    own = own[own["framework"] == "kd"] if len(own) else own
    alike = [rows for _, rows in own.groupby(texts(own, TRAINING), sort=False)]
    rows = chosen(max(alike, key=lambda one: one["teacher_label"].nunique(), default=own))
    rows = rows.drop_duplicates(["teacher_label", "seed"]).replace({"teacher_label": {ANSWERS: PEOPLE}})
    place = rows["teacher_label"].map({FLOOR: -1, PEOPLE: 1}).fillna(0)
    return rows.assign(place=place).sort_values(["place", "teacher_label", "seed"], kind="stable", ignore_index=True)


def gains(rows: pd.DataFrame) -> dict[str, Effect]:
    """Return what students of people gain in test accuracy over those of each other supervision, paired over seeds.

    Args:
        rows: of `students`.
    """
    others = [str(one) for one in rows["teacher_label"].unique() if one != PEOPLE]
    found = {one: effect(rows, PEOPLE, one) for one in others}
    return {one: value for one, value in found.items() if value is not None}


def said(rows: pd.DataFrame) -> list[str]:
    """Say what people's answers give students in test accuracy over other supervisions; nothing without such pairs.

    Args:
        rows: of `students`.
    """
    found = differences(gains(rows), "accuracy")
    return [f"Test accuracy of students that learn from people's answers, over those of: {found}."] if found else []
