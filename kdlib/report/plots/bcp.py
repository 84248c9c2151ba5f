"""Figures of how far teachers are from the Bayes class probabilities (BCPs), and where they err. (No torch.)

Seeds are dots and make Student t intervals, n beside them; images of one network make Clopper-Pearson intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kdlib.base.errors import InputError
from kdlib.measures.bcp_errors import PARTS, Part
from kdlib.measures.calibration import reliability, top
from kdlib.report.claims.inference import mean_interval
from kdlib.report.plots.style import WIDTH, above, canvas, dots, handle, legend, marks_of, name_of, style, wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

TREATMENTS = {"as trained": "test_kl_to_bcp", "at its best temperature": "test_kl_to_bcp_tempered"}
"""The two distances of a teacher, by what is done to it first."""

FILLS: dict[Part, tuple[str, str]] = {
    Part.WRONG: ("#16305f", ""),
    Part.OVER: ("#e58b3d", "//"),
    Part.UNDER: ("#9fd3f0", "\\\\"),
    Part.OTHERS: ("#ececec", ".."),
}


def grid(height: float, count: int, columns: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of the book's width with `count` panels that share both axes."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style()
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    rows = -(-count // columns)
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel())
    for extra in panels[count:]:
        extra.set_visible(False)
    for k, axes in enumerate(panels[:count]):  # the last panel of a column says what its x axis is
        axes.tick_params(labelbottom=k + columns >= count)
    return figure, panels[:count]


def divergences(frame: pd.DataFrame, baseline: str | None = None, smallest: float | None = None) -> Figure:
    """Draw KL(BCP ‖ teacher) of every teacher, as trained and at its best temperature; or differences from a baseline.

    Args:
        frame: a table of runs with `group`, `seed` and the columns of `TREATMENTS`, one row a group and seed.
        baseline: the group that is subtracted, pair by pair, each side treated alike; None draws the distances.
        smallest: the smallest difference of interest in nats, drawn as a shaded strip.

    Raises:
        InputError: no rows, or no such baseline.
    """
    if frame.empty or (baseline is not None and baseline not in set(frame["group"])):
        raise InputError(f"baseline = {baseline!r} is refused: the table has {sorted(set(frame['group']))}.")
    treatments = {name: column for name, column in TREATMENTS.items() if column in frame}
    marks = marks_of(treatments)
    groups = [group for group in dict.fromkeys(frame["group"]) if group != baseline]
    rows = []
    for j, (name, column) in enumerate(treatments.items()):
        wide = frame.pivot(index="seed", columns="group", values=column)
        for k, group in enumerate(groups):
            values = wide[group] if baseline is None else wide[group] - wide[baseline]
            height = k + (j - (len(treatments) - 1) / 2) * 0.4
            rows.append((height, values.dropna().to_numpy(np.float64), marks[name]))
    figure, (axes,) = canvas(1.9 + 0.62 * max(len(groups), 2))
    if baseline is not None and smallest is not None:
        axes.axvspan(-smallest, smallest, color="#e4e4e4", zorder=0.5)
        above(axes, 0, "below the smallest of interest")
    if baseline is not None:
        axes.axvline(0, color="#222222", linewidth=1.4)
    dots(axes, rows, groups)
    if baseline is None:
        axes.set_xlabel("test KL(BCP ‖ teacher) (nats)")
    else:
        axes.set_xlabel(f"difference from {name_of(baseline)}:\ntest KL(BCP ‖ teacher) (nats)")
    legend(figure, [handle(mark, name) for name, mark in marks.items()])
    return figure


def reliability_grid(log_probs: Mapping[str, ArrayLike], labels: ArrayLike, bins: int = 10) -> Figure:
    """Draw a reliability diagram a teacher: accuracy against confidence in bins of equal width.

    A bar at a dot is the 95 % Clopper-Pearson interval over the bin's images; bins of fewer than ten are left out.

    Args:
        log_probs: `(n, classes)` by label, of one network each.
        labels: `(n,)` integers.
        bins: how many bins.
    """
    from statsmodels.stats.proportion import proportion_confint

    marks = marks_of(log_probs)
    figure, panels = grid(0.9 + 2.1 * -(-len(log_probs) // 3), len(log_probs), 3)
    for axes, (label, values) in zip(panels, log_probs.items(), strict=True):
        found = reliability(*top(values, labels), bins)
        held = found.count >= 10
        x, accuracy = 100 * found.confidence[held], found.accuracy[held]
        count = found.count[held]
        low, high = proportion_confint(np.round(accuracy * count), count, method="beta")
        axes.plot([0, 100], [0, 100], color="#222222", linewidth=1)
        axes.vlines(x, 100 * low, 100 * high, color=marks[label].color, linewidth=2)
        axes.plot(x, 100 * accuracy, marks[label].marker, color=marks[label].color, linestyle="-", markersize=5.5)
        axes.set_title(wrapped(label), fontsize=12)
        axes.set(xlim=(0, 102), ylim=(0, 102), xticks=[0, 50, 100], yticks=[0, 50, 100])
    figure.supxlabel("confidence (%)", fontsize=13)
    figure.supylabel("accuracy (%)", fontsize=13)
    return figure


def by_class(table: pd.DataFrame) -> Figure:
    """Draw the mean KL(BCP ‖ teacher) of every teacher on the images of every class, means over seeds.

    Args:
        table: columns group, class, kl; a row a run and a class.
    """
    import seaborn

    order = list(dict.fromkeys(table["group"])), list(dict.fromkeys(table["class"]))
    means = table.pivot_table(index="group", columns="class", values="kl").loc[order[0], order[1]]
    figure, (axes,) = canvas(1.4 + 0.55 * max(len(means), 2))
    seaborn.heatmap(
        means,
        ax=axes,
        cmap="Greys",
        vmin=0,
        vmax=1.6 * float(means.max().max()),
        annot=True,
        fmt=".2f",
        annot_kws={"size": 11},
        linewidths=0.5,
        cbar=False,
    )
    axes.set_yticklabels([wrapped(group) for group in means.index], rotation=0)
    long = max(len(str(name)) for name in order[1]) > 2
    axes.set_xticklabels([str(name) for name in order[1]], rotation=90 if long else 0)
    axes.set(xlabel="class that the BCPs find most probable", ylabel="", title="KL(BCP ‖ teacher) (nats)")
    return figure


def parts(table: pd.DataFrame) -> Figure:
    """Draw what each teacher's divergence is made of: mean parts over seeds, stacked to the whole, its t interval.

    Args:
        table: columns group, seed and those of `bcp_errors.Part`, in nats; a row a run.
    """
    names = [str(part) for part in PARTS]
    groups = list(dict.fromkeys(table["group"]))
    figure, (axes,) = canvas(1.9 + 0.5 * max(len(groups), 2))
    for y, group in enumerate(groups):
        rows = table.loc[table["group"] == group, names].to_numpy(np.float64)
        ends = np.concatenate([[0], rows.mean(axis=0).cumsum()])
        for k, part in enumerate(PARTS):
            color, hatch = FILLS[part]
            axes.barh(
                y, ends[k + 1] - ends[k], 0.62, ends[k], color=color, hatch=hatch, edgecolor="#333333", linewidth=0.7
            )
        whole = mean_interval(rows.sum(axis=1))
        if whole.n > 1:
            half = [[whole.mean - whole.low], [whole.high - whole.mean]]
            axes.errorbar(whole.mean, y, xerr=half, color="black", capsize=4, elinewidth=1.8)
        axes.text(1.015, y, f"n = {whole.n}", transform=axes.get_yaxis_transform(), va="center", fontsize=12)
    axes.set_yticks(range(len(groups)), [wrapped(group) for group in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("KL(BCP ‖ teacher) (nats)")
    legend_of_parts(figure)
    return figure


def legend_of_parts(figure: Figure, more: Sequence[Line2D] = ()) -> None:
    """Put the parts of a divergence, after other entries, below the panels."""
    from matplotlib.patches import Patch

    fills = [(part, *FILLS[part]) for part in PARTS]
    entries = [Patch(facecolor=color, hatch=hatch, edgecolor="#333333", label=part) for part, color, hatch in fills]
    figure.legend(handles=[*more, *entries], loc="outside lower center", ncols=2)
