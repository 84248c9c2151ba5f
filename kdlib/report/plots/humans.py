"""Figures of teachers and students beside what people say of the same images. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.report import plots
from kdlib.report.plots.against import crossed
from kdlib.report.plots.style import axis_of, marks_of, name_of

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
        axis: the axis label with its unit; measures that `kdlib.report.plots.style` knows need none.

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
    values = ("test_accuracy", "test_kl_to_bcp")
    pairs = [(distance, 1.0, value, axis_of(value)[1]) for value in values]
    figure, (above, below) = crossed(frame, pairs, by, 7.2, sharex=True)
    above.set_ylabel(f"student: {axis_of('test_accuracy')[0]}")
    below.set_ylabel(AXIS.format("student"))
    if floor is not None:
        mark = marks_of(["one_hot"])["one_hot"]
        above.axhline(100 * floor, color=mark.color, linestyle="--", linewidth=1.4, zorder=1)
        _beside(above, 100 * floor, "one-hot")
    below.set_xlabel(AXIS.format("teacher"))
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
