"""A figure of measures against a number: mean lines over seeds with 95 % t bands, a panel a table. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdlib.base.errors import InputError
from kdlib.report.plots.style import canvas, curve, handle, legend, marks_of, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL, REST = 2.7, 1.3
"""Inches: the height of a panel, and of what lies below them all."""


@dataclass(frozen=True)
class Panel:
    """Hold what one panel shows."""

    title: str
    """With the unit in brackets."""
    rows: pd.DataFrame
    """One row a line, number and seed."""
    value: str
    factor: float = 1.0
    """From the stored value to that of the title."""
    ends: pd.DataFrame | None = None
    """The same columns, for labels whose mean is a horizontal line: a floor or a ceiling."""
    strip: float | None = None
    """Half the height of a grey strip around a line at zero: what would not matter."""

    @property
    def tables(self) -> list[pd.DataFrame]:
        """Return the tables whose labels the legend names."""
        return [self.rows] if self.ends is None else [self.ends, self.rows]


def lines(panels: Sequence[Panel], x: str, by: str, label: str, base: float = 10, seeds: bool = False) -> Figure:
    """Draw panels one below the other against one logarithmic axis, a line a value of `by`.

    Lines are means over seeds, bands their 95 % t intervals; a line of one seed has no band.

    Args:
        panels: tables with the columns `x`, `by`, seed and each panel's own value.
        x: the column of numbers, above 0.
        by: the column of lines.
        label: of the axis, with its unit.
        base: of the logarithm.
        seeds: whether every seed is drawn too, as a faint dot.

    Raises:
        InputError: no rows, or two rows for one line, number and seed.
    """
    if not any(len(panel.rows) for panel in panels):
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    tables = [table for panel in panels for table in panel.tables]
    each = pd.concat([table.groupby([by, x], sort=False)["seed"].nunique() for table in tables])
    seen = {str(name): counts for name, counts in each.groupby(level=0, sort=False)}
    marks = marks_of(seen)
    figure, axes = canvas(PANEL * len(panels) + REST, len(panels), sharex=True)
    for part, panel in zip(axes, panels, strict=True):
        _ground(part, panel)
        if panel.ends is not None:
            for end, level in panel.ends.groupby(by, sort=False)[panel.value].mean().items():
                mark = marks[str(end)]
                part.axhline(level * panel.factor, color=mark.color, linestyle=mark.line, linewidth=1.6, zorder=1)
        for name, rows in panel.rows.dropna(subset=[panel.value]).groupby(by, sort=False):
            keys = [x, "seed"]
            if rows.duplicated(keys).any():
                twice = rows.loc[rows.duplicated(keys), [by, *keys]].iloc[0].to_dict()
                raise InputError(f"{twice} stands for several runs; choose one run a seed before drawing.")
            mark, wide = marks[str(name)], rows.pivot(index=x, columns="seed", values=panel.value) * panel.factor
            numbers = wide.index.to_numpy(np.float64)
            if seeds:
                part.plot(numbers, wide, ".", color=mark.color, alpha=0.4, ms=8, mec="none", zorder=2)
            curve(part, numbers, wide.to_numpy(np.float64), mark)
        part.set_title(panel.title)
    ticks = sorted({float(value) for panel in panels for value in panel.rows[x]})
    axes[-1].set_xscale("log", base=base)
    axes[-1].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[-1].minorticks_off()
    axes[-1].set_xlabel(label)
    legend(figure, [handle(marks[str(name)], name_of(name) + _n(counts)) for name, counts in seen.items()])
    return figure


def _n(counts: pd.Series[int]) -> str:
    """Write how many seeds a line's points have; nothing for a line of one."""
    low, high = counts.min(), counts.max()
    return "" if high == 1 else f" (n = {high})" if low == high else f" (n = {low} to {high})"


def _ground(axes: Axes, panel: Panel) -> None:
    """Draw the line at zero and the strip of what would not matter."""
    if panel.strip is not None:
        edge = panel.strip * panel.factor
        axes.axhspan(-edge, edge, color="#e4e4e4", zorder=0.5)
        axes.axhline(0, color="#222222", linewidth=1.4, zorder=1)
