"""C12: a class that a student never saw is known to it through an MCMI teacher. (No torch.)

A study's zero-shot students are those with `omit_classes`; the claim is about students without one class.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from kdlib.report.choice import FREE, TRAINING, chosen, texts
from kdlib.report.claims.claim import MCMI, Claim, Effects, first
from kdlib.report.inference import Effect, mean_interval
from kdlib.report.words import differences

BASELINE, TREATED, FLOOR = "deterministic", "mcmi", "one_hot"
OMITTED, KEPT = "test_omitted_accuracy", "test_kept_accuracy"
STRICT = "val_kept_accuracy"
"""The validation measure that does not look at the omitted classes."""


def compared(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the students that may be compared: one way of training each, with the numbers of `omitted` classes.

    Students that omit none and were taught by the same teachers at the same temperatures stand beside them; accuracy on
    the kept classes is theirs on all.
    """
    if not {"omit_classes", OMITTED} <= set(frame):
        return
    rows = frame[(frame["run_type"] == "student") & (frame["framework"] == "kd")]
    spec = rows["omit_classes"].fillna("").astype(str)
    omitted = spec.map(lambda text: len({part for part in text.split("+") if part}))
    rows = rows.assign(
        omit_classes=spec, omitted=omitted, **{KEPT: rows[KEPT].where(omitted > 0, rows["test_accuracy"])}
    )
    training = texts(rows, [name for name in TRAINING if name != "omit_classes"])
    for one in dict.fromkeys(training[rows["omitted"] > 0]):
        part = rows[training == one]
        taught = texts(part, ("teacher_label", *FREE))
        part = part[taught.isin(taught[part["omitted"] > 0])]
        yield part.drop_duplicates(["teacher_label", *FREE, "omit_classes", "seed"])


def without_one(rows: pd.DataFrame, value: str = "val_accuracy") -> pd.DataFrame:
    """Return the students without one class at the setting chosen for each teacher, and those of labels alone.

    Args:
        rows: from `compared`.
        value: the validation measure that chooses: `val_accuracy`, on all classes, or `STRICT`.
    """
    return chosen(rows[rows["omitted"] == 1], value=value)


def difference(rows: pd.DataFrame, treated: str = TREATED, value: str = "val_accuracy") -> Effect | None:
    """Return a teacher's accuracy on the one omitted class minus the deterministic one's, paired; None without pairs.

    Which class it is may differ from seed to seed. Where a seed omits one class and another in turn, it counts once, by
    its mean over the classes that both have.
    """
    wide = without_one(rows, value).pivot(index=["seed", "omit_classes"], columns="teacher_label", values=OMITTED)
    wide = wide.reindex(columns=[treated, BASELINE]).dropna()
    gains = (wide[treated] - wide[BASELINE]).groupby("seed").mean()
    return mean_interval(gains.to_numpy()) if len(gains) else None


def effects(frame: pd.DataFrame, value: str = "val_accuracy") -> Effects:
    """Return the effect of the first way of training that has pairs, at the temperatures that `value` chooses."""
    found = (difference(rows, value=value) for rows in compared(frame)) if value in frame else ()
    return {TREATED: first(found)}


def note(frame: pd.DataFrame, dataset: str) -> str:
    """Set the effect beside at a T that was chosen without a look at the omitted class."""
    said = differences({"": effects(frame, STRICT)[TREATED]}, "accuracy")
    return f"With T chosen on validation images of the kept classes alone:{said}." if said else ""


CLAIM = Claim(
    id="C12",
    text="In zero-shot distillation an omitted class goes from 0 % to as high as 84 % with an MCMI teacher.",
    source=MCMI,
    page="zeroshot",
    short="MCMI's students know an omitted class",
    lead="Accuracy on the class never seen, MCMI's students against the deterministic teacher's",
    published="The paper reports 0 % to as high as 84 %.",
    measure="the student's test accuracy on the omitted class, one class omitted, at the temperature chosen",
    unit="accuracy",
    smallest=0.05,
    treated=("mcmi",),
    effects=effects,
    note=note,
    advice=(
        "**For a class without images, take an MCMI teacher.**",
        "**For a class without images, MCMI does not help by itself.**",
    ),
)
