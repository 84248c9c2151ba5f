"""Whether a teacher's distance to the Bayes class probabilities goes with what its students gain. (No torch.)

Over teachers that were trained apart, within each seed: the rank correlation of the distance and the gain over the
one-hot student of the same seed. It says "goes with", not "explains": teachers differ in more than their distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from kdlib.report.choice import chosen, once
from kdlib.report.claims.students import ENDS, FLOOR, grid, with_ends
from kdlib.report.inference import Effect, mean_interval
from kdlib.report.words import signed

APART = ("deterministic", "variational", "inducing", "label_smoothing", "mse", "overtrained")
"""Labels of teachers that share no training: those derived from another are left out, and ensembles, whose first member
is the deterministic teacher of their seed."""
DISTANCE = "test_kl_to_bcp"
MEASURES = (DISTANCE, "train_kl_to_bcp")
"""The distance on test images, and on the training images, which students see."""
LEAST = 4
"""Teachers that make a rank correlation."""


@once
def gains(frame: pd.DataFrame, temperature: float | None = None) -> pd.DataFrame:
    """Return each distilled student's gain over the one-hot student of its seed that was trained alike.

    Columns teacher_label, seed, temperature and gain, a row a teacher and seed.

    Args:
        frame: a study's rows on one dataset, with students of one-hot labels.
        temperature: T = S; None for the one that each teacher's validation accuracy chooses.
    """
    students = frame[frame["run_type"] == "student"]
    rows = grid(students)
    if temperature is not None:
        rows = rows[(rows["temperature"] == temperature) & (rows["student_temperature"] == temperature)]
    picked = with_ends(chosen(rows), students)
    floor = picked[picked["teacher"] == FLOOR].set_index("seed")["test_accuracy"]
    rows = picked[~picked["teacher"].isin(ENDS)]
    rows = rows.assign(gain=rows["test_accuracy"] - rows["seed"].map(floor)).dropna(subset="gain")
    return rows[["teacher_label", "seed", "temperature", "gain"]]


def teachers_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a study's teachers, a row a label and seed."""
    return frame[frame["run_type"] == "teacher"].drop_duplicates(["teacher_label", "seed"])


def teachers_and_gains(frame: pd.DataFrame, temperature: float | None = None, tempered: bool = False) -> pd.DataFrame:
    """Return a row a teacher and seed: its distances and its students' gain; no rows where no distance is known.

    Args:
        frame: a study's rows on one dataset.
        temperature: T = S of the students; None for the one chosen for each teacher.
        tempered: whether distances are those of the answers at its students' T (of a stochastic teacher the average of
            its samples, of which students saw one a step), or as trained.
    """
    both = gains(frame, temperature).merge(teachers_of(frame), on=["teacher_label", "seed"], suffixes=("", "_teacher"))
    for measure in MEASURES if tempered else ():
        both[measure] = [row.get(f"{measure}_t{row['temperature']:g}", math.nan) for _, row in both.iterrows()]
    columns = ["teacher_label", "seed", "temperature", "gain", *MEASURES]
    return both.reindex(columns=columns).dropna(subset=DISTANCE)


def rank_correlation(a: pd.Series[float], b: pd.Series[float]) -> float:
    """Return Spearman's rank correlation; NaN where all values of a side are equal, which have no order."""
    return float(a.rank().corr(b.rank())) if a.nunique() > 1 and b.nunique() > 1 else math.nan


def within_seeds(rows: pd.DataFrame, measure: str = DISTANCE, labels: Sequence[str] = APART) -> Effect | None:
    """Return ρ of a distance and the gain within each seed, its mean over seeds; None with fewer than four teachers.

    Args:
        rows: a row a teacher and seed.
        measure: the distance.
        labels: the teachers that count.
    """
    own = rows[rows["teacher_label"].isin(labels)].dropna(subset=measure)
    each = [rank_correlation(one[measure], one["gain"]) for _, one in own.groupby("seed") if len(one) >= LEAST]
    known = [value for value in each if math.isfinite(value)]
    return mean_interval(known) if known else None


def correlations(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ρ of distance and gain within seeds, at T = S = 1 and at the chosen T, on test and on training images.

    Columns temperature, images, `trained apart` and `all teachers`; a dash where there are fewer than four.

    Args:
        frame: a study's rows on one dataset.
    """
    rows = []
    for temperature, where in ((1.0, "T = S = 1"), (None, "chosen for each")):
        both = teachers_and_gains(frame, temperature, tempered=True)
        for measure, images in zip(MEASURES, ("test", "training"), strict=True):
            own = {"trained apart": APART, "all teachers": tuple(set(both["teacher_label"]))}
            found = {name: within_seeds(both, measure, labels) for name, labels in own.items()}
            rows.append({"temperature": where, "images": images,
                         **{name: rho(one) if one else "–" for name, one in found.items()}})  # fmt: skip
    return pd.DataFrame(rows)


def rho(effect: Effect) -> str:
    """Write a rank correlation over seeds."""
    half = "" if math.isnan(effect.high) else f" ± {(effect.high - effect.low) / 2:.2f}"
    return f"ρ = {signed(effect.mean, 2)}{half} (n = {effect.n})"
