"""A figure of a teacher's CMI and of its students' accuracy against the teacher's temperature. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdlib.base.errors import InputError
from kdlib.report.plots.style import axis_of, canvas, curve, handle, legend, marks_of, name_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def cmi_and_accuracy(cmi: pd.DataFrame, students: pd.DataFrame, by: str = "teacher_label") -> Figure:
    """Draw test CMI of teachers and, below it, test accuracy of their students against T, a line a teacher label.

    Lines are means over seeds, bands their 95 % t intervals; T is on a logarithmic axis, and a thin line marks T = 1.

    Args:
        cmi: columns temperature, seed, test_cmi and `by`.
        students: the same with test_accuracy.
        by: the column of lines.

    Raises:
        InputError: no rows.
    """
    if cmi.empty and students.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    labels = list(dict.fromkeys([*cmi[by], *students[by]]))
    marks = marks_of(labels)
    figure, panels = canvas(6.6, 2, sharex=True)
    for axes, table, value in zip(panels, (cmi, students), ("test_cmi", "test_accuracy"), strict=True):
        text, factor = axis_of(value)
        for label, rows in table.groupby(by, sort=False):
            wide = rows.pivot(index="temperature", columns="seed", values=value).sort_index() * factor
            curve(axes, wide.index.to_numpy(np.float64), wide.to_numpy(np.float64), marks[str(label)])
        axes.axvline(1, color="#222222", linewidth=1.0, zorder=1)
        whose = "teacher" if value == "test_cmi" else "student"
        axes.set_title(f"{whose}: {text}")
    ticks = sorted({float(t) for t in (*cmi["temperature"], *students["temperature"])})
    panels[-1].set_xscale("log", base=2)
    shown = [t for t in ticks if np.log2(t).is_integer()] or ticks
    panels[-1].set_xticks(shown, [f"{t:g}" for t in shown])
    panels[-1].set_xlabel("temperature T of the teacher")
    counts = {label: max(t.loc[t[by] == label, "seed"].nunique() for t in (cmi, students)) for label in labels}
    legend(figure, [handle(marks[str(label)], f"{name_of(label)} (n = {counts[label]})") for label in labels])
    return figure
