"""A figure of what students gain against how far their teachers lie from the truth. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdlib.base.errors import InputError
from kdlib.report.claims.inference import Effect, mean_interval
from kdlib.report.plots.style import axis_of, canvas, handle, legend, marks_of, name_of
from kdlib.teachers.kind import Mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def against(frame: pd.DataFrame, columns: tuple[str, ...], by: str = "teacher_label") -> Figure:
    """Draw a panel a column: the mean gain (points) against the mean of the column, a mark a group, 95 % t intervals.

    Args:
        frame: one row a teacher and seed, with `columns`, `gain` (a share of images) and `by`.

    Raises:
        InputError: no rows.
    """
    pairs = [(column, axis_of(column)[1], "gain", 100.0) for column in columns]
    figure, panels = crossed(frame, pairs, by, 3.4 * len(columns) + 1.2)
    for axes, column in zip(panels, columns, strict=True):
        axes.set(xlabel=axis_of(column)[0], ylabel="gain over one-hot students (points)")
    return figure


def crossed(
    frame: pd.DataFrame, pairs: Sequence[tuple[str, float, str, float]], by: str, height: float, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """Draw a panel for each pair of columns: a mark a group at both means over seeds, bars 95 % t intervals both ways.

    Args:
        frame: one row a group and seed.
        pairs: the column across, the factor that brings it to the axis's unit, the column along and its factor.
        by: the column of groups.
        height: of the figure, in inches.
        sharex: whether the panels share the axis across.

    Raises:
        InputError: no rows.
    """
    if frame.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    counts = frame[by].value_counts(sort=False)
    marks = marks_of(counts.index)
    figure, panels = canvas(height, len(pairs), sharex=sharex)
    for axes, (x, across, y, along) in zip(panels, pairs, strict=True):
        for group, rows in frame.groupby(by, sort=False):
            cross(axes, mean_interval(rows[x] * across), mean_interval(rows[y] * along), marks[str(group)])
    legend(figure, [handle(marks[str(group)], f"{name_of(group)} (n = {n})") for group, n in counts.items()])
    return figure, list(panels)


def agreement(frame: pd.DataFrame, value: str = "test_accuracy") -> Figure:
    """Draw a measure of runs made here against their records, a mark a run, with the line on which they are equal.

    Args:
        frame: columns `value`, `<value>_record` and `run_type`.

    Raises:
        InputError: no rows.
    """
    if frame.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    text, factor = axis_of(value)
    figure, (axes,) = canvas(4.8)
    marks = marks_of(dict.fromkeys(frame["run_type"]))
    for sort, rows in frame.groupby("run_type", sort=False):
        mark, here, kept = marks[str(sort)], factor * rows[value], factor * rows[f"{value}_record"]
        axes.plot(kept, here, mark.marker, color=mark.color, markersize=9, mec="white", zorder=3)
    ends = factor * frame[[value, f"{value}_record"]].to_numpy()
    axes.axline((float(ends.min()), float(ends.min())), slope=1, color="#858585", linewidth=1.2, zorder=1)
    axes.set(xlabel=f"{text}, record", ylabel=f"{text}, here")
    legend(
        figure, [handle(marks[str(sort)], f"{sort} (n = {n})") for sort, n in frame["run_type"].value_counts().items()]
    )
    return figure


def cross(axes: Axes, x: Effect, y: Effect, mark: Mark) -> None:
    """Draw a mean over seeds with its intervals both ways."""
    if x.n > 1:
        across, along = [[x.mean - x.low], [x.high - x.mean]], [[y.mean - y.low], [y.high - y.mean]]
        axes.errorbar(x.mean, y.mean, along, across, color=mark.color, elinewidth=1.4, alpha=0.6)
    size = {"*": 16, "P": 11, "X": 11}.get(mark.marker, 10)  # as large to the eye
    axes.plot(x.mean, y.mean, mark.marker, color=mark.color, markersize=size, mec="white", zorder=4)
