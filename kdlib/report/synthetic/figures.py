"""Figures of synthetic experiments: each takes a table of `kdlib.report.synthetic.report`, returns a matplotlib Figure.

Lines are means over seeds, bands their 95 % t intervals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import NullFormatter

from kdlib.report.claims.inference import mean_interval
from kdlib.report.plots.style import axis_of, canvas, curve, handle, legend, marks_of, name_of
from kdlib.report.synthetic.report import bound, expected_floor
from kdlib.teachers.kind import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "accuracy_lost": axis_of("accuracy_lost"),
    "nll_above": ("NLL above the Bayes classifier's (nats)", 1.0),
    "l2_to_bcp": axis_of("l2_to_bcp"),
    "ece": axis_of("ece"),
}


def _ordered(table: pd.DataFrame) -> dict[str, Mark]:
    """Return marks of the supervisions, the least noise first."""
    order = table.sort_values("noise_share", kind="stable")["supervision"].unique()
    return marks_of(order)


def _lines(axes: Axes, walked: pd.DataFrame, value: str, marks: dict[str, Mark], factor: float = 1.0) -> None:
    """Draw a measure over steps, a line a supervision; the start, before any step, is left out."""
    for name, mark in marks.items():
        rows = walked[(walked["supervision"] == name) & (walked["step"] > 0)]
        wide = rows.pivot(index="step", columns="seed", values=value).mul(factor)
        curve(axes, wide.index.to_numpy(np.float64), wide.to_numpy(np.float64), mark)


def _log_lines(axes: Axes, walked: pd.DataFrame, value: str, marks: dict[str, Mark]) -> None:
    """Draw a positive measure over steps on a logarithmic axis: geometric means, and the intervals of logarithms."""
    for name, mark in marks.items():
        rows = walked[(walked["supervision"] == name) & (walked["step"] > 0) & (walked[value] > 0)]
        wide = rows.assign(log=np.log(rows[value])).pivot(index="step", columns="seed", values="log")
        found = [mean_interval(row[np.isfinite(row)]) for row in wide.to_numpy(np.float64)]
        middle, low, high = (np.exp([getattr(effect, end) for effect in found]) for end in ("mean", "low", "high"))
        every = max(1, len(found) // 8)
        axes.plot(wide.index, middle, color=mark.color, linestyle=mark.line, marker=mark.marker, markevery=every)
        axes.fill_between(wide.index, low, high, color=mark.color, alpha=0.15, linewidth=0)
    axes.set_yscale("log")


def _legend(figure: Figure, walked: pd.DataFrame, marks: dict[str, Mark]) -> None:
    seeds = walked.groupby("supervision")["seed"].nunique()
    legend(figure, [handle(mark, f"{name_of(name)} (n = {seeds[name]})") for name, mark in marks.items()])


def quality(walked: pd.DataFrame) -> Figure:
    """Draw accuracy and NLL against Bayes, L2 distance to the BCP and ECE over steps, a line a supervision.

    Args:
        walked: `report.paths` of one run.
    """
    marks = _ordered(walked)
    figure, panels = canvas(10.6, len(PANELS), sharex=True)
    for axes, (value, (label, factor)) in zip(panels, PANELS.items(), strict=True):
        _lines(axes, walked, value, marks, factor)
        axes.set_title(label)
        late = walked[walked["step"] > walked["step"].max() / 4]  # the start would set the scale
        means = late.groupby(["supervision", "step"])[value].mean() * factor
        pad = 0.25 * (means.max() - means.min())
        axes.set_ylim(means.min() - pad, means.max() + pad)
    panels[-1].set_xlabel("steps")
    _legend(figure, walked, marks)
    return figure


def variance(walked: pd.DataFrame) -> Figure:
    """Draw the variance of the stochastic gradient over steps: all of it, and what the targets' noise adds.

    Args:
        walked: `report.paths` of one run.
    """
    marks = _ordered(walked)
    figure, panels = canvas(7.4, 2, sharex=True)
    titles = {
        "gradient_variance": "variance of the gradient",
        "label_variance": "of it: added by the targets' noise at the same weights",
    }
    for axes, (value, title) in zip(panels, titles.items(), strict=True):
        shown = {n: m for n, m in marks.items() if value == "gradient_variance" or n != "exact_bcp"}
        _log_lines(axes, walked, value, shown)
        axes.set(title=title)
    panels[-1].set_xlabel("steps")
    _legend(figure, walked, marks)
    return figure


def scaling(table: pd.DataFrame) -> Figure:
    """Draw added variance and accuracy against the noise share of the supervision, a line a learning rate.

    Args:
        table: `report.outcomes` of networks.
    """
    rates = sorted(table["learning_rate"].unique())
    marks = marks_of([f"{rate:g}" for rate in rates])
    figure, (above, below) = canvas(8.4, 2)
    for rate in rates:
        mark, rows = marks[f"{rate:g}"], table[table["learning_rate"] == rate]
        plain = rows[rows["supervision"] == "exact_bcp"].set_index("seed")["gradient_variance"]
        added = rows["gradient_variance"] - rows["seed"].map(plain)
        noisy = rows.assign(added=added)[rows["noise_share"] > 0]
        for axes, part, value, scale in ((above, noisy, "added", 1.0), (below, rows, "test_accuracy_lost", 100.0)):
            wide = part.pivot_table(index="noise_share", columns="seed", values=value).mul(scale)
            if len(wide):
                _errors(axes, wide, mark)
        if rate == rates[0]:
            added_means = noisy.groupby("noise_share")["added"].mean().to_dict()
    shares = np.array(sorted(share for share in table["noise_share"].unique() if share > 0))
    if len(shares):
        end = added_means[max(added_means)]
        above.plot(shares, end * shares / shares[-1], color="#222222", linewidth=1, linestyle=":", zorder=1)
        above.set(xscale="log", yscale="log", xticks=shares, xticklabels=[f"{s:.2g}" for s in shares])
        above.minorticks_off()
    above.set_title("variance that the noise adds along the path (dotted: in proportion)")
    below.set(
        title="test accuracy below the Bayes classifier's (points)",
        xlabel="noise share (0: exact BCPs, 1: one-hot labels)",
    )
    legend(figure, [handle(mark, f"learning rate {rate}") for rate, mark in marks.items()])
    return figure


def _errors(axes: Axes, wide: pd.DataFrame, mark: Mark) -> None:
    """Draw means over columns with their intervals."""
    found = [mean_interval(row[np.isfinite(row)]) for row in wide.to_numpy(np.float64)]
    middle = np.array([effect.mean for effect in found])
    half = np.nan_to_num(np.array([effect.high - effect.mean for effect in found]))
    x = wide.index.to_numpy(np.float64)
    axes.errorbar(x, middle, half, color=mark.color, marker=mark.marker, linestyle=mark.line, capsize=3)


def distances(walked: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Draw the squared distance to the optimum over steps, and below it the bound, a line a supervision.

    Args:
        walked: `report.paths` of one softmax regression.
        table: its `report.outcomes`.
    """
    marks = _ordered(walked)
    figure, panels = canvas(8.4, 2, sharex=True, sharey=True)
    _log_lines(panels[0], walked, "distance", marks)
    step = np.unique(walked["step"].to_numpy())
    for name, mark in marks.items():
        mean = table[table["supervision"] == name][["start", "learning_rate", "curvature", "noise"]].mean()
        panels[1].plot(step, bound(step, *mean.to_numpy()), color=mark.color, linestyle=mark.line)
    panels[0].set(title="squared distance to the optimum, measured", ylim=(1e-4, None))
    panels[1].set(title="its upper bound", xlabel="steps")
    _legend(figure, walked, marks)
    return figure


def floors(table: pd.DataFrame) -> Figure:
    """Draw the distance at which the iterates stay, measured and bounded, against what small steps lead to expect.

    Args:
        table: `report.outcomes` of softmax regressions.
    """
    noisy = table[table["noise_share"] > 0].assign(expected=expected_floor)
    noisy = noisy.assign(above=2 * noisy["learning_rate"] * noisy["noise"] / noisy["curvature"])
    marks = _ordered(noisy)
    figure, (axes,) = canvas(5.4)
    for name, mark in marks.items():
        rows = noisy[noisy["supervision"] == name]
        axes.plot(rows["expected"], rows["distance"], mark.marker, color=mark.color, alpha=0.6, mec="none")
        means = rows[rows["momentum"] == 0].groupby("expected")["above"].mean()
        axes.plot(means.index, means, mark.marker, color=mark.color, mfc="white")
    ends = np.array([noisy["expected"].min() / 1.5, noisy["expected"].max() * 1.5])
    axes.plot(ends, ends, color="#222222", linewidth=1.2)
    axes.set(xscale="log", yscale="log", xlabel="expected for small steps", ylabel="squared distance to the optimum")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("filled: measured, hollow: upper bound, line: as expected")
    handles = [handle(mark, name_of(name)) for name, mark in marks.items()]
    for entry in handles:
        entry.set_linestyle("none")
    legend(figure, handles)
    return figure
