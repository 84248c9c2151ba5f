"""Figures of teachers and students beside what people say of the same images. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib import plots
from kdlib.claims.inference import mean_interval
from kdlib.errors import InputError
from kdlib.plots.against import cross
from kdlib.plots.style import axis_of, canvas, handle, legend, marks_of, name_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PEOPLE = "people"
AXIS = "KL(people ‖ {}) (nats)"
"""The axis of a distance to people's answers, where other pages say BCP."""


def differences(frame: pd.DataFrame, value: str, baseline: str, by: str = "group", axis: str | None = None) -> Figure:
    """Draw paired differences from a baseline, a row a group; the answers of people are called so.

    Args:
        frame: one row for each group and seed.
        value: the column to compare.
        baseline: the group that is subtracted.
        by: the column of groups.
        axis: the axis label with its unit; measures that `kdlib.plots.style` knows need none.

    Raises:
        InputError: no rows, no baseline, or two rows for one pair.
    """
    figure = renamed(plots.paired_gains(frame, value, baseline, by, axis=axis))
    text = (axis or axis_of(value)[0]).replace("(%)", "(points)")
    figure.axes[0].set_xlabel(f"difference from {called(baseline)}:\n{text}")
    return figure


def closeness(frame: pd.DataFrame, distance: str, floor: float | None = None, by: str = "teacher_label") -> Figure:
    """Draw students against how far their teachers are from people: accuracy above, their own distance below.

    A mark a teacher, at the means over seeds, with 95 % t intervals both ways.

    Args:
        frame: one row a student, with `distance`, test_accuracy, test_kl_to_bcp and `by`.
        distance: the column of the teacher's distance to people, in nats.
        floor: the mean test accuracy of students of one-hot labels, if known; a line.
        by: the column of teachers.

    Raises:
        InputError: no rows.
    """
    if frame.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    counts = frame[by].value_counts(sort=False)
    marks = marks_of(counts.index)
    figure, (above, below) = canvas(7.2, 2, sharex=True)
    for axes, value, label in (
        (above, "test_accuracy", f"student: {axis_of('test_accuracy')[0]}"),
        (below, "test_kl_to_bcp", AXIS.format("student")),
    ):
        for group, rows in frame.groupby(by, sort=False):
            y = mean_interval(rows[value] * axis_of(value)[1])
            cross(axes, mean_interval(rows[distance]), y, marks[str(group)])
        axes.set_ylabel(label)
    if floor is not None:
        mark = marks_of(["one_hot"])["one_hot"]
        above.axhline(100 * floor, color=mark.color, linestyle="--", linewidth=1.4, zorder=1)
        _beside(above, 100 * floor, "one-hot")
    below.set_xlabel(AXIS.format("teacher"))
    legend(figure, [handle(marks[str(group)], f"{name_of(group)} (n = {n})") for group, n in counts.items()])
    return figure


def renamed(figure: Figure) -> Figure:
    """Call exact BCPs the answers of people, which take their place, wherever a figure names its rows."""
    for axes in figure.axes:
        ticks = axes.get_yticks()
        axes.set_yticks(ticks, [text.get_text().replace("exact BCP", PEOPLE) for text in axes.get_yticklabels()])
    return figure


def called(label: object) -> str:
    """Return a supervision as the page on people calls it."""
    return name_of(label).replace("exact BCP", PEOPLE)


def _beside(axes: Axes, y: float, text: str) -> None:
    """Write a word at the right of the panel at y."""
    place = ("axes fraction", "data")
    axes.annotate(text, (1, y), (4, 0), xycoords=place, textcoords="offset points", va="center", fontsize=12)
