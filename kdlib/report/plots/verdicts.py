"""The two figures of verdicts: claims against studies, and how large each effect is. (No torch.)"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdlib.base.errors import InputError
from kdlib.report.claims import Verdict
from kdlib.report.plots.style import WIDTH, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Look:
    """Hold how a verdict is drawn: its mark, the mark's colour and filling, and a tile's colour and that of its text.

    Marks differ in shape, tiles in lightness, so that both can be told apart in grey.
    """

    marker: str
    color: str
    filled: bool
    tile: str
    text: str


LOOKS = {
    Verdict.SUPPORTED: Look("o", "#0b5d4a", True, "#0b5d4a", "#ffffff"),
    Verdict.NOT_SUPPORTED: Look("X", "#b3261e", True, "#f3b8a5", "#000000"),
    Verdict.INCONCLUSIVE: Look("D", "#555555", False, "#e9e9e9", "#000000"),
    Verdict.UNFINISHED: Look("|", "#757575", True, "#d9d9d9", "#2a2a2a"),
    Verdict.NOT_RUN: Look("_", "#757575", True, "#ffffff", "#6a6a6a"),
}

EDGE = 60.0
"""How far the figure of effects reaches, in smallest effects of interest; longer intervals end in an arrow."""
MOST = 6
"""Columns that fit side by side."""
_BESIDE = 2
"""With more columns, a claim's name stands above its row, not beside it."""
_NARROW = 1.6
"""Inches that a tile needs to hold its mark beside its word."""


@dataclass(frozen=True)
class Row:
    """Hold one row of the figure of effects, all in smallest effects of interest; NaN where nothing was run."""

    name: str
    mean: float
    low: float
    high: float
    n: int
    verdict: Verdict


def matrix(claims: Sequence[str], columns: Sequence[str], verdicts: Sequence[Sequence[Verdict]]) -> Figure:
    """Draw a tile for each claim and study, with the verdict's mark and word.

    Args:
        claims: their names, a row each.
        columns: the studies' names, at most `MOST`.
        verdicts: those of each claim, a column each.

    Raises:
        InputError: nothing to draw, or more columns than fit.
    """
    if not claims or not 0 < len(columns) <= MOST:
        raise InputError(f"columns = {len(columns)}; the figure of verdicts has 1 to {MOST}, and at least one claim.")
    beside = len(columns) <= _BESIDE
    wide = min(1.75, (WIDTH - 0.3) / len(columns))
    left = WIDTH - 0.3 - wide * len(columns) if beside else 0.0
    heads = ["\n".join(textwrap.wrap(name, max(8, int(wide / 0.105)))) for name in columns]
    top = 0.25 * max(head.count("\n") + 1 for head in heads) + 0.06
    above, tile = (0.0, 0.52) if beside else (0.34, 0.4 if wide > _NARROW else 0.52)
    high = above + tile + 0.04
    figure, (axes,) = canvas(top + high * len(claims) + 0.15)
    axes.set(xlim=(0, left + wide * len(columns)), ylim=(high * len(claims), -top))
    axes.axis("off")
    for k, head in enumerate(heads):
        axes.text(left + wide * (k + 0.5), -0.06, head, ha="center", va="bottom", fontsize=13, weight="bold")
    for row, (claim, said) in enumerate(zip(claims, verdicts, strict=True)):
        y = high * row
        if beside:
            lines = "\n".join(textwrap.wrap(claim, max(16, int(left / 0.112))))
            axes.text(0, y + tile / 2, lines, va="center", fontsize=14, linespacing=1.0)
        else:
            axes.text(0.02, y + above / 2 + 0.04, claim, va="center", fontsize=14)
        for k, verdict in enumerate(said):
            _tile(axes, left + wide * k, y + above, wide, tile, verdict)
    return figure


def _tile(axes: Axes, x: float, y: float, wide: float, high: float, verdict: Verdict) -> None:
    """Draw one verdict: a tile with the mark and the word, beside each other or, where it is narrow, below."""
    from matplotlib.patches import Rectangle

    look, gap = LOOKS[verdict], 0.025
    ran = verdict not in (Verdict.NOT_RUN, Verdict.UNFINISHED)
    axes.add_patch(
        Rectangle((x + gap, y + gap), wide - 2 * gap, high - 2 * gap, facecolor=look.tile,
                  edgecolor="#555555" if ran else "#cccccc", linewidth=0.8)
    )  # fmt: skip
    color = look.text if verdict is Verdict.SUPPORTED else look.color
    narrow = wide <= _NARROW
    mark = (x + wide / 2, y + 0.16) if narrow else (x + 0.16, y + high / 2)
    word = (x + wide / 2, y + 0.37) if narrow else (x + 0.3, y + high / 2)
    axes.plot(*mark, look.marker, color=color, mfc=color if look.filled else "white", ms=8, mew=1.7)
    size = 13 if not narrow else 11 if wide > 1.2 else 10.2
    axes.text(*word, str(verdict), va="center", ha="center" if narrow else "left", fontsize=size,
              color=look.text)  # fmt: skip


def forest(rows: Sequence[Row]) -> Figure:
    """Draw each effect in smallest effects of interest, turned so that claims say "right": mean, interval, verdict.

    The axis is linear between −1 and 1, where no effect would matter, and logarithmic beyond.

    Raises:
        InputError: no rows.
    """
    if not rows:
        raise InputError("the table has no rows; a figure of effects needs at least one claim.")
    figure, (axes,) = canvas(1.45 + 0.42 * len(rows))
    axes.set_xscale("symlog", linthresh=1, linscale=0.9)
    axes.set_xlim(-EDGE, EDGE)
    axes.axvspan(-1, 1, color="#e8e8e8", zorder=0.4)
    axes.axvline(0, color="#222222", linewidth=1.2, zorder=1)
    for y, row in enumerate(rows):
        look = LOOKS[row.verdict]
        words = str(row.verdict) + (f"\nn = {row.n}" if row.n else "")
        axes.text(1.02, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=12, linespacing=1.0)
        if math.isnan(row.mean):
            continue
        low, high = (row.mean if math.isnan(end) else end for end in (row.low, row.high))
        ends = [min(max(end, -EDGE), EDGE) for end in (low, high)]
        axes.plot(ends, [y, y], color=look.color, linewidth=2.2, solid_capstyle="butt", zorder=2)
        for end, drawn, marker in zip((low, high), ends, "<>", strict=True):
            if end != drawn:
                axes.plot(drawn, y, marker, color=look.color, ms=9, clip_on=False, zorder=3)
            elif low < high:
                axes.plot(drawn, y, "|", color=look.color, ms=9, mew=2, zorder=2)
        if abs(row.mean) <= EDGE:
            fill = look.color if look.filled else "white"
            axes.plot(row.mean, y, look.marker, color=look.color, mfc=fill, ms=9, mew=1.8, zorder=4)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    for edge in range(1, len(rows)):
        same = rows[edge].name.split(" ")[0] == rows[edge - 1].name.split(" ")[0]
        axes.axhline(edge - 0.5, color="#eeeeee" if same else "#aaaaaa", linewidth=0.8, zorder=0.6)
    ticks = [-30, -5, -1, 0, 1, 5, 30]
    axes.set_xticks(ticks, [f"{t}".replace("-", "−") for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("effect / smallest effect of interest\n← against the claim      as claimed →")
    _, height = figure.get_size_inches()
    axes.annotate("would not matter", (0, 1), (0, 5), xycoords=("data", "axes fraction"), textcoords="offset points",
                  ha="center", fontsize=12)  # fmt: skip
    figure.set_size_inches(WIDTH, height)
    return figure
