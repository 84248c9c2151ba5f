"""The figures that several pages share: seaborn on tidy tables, each returned as a matplotlib Figure. (No torch.)

A row of a table is a run (or a pair of runs); intervals are 95 % Student t over seeds and n stands beside them. How
things look is decided in `kdlib.report.theme`. What one page alone draws stands in its notebook, or in a file here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdlib.base.errors import InputError
from kdlib.report.inference import mean_interval
from kdlib.report.theme import any_script, axis_of, canvas, legend, literal, marks_of, seaborn, wrapped
from kdlib.teachers.kind import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ZERO, STRIP = "#222222", "#e4e4e4"


def t95(values: pd.Series[float]) -> tuple[float, float]:
    """Return the ends of the 95 % t interval, for seaborn's `errorbar`; those of the mean alone where n = 1."""
    one = mean_interval(np.asarray(values, np.float64))
    return (one.mean, one.mean) if one.n == 1 else (one.low, one.high)


def _arms(values: pd.Series[float]) -> NDArray[np.float64]:
    """Return how far the 95 % t interval reaches below and above the mean, `(2, 1)`, for matplotlib's error bars."""
    return np.abs(np.subtract(t95(values), values.mean()))[:, None]


def scaled(rows: pd.DataFrame, columns: Sequence[str], keys: Sequence[str]) -> pd.DataFrame:
    """Return a table's measures in the unit that readers see.

    Raises:
        InputError: no rows, or two rows for one place and seed: n would count a seed twice.
    """
    if rows.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    twice = rows[[*keys, "seed"]].duplicated()
    if twice.any():
        row = rows.loc[twice, [*keys, "seed"]].iloc[0].to_dict()
        raise InputError(f"{row} stands for several runs; choose one run a seed before drawing.")
    return rows.assign(**{name: rows[name].astype(float) * axis_of(name)[1] for name in columns})


def looks(marks: Mapping[str, Mark]) -> dict[str, Any]:
    """Return marks as seaborn's lines want them: colours, dashes and markers by label."""
    return {
        "palette": {key: mark.color for key, mark in marks.items()},
        "dashes": {key: mark.line[1] if isinstance(mark.line, tuple) else "" for key, mark in marks.items()},
        "markers": {key: mark.marker for key, mark in marks.items()},
    }


def as_drawn(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return images `(k, channels, h, w)` as matplotlib draws them: grey `(k, h, w)`, colours `(k, h, w, 3)`."""
    return pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)


def dots(rows: pd.DataFrame, x: str, y: str = "teacher_label", axis: str = "", strip: float | None = None) -> Figure:
    """Draw a row a label: every seed a faint dot, the mean with its 95 % t interval, and n.

    Args:
        rows: one row a label and seed.
        x: the measure.
        y: the column of labels, drawn in order of appearance.
        axis: its label; that of the measure by default.
        strip: for differences: half the width, in the measure's stored unit, of the grey strip around zero in which
            nothing matters.
    """
    shown = scaled(rows, [x], [y]).dropna(subset=x).astype({y: str})
    order = list(dict.fromkeys(shown[y]))
    marks = marks_of(order)
    figure, (axes,) = canvas(1.0 + 0.4 * max(len(order), 2))
    if strip is not None:
        _ground(axes.axvspan, axes.axvline, strip * axis_of(x)[1])
    palette = {label: one.color for label, one in marks.items()}
    seaborn().stripplot(shown, x=x, y=y, hue=y, order=order, palette=palette, legend=False, ax=axes,
                      jitter=False, alpha=0.35, size=5.5)  # fmt: skip
    # Not by seaborn's pointplot, which draws each label's interval in every label's row: 0.15 s for sixteen.
    for place, (label, one) in enumerate(shown.groupby(y, sort=False)[x]):
        mark = marks[str(label)]
        axes.errorbar(one.mean(), place, xerr=_arms(one), fmt=mark.marker, color=mark.color, markersize=8, capsize=5,
                      elinewidth=2.2, capthick=2.2)  # fmt: skip
        axes.text(1.015, place, f"n = {len(one)}", transform=axes.get_yaxis_transform(), va="center", fontsize=12)
    axes.set_yticks(range(len(order)), [wrapped(label) for label in order])
    axes.set(xlabel=axis or axis_of(x)[0], ylabel="", ylim=(len(order) - 0.5, -0.5))
    axes.locator_params(axis="x", nbins=7)  # long numbers would run into each other
    return figure


def lines(
    rows: pd.DataFrame, x: str, values: Sequence[str], by: str = "teacher_label", label: str = "", base: float = 10,
    strip: Mapping[str, float] | None = None,
) -> Figure:  # fmt: skip
    """Draw a panel a measure against a number: a line a value of `by`, means over seeds with 95 % t bands.

    Args:
        rows: one row a line, number and seed.
        x: the column of numbers, above 0, on a logarithmic axis.
        values: measures, a panel each.
        by: the column of lines.
        label: of the axis, with its unit.
        base: of the logarithm; 0 for a linear axis.
        strip: as in `dots`, by measure.
    """
    shown = scaled(rows, values, [by, x]).astype({by: str})
    counts = shown.groupby([by, x], sort=False)["seed"].nunique().groupby(level=0, sort=False).max()
    marks = marks_of(counts.index)
    figure, panels = canvas(2.6 * len(values) + 0.7, len(values), sharex=True)
    for axes, value in zip(panels, values, strict=True):
        if value in (strip or {}):
            _ground(axes.axhspan, axes.axhline, (strip or {})[value] * axis_of(value)[1])
        seaborn().lineplot(shown, x=x, y=value, hue=by, style=by, errorbar=t95, legend=False, ax=axes,
                         markersize=8, **looks(marks))  # fmt: skip
        axes.set_title(axis_of(value)[0])
        axes.set_ylabel("")
    ticks = sorted(set(shown[x].astype(float)))
    if base:
        panels[-1].set_xscale("log", base=base)
    panels[-1].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panels[-1].minorticks_off()
    panels[-1].set_xlabel(label or x)
    legend(figure, marks, counts.to_dict())
    return figure


def against(rows: pd.DataFrame, xs: Sequence[str], y: str, by: str = "teacher_label", sharey: bool = True) -> Figure:
    """Draw a panel a measure across: a mark a group at both means over seeds, bars 95 % t intervals both ways.

    Args:
        rows: one row a group and seed.
        xs: measures across, a panel each.
        y: the measure along.
        by: the column of groups.
        sharey: whether the panels share the axis along.
    """
    counts = rows.astype({by: str})[by].value_counts(sort=False)
    marks = marks_of(counts.index)
    figure, panels = canvas(3.1 * len(xs) + 0.6, len(xs), sharey=sharey)
    for axes, x in zip(panels, xs, strict=True):
        crosses(axes, rows, x, y, marks, by)
    legend(figure, marks, counts.to_dict())
    return figure


def crosses(axes: Axes, rows: pd.DataFrame, x: str, y: str, marks: Mapping[str, Mark], by: str) -> None:
    """Draw one panel of `against`. Seaborn has no bars both ways: matplotlib draws them."""
    for group, part in scaled(rows, [x, y], [by]).dropna(subset=[x, y]).groupby(by, sort=False):
        mark, middle = marks[str(group)], part[[x, y]].mean()
        axes.errorbar(middle[x], middle[y], _arms(part[y]), _arms(part[x]), color=mark.color, elinewidth=1.4, alpha=0.6)
        size = {"*": 16, "P": 11, "X": 11}.get(mark.marker, 10)  # as large to the eye
        axes.plot(*middle, mark.marker, color=mark.color, markersize=size, mec="white", zorder=4)
    axes.set(xlabel=axis_of(x)[0], ylabel=axis_of(y)[0])


def heat(means: pd.DataFrame, chosen: Mapping[str, str], axis: str) -> Figure:
    """Draw a table of means as a map, the numbers in its cells; a row's chosen column is framed.

    Args:
        means: a row a label, a column a setting; NaN leaves a cell empty.
        chosen: column by label.
        axis: what the numbers are, with their unit.
    """
    from matplotlib.patches import Rectangle

    figure, (axes,) = canvas(0.42 * len(means) + 1.9)
    across, down = list(map(literal, means)), [wrapped(literal(label)) for label in means.index]
    with any_script():  # seaborn looks how large names are
        seaborn().heatmap(means, annot=True, fmt=".1f", cmap="Blues", ax=axes, linewidths=1.5, robust=True,
                        annot_kws={"size": 11}, xticklabels=across, yticklabels=down,
                        cbar_kws={"label": axis, "location": "bottom", "aspect": 40, "pad": 0.03})  # fmt: skip
    for row, label in enumerate(means.index):
        if label in chosen:
            place = list(means.columns).index(chosen[label])
            for ink, width in (("white", 5.0), ("black", 2.4)):  # seen on light and on dark cells
                axes.add_patch(
                    Rectangle((place + 0.04, row + 0.06), 0.92, 0.88, fill=False, edgecolor=ink, linewidth=width)
                )
    axes.set_yticks(np.arange(len(means)) + 0.5, down, rotation=0)
    axes.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    axes.set(xlabel="", ylabel="")
    return figure


def level(axes: Axes, value: float, text: str, dashed: bool = False) -> None:
    """Draw a named horizontal line: a floor or a ceiling."""
    axes.axhline(
        value, color="black" if dashed else "#858585", linewidth=1.2, linestyle="--" if dashed else "-", zorder=1
    )
    axes.annotate(text, (1, value), (-4, 4), xycoords=("axes fraction", "data"), textcoords="offset points",
                  ha="right", fontsize=12)  # fmt: skip


def _ground(span: Any, line: Any, edge: float) -> None:
    """Draw the line at zero and the strip in which nothing matters."""
    span(-edge, edge, color=STRIP, zorder=0.5)
    line(0, color=ZERO, linewidth=1.4, zorder=1)
