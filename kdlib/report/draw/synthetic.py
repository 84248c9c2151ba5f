"""The figures of synthetic experiments, as the page and the run notebook show them. (No torch.)

Each takes tables of `kdlib.report.claims.synthetic`; supervisions stand in the order of their noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report.claims.synthetic import bound
from kdlib.report.draw import lines
from kdlib.report.draw.curves import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUALITY = ("accuracy_lost", "nll_above", "l2_to_bcp", "ece")
VARIANCE = ("gradient_variance", "label_variance")
DISTANCE = ("distance", "distance_bound")
OUTCOMES = (
    "gradient_variance",
    "test_accuracy",
    "test_accuracy_lost",
    "test_nll",
    "test_l2_to_bcp",
    "test_ece",
    "distance",
)
"""What a table of outcomes shows."""


def path(walked: pd.DataFrame, values: tuple[str, ...]) -> Figure:
    """Draw measures along the paths of one run, a line a supervision: `QUALITY`, variances and distances on logarithms.

    Args:
        walked: `paths` of one run, or `bounded`; the start, before any step, is left out.
        values: measures, a panel each; those that were not measured have none.
    """
    rows = walked[walked["step"] > 0].sort_values("noise_share", kind="stable")
    known = [name for name in values if name in rows and rows[name].notna().any()]
    return curves(rows, "step", known, "supervision", "steps", {*VARIANCE, *DISTANCE})


def thinned(walked: pd.DataFrame, most: int = 15) -> pd.DataFrame:
    """Return paths at every k-th of their steps from the last back, without the start: some `most` places."""
    steps = sorted(set(walked.loc[walked["step"] > 0, "step"]))
    return walked[walked["step"].isin(steps[:: -max(1, len(steps) // most)])]


def bounded(walked: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Add `distance_bound`, the upper bound of the distance to the optimum, where it holds: no momentum, γ ≤ 1/2L.

    Args:
        walked: `paths` of softmax regressions.
        table: their `outcomes`.
    """
    needed = ["start", "noise", "smoothness", "momentum", "curvature"]
    rows = walked.drop(columns="curvature").merge(table[["run", "supervision", "seed", *needed]])
    above = bound(*(rows[name].to_numpy() for name in ("step", "start", "learning_rate", "curvature", "noise")))
    holds = (rows["momentum"] == 0) & (rows["curvature"] > 0) & (2 * rows["smoothness"] * rows["learning_rate"] <= 1)
    return rows.assign(distance_bound=pd.Series(above, rows.index).where(holds))


def distances(walked: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Draw the squared distance to the optimum along the paths, and its bound; below 1e-4 nothing is shown."""
    figure = path(bounded(walked, table), DISTANCE)
    for axes in figure.axes:
        axes.set_ylim(1e-4, None)
    return figure


def scaling(table: pd.DataFrame) -> Figure:
    """Draw variance and lost accuracy against the noise share, a line a learning rate: straight is in proportion.

    Args:
        table: `outcomes` of one experiment.
    """
    rates = [f"rate {rate:g}" for rate in table["learning_rate"]]
    rows = table.assign(rate=rates).sort_values(["learning_rate", "noise_share"], kind="stable")
    label = "noise share (0: exact BCPs, 1: one-hot labels)"
    figure = lines(rows, "noise_share", ["gradient_variance", "test_accuracy_lost"], "rate", label, base=0)
    figure.axes[-1].set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    return figure
