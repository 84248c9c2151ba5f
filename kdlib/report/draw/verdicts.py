"""The figure of effects: how large each is, in what would matter, with its verdict. (No torch.)"""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import pandas as pd

from kdlib.base.errors import InputError
from kdlib.report.claims.rules import Verdict
from kdlib.report.theme import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {
    Verdict.SUPPORTED: ("o", "#0b5d4a", True),
    Verdict.NOT_SUPPORTED: ("X", "#b3261e", True),
    Verdict.INCONCLUSIVE: ("D", "#555555", False),
    Verdict.UNFINISHED: ("|", "#757575", True),
    Verdict.NOT_RUN: ("_", "#757575", True),
}
"""A verdict's mark, its colour, and whether it is filled; marks differ in shape, so that they can be told in grey."""
EDGE = 60.0
"""How far the figure reaches, in smallest effects of interest; longer intervals end in an arrow."""


def forest(rows: pd.DataFrame) -> Figure:
    """Draw each effect in smallest effects of interest: mean, interval, verdict; claims say "right".

    The axis is linear between −1 and 1, where no effect would matter, and logarithmic beyond.

    Args:
        rows: from `kdlib.report.claims.tables.effects`.

    Raises:
        InputError: no rows.
    """
    if rows.empty:
        raise InputError("the table has no rows; a figure of effects needs at least one claim.")
    figure, (axes,) = canvas(1.45 + 0.42 * len(rows))
    axes.set_xscale("symlog", linthresh=1, linscale=0.9)
    axes.set_xlim(-EDGE, EDGE)
    axes.axvspan(-1, 1, color="#e8e8e8", zorder=0.4)
    axes.axvline(0, color="#222222", linewidth=1.2, zorder=1)
    row: Any
    for y, row in enumerate(rows.itertuples()):
        marker, color, filled = LOOKS[row.verdict]
        words = str(row.verdict) + (f"\nn = {row.n}" if row.n else "")
        axes.text(1.02, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=12, linespacing=1.0)
        if math.isnan(row.mean):
            continue
        low, high = (row.mean if math.isnan(end) else end for end in (row.low, row.high))
        ends = [min(max(end, -EDGE), EDGE) for end in (low, high)]
        axes.plot(ends, [y, y], color=color, linewidth=2.2, solid_capstyle="butt", zorder=2)
        for end, drawn, arrow in zip((low, high), ends, "<>", strict=True):
            if end != drawn:
                axes.plot(drawn, y, arrow, color=color, ms=9, clip_on=False, zorder=3)
        if abs(row.mean) <= EDGE:
            axes.plot(row.mean, y, marker, color=color, mfc=color if filled else "white", ms=9, mew=1.8, zorder=4)
    axes.set_yticks(range(len(rows)), [textwrap.fill(name, 26) for name in rows["name"]])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    for edge in range(1, len(rows)):
        same = rows["claim"].iloc[edge] == rows["claim"].iloc[edge - 1]
        axes.axhline(edge - 0.5, color="#eeeeee" if same else "#aaaaaa", linewidth=0.8, zorder=0.6)
    ticks = [-30, -5, -1, 0, 1, 5, 30]
    axes.set_xticks(ticks, [f"{t}".replace("-", "−") for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("effect / smallest effect of interest\n← against the claim      as claimed →")
    axes.annotate("would not matter", (0, 1), (0, 5), xycoords=("data", "axes fraction"), textcoords="offset points",
                  ha="center", fontsize=12)  # fmt: skip
    return figure
