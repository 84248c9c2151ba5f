"""MCMI's published few-shot trials, the only raw record that either paper's repository holds. (No torch.)

Source: the log in the repository of Ye et al. (2024); CIFAR-100, resnet56 to resnet20, test accuracy in percent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report.theme import name_of
from kdlib.report.words import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


TRIALS = pd.read_csv(Path(__file__).with_suffix(".csv"))
"""A row a share of the images and framework: test accuracy of `plain` students, of the maximum-likelihood teacher,
and of those of `mcmi`, means with standard deviations over trials (0 for one), the gain as printed there, and n."""


def table() -> pd.DataFrame:
    """Return the trials as text: accuracies in percent with their standard deviations, and gains in points."""

    def spread(who: str) -> pd.Series[str]:
        return TRIALS[who].map("{:.2f}".format) + TRIALS[f"{who}_sd"].map(lambda sd: f" ± {sd:.2f}" if sd else "")

    return pd.DataFrame(
        {
            "images": TRIALS["percent"].map("{:g} %".format),
            "framework": TRIALS["framework"].map(name_of),
            "maximum likelihood": spread("plain"),
            "MCMI": spread("mcmi"),
            "gain": TRIALS["gain"].map(lambda gain: signed(gain, 2)),
            "trials": TRIALS["trials"],
        }
    )


def beside(axes: Axes, least: float) -> None:
    """Draw the published gains into a panel of gains in points against percent, from the percentage `least` on."""
    axes.margins(y=0.12)  # room for the names
    for name, one in TRIALS[TRIALS["percent"] >= least].groupby("framework", sort=False):
        axes.plot(one["percent"], one["gain"], "x--", color="#6b6b6b", linewidth=1.2)
        axes.annotate(f"published, {name_of(name)}", (one["percent"].iloc[0], one["gain"].iloc[0]), (14, 4),
                      textcoords="offset points", va="center", fontsize=12)  # fmt: skip
