"""A figure of what students gain against how far their teachers lie from the truth. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.claims.inference import Effect, mean_interval
from kdlib.errors import InputError
from kdlib.plots.style import Mark, axis_of, canvas, handle, legend, marks_of, name_of

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
    if frame.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    groups = frame[by].value_counts(sort=False)
    marks = marks_of(groups.index)
    figure, panels = canvas(3.4 * len(columns) + 1.2, len(columns))
    for axes, column in zip(panels, columns, strict=True):
        label, width = axis_of(column)
        for group, rows in frame.groupby(by, sort=False):
            mark = marks[str(group)]
            cross(axes, mean_interval(rows[column] * width), mean_interval(100 * rows["gain"]), mark)
        axes.set(xlabel=label, ylabel="gain over one-hot students (points)")
    legend(figure, [handle(marks[str(group)], f"{name_of(group)} (n = {n})") for group, n in groups.items()])
    return figure


def cross(axes: Axes, x: Effect, y: Effect, mark: Mark) -> None:
    """Draw a mean over seeds with its intervals both ways."""
    if x.n > 1:
        across, along = [[x.mean - x.low], [x.high - x.mean]], [[y.mean - y.low], [y.high - y.mean]]
        axes.errorbar(x.mean, y.mean, along, across, color=mark.color, elinewidth=1.4, alpha=0.6)
    size = {"*": 16, "P": 11, "X": 11}.get(mark.marker, 10)  # as large to the eye
    axes.plot(x.mean, y.mean, mark.marker, color=mark.color, markersize=size, mec="white", zorder=4)
