"""MCMI's published few-shot trials, the only raw record that either paper's repository holds. (No torch.)

Source: the log in the repository of Ye et al. (2024); CIFAR-100, resnet56 to resnet20, test accuracy in percent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from kdlib.report.theme import name_of
from kdlib.report.words import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Trial(NamedTuple):
    """Hold one row of the log."""

    percent: float
    framework: str
    plain: tuple[float, float]
    """Mean and standard deviation over trials with the maximum-likelihood teacher; 0 for one trial."""
    mcmi: tuple[float, float]
    gain: float
    trials: int


TRIALS = (
    Trial(0.5, "kd", (9.75, 0), (11.21, 0), 1.46, 1),
    Trial(1, "kd", (17.53, 0), (20.84, 0), 3.31, 1),
    Trial(5, "kd", (52.30, 0.25), (58.02, 0.43), 5.72, 5),
    Trial(10, "kd", (60.13, 0.46), (63.75, 0.17), 3.62, 5),
    Trial(25, "kd", (66.80, 0.21), (68.03, 0.19), 1.24, 5),
    Trial(50, "kd", (69.53, 0.09), (70.11, 0.24), 0.58, 5),
    Trial(75, "kd", (70.44, 0.14), (70.59, 0.24), 0.15, 5),
    Trial(0.5, "crd", (8.85, 0), (9.44, 0), 0.59, 1),
    Trial(1, "crd", (14.71, 0), (15.39, 0), 0.68, 1),
    Trial(5, "crd", (44.60, 0.63), (46.79, 0.29), 2.18, 5),
    Trial(10, "crd", (54.60, 0.29), (55.64, 0.18), 1.04, 5),
    Trial(25, "crd", (63.82, 0.26), (64.36, 0.51), 0.54, 3),
    Trial(50, "crd", (68.84, 0.13), (69.06, 0.33), 0.22, 5),
    Trial(75, "crd", (70.35, 0.10), (69.98, 0.65), -0.37, 3),
)
"""Gains as printed there."""


def table() -> pd.DataFrame:
    """Return the trials as text: accuracies in percent with their standard deviations, and gains in points."""

    def spread(mean: float, sd: float) -> str:
        return f"{mean:.2f} ± {sd:.2f}" if sd else f"{mean:.2f}"

    return pd.DataFrame(
        {
            "images": f"{one.percent:g} %",
            "framework": name_of(one.framework),
            "maximum likelihood": spread(*one.plain),
            "MCMI": spread(*one.mcmi),
            "gain": signed(one.gain, 2),
            "trials": one.trials,
        }
        for one in TRIALS
    )


def beside(axes: Axes, least: float) -> None:
    """Draw the published gains into a panel of gains in points against percent, from the percentage `least` on."""
    axes.margins(y=0.12)  # room for the names
    rows = pd.DataFrame(TRIALS)
    for name, one in rows[rows["percent"] >= least].groupby("framework", sort=False):
        axes.plot(one["percent"], one["gain"], "x--", color="#6b6b6b", linewidth=1.2)
        axes.annotate(f"published, {name_of(name)}", (one["percent"].iloc[0], one["gain"].iloc[0]), (14, 4),
                      textcoords="offset points", va="center", fontsize=12)  # fmt: skip
