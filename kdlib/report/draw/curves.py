"""The figures of measures along a path, an epoch or a step at a time: a line a group. (No torch.)"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdlib.report.draw import looks, scaled, t95
from kdlib.report.theme import axis_of, canvas, legend, marks_of, seaborn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEEN = ("train_loss", "val_nll", "val_accuracy")
"""What a history holds of each epoch."""


def curves(
    rows: pd.DataFrame, x: str, values: Sequence[str], by: str = "teacher_label", label: str = "",
    logs: Collection[str] = (),
) -> Figure:  # fmt: skip
    """Draw a panel a measure along a path: means over seeds with 95 % t bands; the panel shows the last three quarters.

    Args:
        rows: one row a group, place and seed; what is not finite is a gap.
        x: the column of places, on a linear axis.
        values: measures, a panel each.
        by: the column of groups.
        label: of the axis.
        logs: those of the measures on a logarithmic axis, with geometric means; what is not above zero is a gap.
    """
    shown = scaled(rows.replace([np.inf, -np.inf], np.nan), values, [by, x]).astype({by: str})
    counts = shown.groupby(by, sort=False)["seed"].nunique()
    marks = marks_of(counts.index)
    figure, panels = canvas(2.3 * len(values) + 0.6, len(values), sharex=True)
    for axes, value in zip(panels, values, strict=True):
        known = shown[shown[value] > 0] if value in logs else shown.dropna(subset=value)
        middle, ends = (_geometric, _ends) if value in logs else (np.mean, t95)
        seaborn().lineplot(
            known, x=x, y=value, hue=by, style=by, estimator=middle, errorbar=ends, legend=False, ax=axes,
            markersize=7, markevery=max(1, shown[x].nunique() // 8), **looks(marks),
        )  # fmt: skip
        axes.set_title(axis_of(value)[0])
        axes.set_ylabel("")
        if value in logs:
            axes.set_yscale("log")
        else:
            _late(axes, known, x, value, by)
    panels[-1].set_xlabel(label or x)
    legend(figure, marks, counts.to_dict())
    return figure


def training(history: pd.DataFrame, by: str, values: Sequence[str] = SEEN) -> Figure:
    """Draw how networks were trained, an epoch at a time: a line a group, its runs are what intervals are over.

    Args:
        history: columns `run`, `epoch`, those of `values` and `by`; the loss of an epoch is the mean of its steps.
        by: the column of groups.
        values: of `SEEN`.
    """
    whole = history.replace([np.inf, -np.inf], np.nan).assign(epoch=np.ceil(history["epoch"]), seed=history["run"])
    rows = whole.groupby([by, "seed", "epoch"], sort=False)[list(values)].mean().reset_index()
    return curves(rows, "epoch", values, by, "epochs")


def _geometric(values: pd.Series[float]) -> float:
    return float(np.exp(np.log(values).mean()))


def _ends(values: pd.Series[float]) -> tuple[float, float]:
    """Return the ends of the interval of the logarithms."""
    low, high = t95(values.map(math.log))
    return math.exp(low), math.exp(high)


def _late(axes: Axes, rows: pd.DataFrame, x: str, value: str, by: str) -> None:
    """Let the last three quarters of the path set the scale, which its start would set otherwise."""
    late = rows[rows[x] >= rows[x].min() + (rows[x].max() - rows[x].min()) / 4]
    means = late.groupby([by, x])[value].mean()
    if len(means):
        pad = 0.2 * (means.max() - means.min()) or 0.05 * abs(means.max()) or 1.0
        axes.set_ylim(means.min() - pad, means.max() + pad)
