"""Figures of the distillation grid: accuracy by setting, and convergence noise by window. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kdlib.base.errors import InputError
from kdlib.report.claims.inference import Effect
from kdlib.report.plots.style import above, axis_of, canvas, marks_of, name_of, wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TICKS = (-95, -90, -75, -50, -30, -10, 0, 10, 40, 100, 200, 400, 900, 1900)
"""Changes in percent that an axis of ratios may name."""
MOST = 8
"""Columns of a panel; with more, each kd_weight has a panel of its own."""


def heat(means: pd.DataFrame, chosen: Mapping[str, tuple[float, ...]], value: str = "test_accuracy") -> Figure:
    """Draw the grid as a map: a row a teacher, a column a setting, the mean in the cell; the chosen one is framed.

    Args:
        means: a row a teacher, columns (kd_weight, T, S); NaN leaves a cell empty.
        chosen: each teacher's (kd_weight, T, S).
        value: the measure, for its unit.

    Raises:
        InputError: no mean.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    text, factor = axis_of(value)
    shown = means.dropna(axis=1, how="all").sort_index(axis=1) * factor
    if shown.empty:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    norm = Normalize(low - 0.15 * (high - low), high)  # so that the lowest cell is no empty one
    weights = list(dict.fromkeys(shown.columns.get_level_values(0)))
    parts = [shown] if shown.shape[1] <= MOST else [shown[[c for c in shown.columns if c[0] == w]] for w in weights]
    height = 0.42 * len(shown) + 0.9
    figure, panels = canvas(height * len(parts) + 0.9, len(parts))
    for axes, part in zip(panels, parts, strict=True):
        _map(axes, part, chosen, norm)
    bar = figure.colorbar(ScalarMappable(norm, colormaps["Blues"]), ax=list(panels), location="bottom", aspect=40)
    bar.set_label(text)
    return figure


def _map(axes: Axes, part: pd.DataFrame, chosen: Mapping[str, tuple[float, ...]], norm: object) -> None:
    """Draw one panel: the cells, their numbers, and a frame around those that were chosen."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    values = part.to_numpy(np.float64)
    axes.imshow(values, cmap="Blues", norm=norm, aspect="auto")  # type: ignore[arg-type]
    linear = colormaps["Blues"](norm(values))[..., :3] ** 2.2  # type: ignore[operator]
    dark = linear @ np.array([0.2126, 0.7152, 0.0722]) < 0.18  # where white has more contrast than black
    size = 11 if part.shape[1] <= MOST else 9
    for row, label in enumerate(part.index):
        for place, setting in enumerate(part.columns):
            if np.isnan(values[row, place]):
                axes.text(place, row, "–", ha="center", va="center", color="#777777", size=size)
                continue
            ink = "white" if dark[row, place] else "black"
            own = chosen.get(str(label)) == tuple(map(float, setting))
            weight = "bold" if own else "normal"
            axes.text(
                place, row, f"{values[row, place]:.1f}", ha="center", va="center", color=ink, size=size, weight=weight
            )
            for ink, width in (("white", 5.0), ("black", 2.4)) if own else ():  # seen on light and on dark cells
                frame = Rectangle((place - 0.45, row - 0.41), 0.9, 0.82, fill=False, edgecolor=ink, linewidth=width)
                axes.add_patch(frame)
    axes.set_yticks(range(len(part)), [wrapped(label) for label in part.index])
    levels = [part.columns.get_level_values(k) for k in range(3)]
    heads = [f"α {weight:g}\nT {t:g}\nS {s:g}" for weight, t, s in zip(*levels, strict=True)]
    axes.set_xticks(range(part.shape[1]), heads)
    axes.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, labelsize=size)
    axes.grid(visible=False)
    for edge in range(1, part.shape[1]):
        axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    for edge in range(1, len(part)):
        axes.axhline(edge - 0.5, color="white", linewidth=1.5)


def windows(found: Mapping[str, Mapping[int, Effect]], smallest: float) -> Figure:
    """Draw the relative change of the convergence noise for each teacher and window: the mean and its 95 % interval.

    Args:
        found: by teacher and window, effects that are relative changes.
        smallest: the smallest change of interest, drawn as a shaded strip around zero.

    Raises:
        InputError: no effect.
    """
    rows = [(label, window, one) for label, own in found.items() for window, one in own.items()]
    if not rows:
        raise InputError("the table has no rows; a figure needs at least one finished run.")
    marks = marks_of(found)
    figure, (axes,) = canvas(1.4 + 0.42 * max(len(rows), 3))
    # a ratio is at home on a logarithmic axis: its interval is symmetric there, and twice is as far as half
    axes.set_xscale("log")
    axes.axvspan(1 - smallest, 1 / (1 - smallest), color="#e4e4e4", zorder=0.5)
    axes.axvline(1, color="#222222", linewidth=1.4)
    above(axes, 1, "below the smallest of interest")
    ends = [1.0]
    for y, (label, _, one) in enumerate(rows):
        mark = marks[label]
        if one.n > 1:
            bar = [[one.mean - one.low], [one.high - one.mean]]
            axes.errorbar(1 + one.mean, y, xerr=bar, color=mark.color, capsize=4, elinewidth=2.4, zorder=3)
        axes.plot(1 + one.mean, y, mark.marker, color=mark.color, markersize=10, mec="white", zorder=4)
        axes.text(1.015, y, f"n = {one.n}", transform=axes.get_yaxis_transform(), va="center", fontsize=12)
        ends += [1 + end for end in (one.low, one.mean, one.high) if np.isfinite(end)]
    low, high = min(ends) / 1.1, max(ends) * 1.1
    _percent(axes, min(low, 0.65), max(high, 1.5))
    axes.set_yticks(range(len(rows)), [f"{name_of(label)}, {window} epochs" for label, window, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    for edge in range(1, len(rows)):
        if rows[edge][0] != rows[edge - 1][0]:
            axes.axhline(edge - 0.5, color="#999999", linewidth=0.8)
    axes.set_xlabel("change of the convergence noise against\nthe deterministic teacher's students (%)")
    return figure


def _percent(axes: Axes, low: float, high: float) -> None:
    """Name changes in percent on a logarithmic axis of ratios, far enough from each other to be read."""
    ticks: list[int] = []
    for tick in sorted(TICKS, key=abs):
        place = 1 + tick / 100
        apart = all(abs(np.log(place / (1 + other / 100))) > 0.12 * np.log(high / low) for other in ticks)
        if low <= place <= high and apart:
            ticks.append(tick)
    axes.set_xlim(low, high)
    axes.set_xticks(
        [1 + tick / 100 for tick in ticks], [f"{tick:+d}".replace("-", "−") if tick else "0" for tick in ticks]
    )
    axes.minorticks_off()
