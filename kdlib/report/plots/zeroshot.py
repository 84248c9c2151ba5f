"""Figures of students that never saw some classes: accuracy there, and what they call its images. (No torch.)"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdlib.base.errors import InputError
from kdlib.report.claims.inference import mean_interval
from kdlib.report.plots.style import WIDTH, axis_of, canvas, handle, legend, marks_of, name_of, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

TICKS = (0, 1, 5, 20, 50, 100)
"""Shares in percent on the colour bar, whose scale is a square root: one image in a hundred must show."""


def by_omitted(frame: pd.DataFrame, values: Sequence[str], by: str = "teacher_label") -> Figure:
    """Draw accuracy against the number of omitted classes: a row of panels a measure, a column a setting.

    Marks are means over seeds, bars their 95 % t intervals; marks at one number stand side by side.

    Args:
        frame: columns seed, `omitted` (how many classes), `setting` (text), `by` and `values`; one row for each seed
            at one place, or NaN where a measure has no value.
        values: measures, one a row of panels.
        by: the column of groups, a line each.

    Raises:
        InputError: no rows.
    """
    if frame.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    from matplotlib.figure import Figure

    style()
    settings, groups = (list(dict.fromkeys(frame[name])) for name in ("setting", by))
    marks = marks_of(groups)
    figure = Figure(figsize=(WIDTH, 2.9 * len(values) + 1.3), layout="constrained")
    panels = figure.subplots(len(values), len(settings), squeeze=False, sharex=True, sharey="row")
    beside = dict(zip(groups, np.linspace(-0.24, 0.24, len(groups)) if len(groups) > 1 else [0.0], strict=True))
    for row, value in zip(panels, values, strict=True):
        text, factor = axis_of(value)
        for axes, setting in zip(row, settings, strict=True):
            for group, rows in frame[frame["setting"] == setting].groupby(by, sort=False):
                known = rows.dropna(subset=[value]).groupby("omitted")[value]
                found = {float(str(k)): mean_interval(one.to_numpy() * factor) for k, one in known}
                x = np.array(list(found)) + beside[group]
                mark, middle = marks[str(group)], [one.mean for one in found.values()]
                bars = [[one.mean - one.low for one in found.values()], [one.high - one.mean for one in found.values()]]
                axes.errorbar(x, middle, np.nan_to_num(bars), fmt="none", ecolor=mark.color, elinewidth=1.4, alpha=0.7)
                size = 10 if mark.marker == "*" else 6
                axes.plot(x, middle, mark.marker, color=mark.color, linestyle=mark.line, ms=size, mec="white", lw=1.4)
        low, high = row[0].get_ylim()  # an interval of few seeds may leave what an accuracy can be
        row[0].set(ylim=(max(low, -3), min(high, 103)), ylabel="\n".join(textwrap.wrap(text, 22)))
    for axes, setting in zip(panels[0], settings, strict=True):
        axes.set_title(setting)
    for axes in panels[-1]:
        axes.set_xticks(sorted(frame["omitted"].unique()))
        axes.set_xlabel("omitted classes")
    legend(figure, [handle(marks[str(g)], f"{name_of(g)} (n = {_seeds(frame, by, g)})") for g in groups])
    return figure


def confusion_grid(
    panels: Sequence[Sequence[tuple[str, Floats] | None]], classes: Sequence[str], omitted: Sequence[int]
) -> Figure:
    """Draw confusion matrices side by side: of the images of each class (rows), the share given to each class.

    Args:
        panels: rows of panels, each a title (what follows a comma stands below it) and shares in percent
            `(classes, classes)`, or None for an empty place.
        classes: names of the classes.
        omitted: classes that the students never saw; framed and marked with an arrow.

    Raises:
        InputError: no panel.
    """
    if not any(one for row in panels for one in row):
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    style()
    wide, size = max(map(len, panels)), len(classes)
    figure = Figure(figsize=(WIDTH, ((WIDTH - 2) / wide + 0.75) * len(panels) + 0.5), layout="constrained")
    grid, norm = figure.subplots(len(panels), wide, squeeze=False), _norm()
    for axes in grid.ravel():
        axes.set_visible(False)
    for row, places in zip(panels, grid, strict=True):
        for k, (one, axes) in enumerate(zip(row, places[: len(row)], strict=True)):
            if one is None:
                continue
            title, shares = one
            axes.set_visible(True)
            picture = axes.imshow(shares, cmap="Blues", norm=norm, interpolation="nearest")
            axes.set_title(title.replace(", ", "\n", 1), fontsize=12)
            for place in omitted:
                frame = Rectangle((-0.5, place - 0.5), size, 1, fill=False, edgecolor="#b01e63", linewidth=2)
                axes.add_patch(frame)
            _ticks(axes, classes, omitted, names=k == 0)
    bar = figure.colorbar(picture, ax=grid.ravel().tolist(), shrink=0.5, aspect=30, ticks=list(TICKS))
    bar.set_label("share of the class's images (%)")
    figure.supxlabel("class given", fontsize=13)
    figure.supylabel("class of the image (→ omitted)", fontsize=13)
    return figure


def omitted_rows(shares: Mapping[str, Floats], classes: Sequence[str], omitted: int) -> Figure:
    """Draw what students call the images of the class that they never saw: a row a student, a column a class given.

    Args:
        shares: in percent `(classes,)`, by the row's label.
        classes: names of the classes.
        omitted: the class that the images are of; its column is framed.

    Raises:
        InputError: no rows.
    """
    if not shares:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    from matplotlib.patches import Rectangle

    values, size = np.array(list(shares.values())), len(classes)
    figure, (axes,) = canvas(1.5 + 0.42 * len(values))
    axes.imshow(values, cmap="Blues", norm=_norm(), interpolation="nearest", aspect="auto")
    for (y, x), value in np.ndenumerate(values) if size <= 12 else ():
        if value >= 0.5:
            axes.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=12, color="w" if value > 35 else "k")
    frame = Rectangle((omitted - 0.5, -0.5), 1, len(values), fill=False, edgecolor="#b01e63", linewidth=2)
    axes.add_patch(frame)
    axes.set_yticks(range(len(values)), [name_of(label) for label in shares])
    _classes(axes, classes, [omitted])
    axes.set_xlabel("class given (↑ omitted), % of the images" if size <= 12 else "class given (↑ omitted)")
    axes.grid(visible=False)
    return figure


def _norm() -> Normalize:
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, 0, 100)


def _ticks(axes: Axes, classes: Sequence[str], omitted: Sequence[int], names: bool) -> None:
    """Name the classes along a matrix, every tenth where there are many, and the rows where there is room."""
    shown = [k for k in range(len(classes)) if len(classes) <= 12 or k % 10 == 0 or k in omitted]
    labels = [("→ " if k in omitted else "") + classes[k].replace("_", " ") for k in shown]
    axes.set_yticks(shown, labels if names else ["→" if k in omitted else "" for k in shown], fontsize=11)
    _classes(axes, classes, ())
    axes.tick_params(labelsize=11)
    axes.grid(visible=False)


def _classes(axes: Axes, classes: Sequence[str], omitted: Sequence[int]) -> None:
    """Name the classes below a panel, with an arrow at those that were omitted."""
    shown = [k for k in range(len(classes)) if len(classes) <= 12 or k % 10 == 0 or k in omitted]
    short = max(map(len, classes)) <= 2
    labels = [("↑\n" if short and k in omitted else "") + classes[k].replace("_", " ") for k in shown]
    axes.set_xticks(shown, labels, rotation=0 if short else 90)


def _seeds(frame: pd.DataFrame, by: str, group: object) -> str:
    """Write how many seeds a line's marks stand for."""
    counts = frame[frame[by] == group].groupby(["setting", "omitted"])["seed"].nunique()
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"
