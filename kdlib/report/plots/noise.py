"""The figure of what the noise of the data does to accuracy and to the distance from the BCPs. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdlib.measures.bcp_errors import PARTS
from kdlib.report.plots.bcp import FILLS, legend_of_parts
from kdlib.report.plots.style import axis_of, canvas, curve, handle, marks_of, name_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def noise_sweep(rows: pd.DataFrame) -> Figure:
    """Draw accuracy, divergence and its parts against the pixel noise; lines are means over seeds, bands t intervals.

    Args:
        rows: from `kdlib.report.noise.sweeps`: a row a run.
    """
    figure, panels = canvas(9.6, 3, sharex=True)
    who = list(dict.fromkeys(rows["who"]))
    marks = marks_of(name.split()[0] for name in who)
    for axes, measure in zip(panels[:2], ("test_accuracy", "test_kl_to_bcp"), strict=True):
        label, factor = axis_of(measure)
        for name in who:
            wide = rows[rows["who"] == name].pivot(index="noise", columns="seed", values=measure).mul(factor)
            curve(axes, wide.index.to_numpy(np.float64), wide.to_numpy(np.float64), marks[name.split()[0]])
        axes.set(title=label)
    bayes = rows.groupby("noise")["bayes_accuracy"].first()
    panels[0].plot(bayes.index, 100 * bayes, color="#222222", linewidth=1.2)
    panels[0].text(bayes.index[-2], 100 * bayes.iloc[-2] + 1, " Bayes classifier", va="bottom", fontsize=12)
    margin = 0.5 * float(np.diff(bayes.index).min())
    panels[0].set_xlim(float(bayes.index[0]) - margin, float(bayes.index[-1]) + margin)
    _stacked(panels[2], rows[rows["run_type"] == "teacher"].dropna(subset=[str(PARTS[0])]))
    panels[2].set(title="deterministic teacher: parts of its KL (nats)", xlabel="pixel noise, sd (range of brightness)")
    counts = rows.groupby("who")["seed"].nunique()
    handles = [handle(marks[name.split()[0]], f"{called(name)} (n = {counts[name]})") for name in who]
    legend_of_parts(figure, handles)
    return figure


def called(who: str) -> str:
    """Return what readers call a line, such as "exact BCP student"."""
    taught, _, role = who.partition(" ")
    return f"{name_of(taught)} {role}"


def _stacked(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the parts of a divergence as bars, one a noise."""
    means = rows.groupby("noise")[[str(part) for part in PARTS]].mean()
    steps: Sequence[float] = np.diff(means.index.to_numpy(np.float64)).tolist() or [0.1]
    bottom = np.zeros(len(means))
    for part in PARTS:
        color, hatch = FILLS[part]
        axes.bar(means.index, means[str(part)], 0.5 * min(steps), bottom, color=color, hatch=hatch, edgecolor="#333333")
        bottom = bottom + means[str(part)].to_numpy(np.float64)
