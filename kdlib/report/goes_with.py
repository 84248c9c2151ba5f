"""Whether a teacher's distance to the Bayes class probabilities goes with what its students gain. (No torch.)

Over teachers that were trained apart, within each seed: the rank correlation of the distance and the gain over the
one-hot student of the same seed. It says "goes with", not "explains": teachers differ in more than their distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kdlib.report.claims import Effect, mean_interval
from kdlib.report.claims.choice import chosen

APART = (
    "deterministic",
    "variational",
    "inducing",
    "label_smoothing",
    "mse",
    "ensemble",
    "ensemble_of_2",
    "overtrained",
)
"""Labels of teachers that share no training: those derived from another are left out."""
MEASURES = ["test_kl_to_bcp", "train_kl_to_bcp"]
LEAST = 4
"""Teachers that make a rank correlation."""


@dataclass(frozen=True)
class Correlation:
    """Hold how a distance goes with the gain: below zero, nearer teachers have better students."""

    measure: str
    """The distance: on test images, or on the training images, which students see."""
    within: Effect
    """Spearman's ρ within each seed: its mean over seeds with a t interval."""
    over_all: float
    """ρ over the teachers' means."""
    teachers: int


def gains(students: pd.DataFrame, temperature: float | None) -> pd.DataFrame:
    """Return each distilled student's gain over the one-hot student of its seed, with teacher, seed and temperature.

    Args:
        students: of one study, dataset and way of training, with those of one-hot labels.
        temperature: T = S; None for the one that each teacher's validation accuracy chooses.
    """
    plain = students[(students["framework"] == "kd") & (students["samples"] == 1)]
    rows = plain[plain["label"].astype(str).str.startswith("distilled")]
    rows = chosen(rows) if temperature is None else rows[rows["temperature"] == temperature]
    floor = plain[plain["teacher"] == "one_hot"].drop_duplicates("seed").set_index("seed")["test_accuracy"]
    return rows.assign(gain=rows["test_accuracy"] - rows["seed"].map(floor)).dropna(subset="gain")[
        ["teacher_label", "seed", "temperature", "gain"]
    ]


def paired(
    teachers: pd.DataFrame, students: pd.DataFrame, temperature: float | None, labels: Sequence[str] = APART
) -> pd.DataFrame:
    """Return a row a teacher and seed: its gain, and the distance of its answers at that temperature.

    `test_kl_to_bcp` and `train_kl_to_bcp` are `<part>_kl_to_bcp_t<T>`, nats; a teacher without is left out.
    """
    rows = gains(students, temperature)
    own = teachers[teachers["teacher_label"].isin(labels)].drop_duplicates(["teacher_label", "seed"])
    both = rows.merge(own, on=["teacher_label", "seed"], suffixes=("", "_teacher"))
    for part in ("test", "train"):
        names = [f"{part}_kl_to_bcp_t{t:g}" for t in both["temperature"]]
        both[f"{part}_kl_to_bcp"] = [
            row.get(name, math.nan) for name, (_, row) in zip(names, both.iterrows(), strict=True)
        ]
    return both[["teacher_label", "seed", "temperature", "gain", *MEASURES]].dropna(subset=MEASURES[:1])


def rank_correlation(a: pd.Series[float], b: pd.Series[float]) -> float:
    """Return Spearman's rank correlation; NaN where all values of a side are equal, which have no order."""
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic) if a.nunique() > 1 and b.nunique() > 1 else math.nan


def correlations(rows: pd.DataFrame) -> list[Correlation]:
    """Return how the distance on test and on training images goes with the gain; none with fewer than four teachers.

    Args:
        rows: from `paired`.
    """
    out = []
    for measure in MEASURES:
        have = rows.dropna(subset=measure)
        seeds = [one for _, one in have.groupby("seed") if len(one) >= LEAST]
        within = [value for one in seeds if math.isfinite(value := rank_correlation(one[measure], one["gain"]))]
        means = have.groupby("teacher_label")[[measure, "gain"]].mean()
        if within and len(means) >= LEAST:
            over_all = rank_correlation(means[measure], means["gain"])
            out.append(Correlation(measure, mean_interval(np.array(within)), over_all, len(means)))
    return out


def sentence(rows: pd.DataFrame, where: str) -> str:
    """Say how the distance goes with the gain at a temperature; nothing where too few teachers are there.

    Args:
        rows: from `paired`.
        where: the temperature, in words.
    """
    said = []
    for one in correlations(rows):
        images = "test" if one.measure.startswith("test") else "training"
        half = (one.within.high - one.within.low) / 2
        spread = f" ± {half:.2f}" if math.isfinite(half) else ""
        over_all = f"{one.over_all:+.2f}" if math.isfinite(one.over_all) else "none, as all are equal,"
        said.append(
            f"on {images} images ρ = {one.within.mean:+.2f}{spread} within seeds (n = {one.within.n}), "
            f"{over_all} over the means of {one.teachers} teachers"
        )
    return f"At {where}, distance goes with gain: {'; '.join(said)}.".replace("-", "−") if said else ""
