"""The figures of the book; each takes a table and returns a matplotlib Figure. (No torch.)

Tables are the table of runs (a row a finished run) or histories (a row a step). Intervals are 95 % Student t
over seeds, and n is written wherever they are drawn. How things look is decided in `kdlib.report.plots.style`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kdlib.base.errors import InputError
from kdlib.measures.calibration import Binning, top
from kdlib.measures.calibration import reliability as binned
from kdlib.report.plots.style import above, axis_of, canvas, curve, dots, handle, legend, marks_of, name_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FLOOR, CEILING = "one_hot", "exact_bcp"


def training_curves(history: pd.DataFrame, by: str = "kind") -> Figure:
    """Draw training loss by step, validation NLL and validation accuracy by epoch, a line a group.

    Lines are means over seeds, bands their 95 % t intervals; the training loss is averaged over windows of a
    hundredth of the steps.

    Args:
        history: columns run, seed, step, epoch, train_loss, val_nll, val_accuracy and `by`; the val_ columns
            hold numbers in the rows that end an epoch and NaN elsewhere; one that is infinite is a gap.
        by: the column of groups.

    Raises:
        InputError: no rows.
    """
    _some(history)
    first, steps = history["step"].min(), int(np.ptp(history["step"])) + 1
    window = max(1, steps // 100)
    place = ((history["step"] - first) // window).clip(upper=steps // window - 1)
    smooth = history.assign(step=first + (place + 0.5) * window)
    marks = marks_of(history[by])
    figure, panels = canvas(8.6, 3)
    for axes, (table, x, y) in zip(
        panels,
        [(smooth, "step", "train_loss"), (history, "epoch", "val_nll"), (history, "epoch", "val_accuracy")],
        strict=True,
    ):
        label, factor = ("training loss (nats)", 1.0) if y == "train_loss" else axis_of(y)
        seen = []
        for group, rows in table.replace(np.inf, np.nan).dropna(subset=[y]).groupby(by, sort=False):
            wide = rows.pivot_table(index=x, columns="run", values=y).mul(factor)
            seen.append(wide.to_numpy()[len(wide) // 8 :])  # the start would set the scale
            curve(axes, wide.index.to_numpy(np.float64), wide.to_numpy(np.float64), marks[str(group)])
        if seen:
            inner = np.concatenate([values.ravel() for values in seen])
            low, high = np.nanmin(inner), np.nanmax(inner)
            pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
            axes.set_ylim(low - pad, high + pad)
        axes.set(xlabel=f"{x}s", title=label)
    counts = history.groupby(by)["run"].nunique()
    handles = [handle(mark, f"{name_of(k)} (n = {counts.get(k, 0)})") for k, mark in marks.items()]
    legend(figure, handles)
    return figure


def interval_dots(
    frame: pd.DataFrame,
    value: str,
    label: str = "teacher",
    group: str | None = None,
    axis: str | None = None,
) -> Figure:
    """Draw a row a label: every seed a faint dot, the mean with its 95 % t interval, and n.

    Args:
        frame: a table of runs, one row for each label, group and seed.
        value: the column to draw.
        label: the column whose values are rows, in order of appearance.
        group: a column whose values stand below each other within a row, if any.
        axis: the axis label with its unit; measures that `kdlib.report.plots.style` knows need none.

    Raises:
        InputError: no rows, two rows for one seed, or a value without a known unit.
    """
    text, factor = (axis, 1.0) if axis else axis_of(value)
    _some(frame)
    _one_a_seed(frame, [label] if group is None else [label, group])
    groups = [None] if group is None else list(dict.fromkeys(frame[group]))
    labels = list(dict.fromkeys(frame[label]))
    marks = marks_of(labels if group is None else groups)
    rows = []
    for position, row in enumerate(labels):
        for k, part in enumerate(groups):
            chosen = frame[(frame[label] == row) & (True if group is None else frame[group] == part)]
            height = position + (k - (len(groups) - 1) / 2) * 0.8 / len(groups)
            mark = marks[str(row if group is None else part)]
            rows.append((height, chosen[value].dropna().to_numpy(np.float64) * factor, mark))
    figure, (axes,) = canvas(1.0 + 0.5 * max(len(labels), 2) * max(1, 0.62 * len(groups)))
    dots(axes, rows, labels)
    axes.set_xlabel(text)
    if group is not None:
        legend(figure, [handle(marks[str(part)], f"{name_of(group)} {name_of(part)}") for part in groups])
    return figure


def paired_gains(
    frame: pd.DataFrame,
    value: str = "test_accuracy",
    baseline: str = "deterministic",
    by: str = "teacher",
    on: Sequence[str] = ("seed",),
    smallest: float | None = None,
    axis: str | None = None,
) -> Figure:
    """Draw each group's paired difference from the baseline: every pair, the mean, its 95 % interval and n.

    Args:
        frame: a table of runs, one row for each group and each value of `on`.
        value: the column to compare.
        baseline: the group that is subtracted; it is the line at zero.
        by: the column of groups.
        on: the columns that make a pair.
        smallest: the smallest effect of interest in the column's own unit, drawn as a shaded strip.
        axis: the axis label with its unit; measures that `kdlib.report.plots.style` knows need none.

    Raises:
        InputError: no rows, no baseline, or two rows for one pair.
    """
    text, factor = (axis, 1.0) if axis else axis_of(value)
    _some(frame)
    _one_a_seed(frame, [by], list(on))
    wide = frame.pivot(index=list(on), columns=by, values=value)
    if baseline not in wide:
        raise InputError(f"baseline = {baseline!r}; the column {by} has {', '.join(map(str, wide.columns))}.")
    labels = [group for group in dict.fromkeys(frame[by]) if group != baseline]
    marks = marks_of([baseline, *labels])
    rows = [
        (float(k), (wide[group] - wide[baseline]).dropna().to_numpy(np.float64) * factor, marks[str(group)])
        for k, group in enumerate(labels)
    ]
    figure, (axes,) = canvas(1.4 + 0.5 * max(len(labels), 2))
    if smallest is not None:
        axes.axvspan(-smallest * factor, smallest * factor, color="#e4e4e4", zorder=0.5)
        above(axes, 0, "below the smallest of interest")
    axes.axvline(0, color="#222222", linewidth=1.4)
    dots(axes, rows, labels)
    axes.set_xlabel(f"gain over {name_of(baseline)}:\n{text.replace('(%)', '(points)')}")
    return figure


def students_by_supervision(frame: pd.DataFrame, value: str = "test_accuracy", by: str = "teacher") -> Figure:
    """Draw students by what taught them, between the floor (one-hot labels) and the ceiling (exact BCPs).

    Args:
        frame: a table of runs, one row for each supervision and seed.
        value: the column to draw.
        by: the column of supervisions; `one_hot` comes first, `exact_bcp` last, the rest by their means.

    Raises:
        InputError: no rows, or two rows for one seed.
    """
    _some(frame)
    means = frame.groupby(by)[value].mean().sort_values()
    order = sorted(means.index, key=lambda end: (end == CEILING) - (end == FLOOR))  # stable: else by the mean
    figure = interval_dots(frame.set_index(by).loc[order].reset_index(), value, by)
    axes = figure.axes[0]
    for end, name in ((FLOOR, "floor"), (CEILING, "ceiling")):
        if end in means:
            x = float(means[end]) * axis_of(value)[1]
            axes.axvline(x, color=marks_of([end])[end].color, linestyle="--", linewidth=1.4, zorder=1)
            above(axes, x, name)
    return figure


def confusion(
    log_probs: ArrayLike, labels: ArrayLike, classes: Sequence[str] | None = None, omitted: Sequence[int] = ()
) -> Figure:
    """Draw the confusion matrix: of the images of each class, the share given to each class.

    Args:
        log_probs: `(n, classes)`.
        labels: `(n,)` integers.
        classes: names of the classes; numbers without them.
        omitted: classes that the student never saw; marked with an arrow.
    """
    import seaborn
    from matplotlib.colors import PowerNorm
    from sklearn.metrics import confusion_matrix

    guesses = np.asarray(log_probs).argmax(axis=1)
    size = np.shape(log_probs)[1]
    shares = 100 * confusion_matrix(np.asarray(labels), guesses, labels=range(size), normalize="true")
    names = [str(name) for name in (classes or range(size))]
    few = size <= 12
    figure, (axes,) = canvas(6.4)
    seaborn.heatmap(
        shares,
        ax=axes,
        cmap="Blues",
        norm=PowerNorm(0.5, 0, 100),  # a class confused once in a hundred times must show
        square=True,
        annot=np.vectorize(lambda x: f"{x:.0f}" if x >= 0.5 else "")(shares) if few else False,
        fmt="",
        rasterized=not few,
        annot_kws={"size": 11},
        linewidths=0.5 if few else 0,
        cbar_kws={"label": "share of the class's images (%)", "shrink": 0.8, "ticks": [0, 1, 5, 20, 50, 100]},
    )
    every = 1 if few else 10
    ticks = np.arange(0, size, every)
    row_names = [("→ " if k in omitted else "") + names[k] for k in ticks]
    axes.set_xticks(ticks + 0.5, [names[k] for k in ticks], rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(ticks + 0.5, row_names, rotation=0)
    axes.set(xlabel="class given", ylabel="class of the image" + (" (→ omitted)" if len(omitted) else ""))
    return figure


def reliability(
    log_probs: ArrayLike | Mapping[str, ArrayLike],
    labels: ArrayLike,
    bins: int = 15,
    binning: Binning = Binning.WIDTH,
) -> Figure:
    """Draw accuracy against confidence with 95 % intervals, and below it how confidences are distributed.

    The intervals are Clopper and Pearson's, over the images of a bin; a bin of fewer than ten images is hollow
    and off the line.

    Args:
        log_probs: `(n, classes)`, or several of them by label, on the same images.
        labels: `(n,)` integers.
        bins: how many bins.
        binning: bins of equal width or of equal mass.
    """
    from statsmodels.stats.proportion import proportion_confint

    answers = log_probs if isinstance(log_probs, Mapping) else {"deterministic": log_probs}
    marks = marks_of(answers)
    figure, (axes, below) = canvas(7.6, 2, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 100], [0, 100], color="#222222", linewidth=1.2)
    for label, values in answers.items():
        mark, (confidence, correct) = marks[label], top(values, labels)
        found = binned(confidence, correct, bins, binning)
        low, high = proportion_confint(np.round(found.accuracy * found.count), found.count, method="beta")
        x = 100 * found.confidence
        axes.vlines(x, 100 * low, 100 * high, color=mark.color, linewidth=1.2, alpha=0.6)
        sure = found.count >= 10
        axes.plot(x[sure], 100 * found.accuracy[sure], mark.marker, color=mark.color, linestyle=mark.line)
        axes.plot(x[~sure], 100 * found.accuracy[~sure], mark.marker, color=mark.color, mfc="white")
        shares, edges = np.histogram(100 * confidence, np.linspace(0, 100, 16))
        below.stairs(100 * shares / len(confidence), edges, color=mark.color, linestyle=mark.line, linewidth=2)
    axes.set(ylabel="accuracy (%)", ylim=(0, 101))
    below.set(xlabel="confidence (%)", ylabel="images (%)", xlim=(0, 101))
    if isinstance(log_probs, Mapping):
        legend(figure, [handle(mark, name_of(label)) for label, mark in marks.items()])
    return figure


def _some(frame: pd.DataFrame) -> None:
    """Raise where there is nothing to draw."""
    if frame.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")


def _one_a_seed(frame: pd.DataFrame, keys: list[str], on: Sequence[str] = ("seed",)) -> None:
    """Raise where n would count a seed twice."""
    columns = [*keys, *on] if set(on) <= set(frame.columns) else []
    if columns and frame.duplicated(columns).any():
        row = frame.loc[frame.duplicated(columns), columns].iloc[0].to_dict()
        raise InputError(f"{row} stands for several runs; choose one run a seed before drawing.")
