"""C9: students of an MCMI teacher gain in every framework of distillation. (No torch.)

A study's frameworks are its entries whose label begins with `frameworks`. Students of both teachers are compared at one
training setting, in pairs of seeds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from kdlib.report.choice import CONTROL, TRAINING, chosen, texts
from kdlib.report.claims.claim import MCMI, Claim, Effects
from kdlib.report.inference import Effect, mean_interval

BASELINE, TREATED = "deterministic", "mcmi"
FAMILY = ("kd", "fitnet", "at", "pkt", "sp", "cc", "rkd", "vid", "crd", "dkd", "reviewkd", "hsakd")
ELSEWHERE = ("samples", "fewshot", "zeroshot", "tempered", "noise", "humans")
"""How the labels of students begin that other pages show."""


def compared(students: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the students that may be compared: one training setting each, a row a framework, teacher and seed.

    Students of the entries for this page and those that differ from them in framework or teacher alone, of the
    deterministic and the MCMI teacher and MCMI's control; where there are several for a framework and teacher, those of
    the setting with the highest mean validation accuracy.
    """
    if students.empty:
        return
    label = students["label"].astype(str)
    taught = students["teacher_label"].isin((BASELINE, TREATED, CONTROL))
    rows = students[taught & ~label.str.startswith(ELSEWHERE)]
    setting = texts(rows, TRAINING)
    own = rows["label"].astype(str).str.startswith("frameworks")
    own = own if own.any() else rows["framework"] != "kd"
    order = {name: k for k, name in enumerate(FAMILY)}
    for one in dict.fromkeys(setting[own]):
        part = chosen(rows[setting == one], by=("framework", "teacher_label"))
        yield part.assign(place=part["framework"].map(order)).sort_values(["place", "teacher_label", "seed"])


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return framework, seed and gain in test accuracy: MCMI's student minus the deterministic teacher's, by pairs."""
    wide = rows.pivot(index=["framework", "seed"], columns="teacher_label", values="test_accuracy")
    wide = wide.reindex(columns=[BASELINE, TREATED]).dropna()
    return (wide[TREATED] - wide[BASELINE]).rename("gain").reset_index()


def by_framework(rows: pd.DataFrame) -> dict[str, Effect]:
    """Return the mean gain in each framework over pairs of seeds."""
    return {str(name): mean_interval(part["gain"]) for name, part in gains(rows).groupby("framework", sort=False)}


def effects(frame: pd.DataFrame) -> Effects:
    """Return the effects, a member a framework, at the training setting that has the most pairs."""
    found = list(compared(frame[frame["run_type"] == "student"]))
    most = max(found, key=lambda rows: len(gains(rows)), default=None)
    return {**dict.fromkeys(FAMILY), **({} if most is None else by_framework(most))}


CLAIM = Claim(
    id="C9",
    text="The students of MCMI teachers gain in every distillation framework (up to +3.32 points).",
    source=MCMI,
    page="frameworks",
    short="MCMI's students gain in every framework",
    lead="MCMI's students against the deterministic teacher's, by framework",
    published="The paper reports up to +3.32 points.",
    measure="the student's test accuracy within one framework, MCMI against maximum likelihood",
    unit="accuracy",
    smallest=0.005,
    treated=FAMILY,
    effects=effects,
    advice=("**MCMI pays in every framework.**", "**Do not expect MCMI to pay in every framework.**"),
)
