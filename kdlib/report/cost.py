"""What teachers cost, as multiples of the deterministic one of the same seed. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdlib.report.choice import effect, ranked
from kdlib.report.draw import dots
from kdlib.report.theme import name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASELINE = "deterministic"
TIMES = {"lineage_times": "lineage_seconds", "prediction_times": "prediction_seconds_per_image"}
"""Multiples, kept as logarithms to base 2, and the measures they are of."""


def alike(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the teachers of the baseline's network; none where there is no baseline."""
    return rows[rows["architecture"].isin(rows.loc[rows["teacher_label"] == BASELINE, "architecture"].head(1))]


def multiples(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all but the baseline with `TIMES`, pair by pair; NaN for a time below what a clock can tell.

    Teachers of another network are left out.

    Args:
        rows: teachers, one row a group and seed.
    """
    rows = alike(rows)
    plain = rows[rows["teacher_label"] == BASELINE].drop_duplicates("seed").set_index("seed")
    others = rows[rows["teacher_label"] != BASELINE]
    ratios = {name: others[time].astype(float) / others["seed"].map(plain[time]) for name, time in TIMES.items()}
    return others.assign(**{name: np.log2(one.where((one > 0) & np.isfinite(one))) for name, one in ratios.items()})


def drawn(rows: pd.DataFrame, name: str) -> Figure:
    """Draw one of `TIMES`, a row a group, the cheapest first; equal steps of the axis multiply the time alike."""
    return in_times(dots(ranked(rows, name, "group"), name, "group", strip=0))


def in_times(figure: Figure) -> Figure:
    """Write multiples instead of their logarithms along the axis across."""
    from matplotlib.ticker import MaxNLocator

    for axes in figure.axes:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        axes.xaxis.set_major_formatter(lambda x, _: f"{2**x:.3g}")
    return figure


def dearest(rows: pd.DataFrame, name: str) -> str:
    """Say which group costs most against the baseline, with the 95 % interval of the geometric mean; maybe nothing.

    Args:
        rows: teachers, one row a group and seed.
        name: one of `TIMES`.
    """
    rows = alike(rows)
    groups = [group for group in rows["group"].unique() if group != BASELINE]
    found = {group: effect(rows, group, BASELINE, TIMES[name], "group", relative=True) for group in groups}
    known = {group: one for group, one in found.items() if one is not None}
    if not known:
        return ""
    most, one = max(known.items(), key=lambda item: item[1].mean)
    ends = f" [{1 + one.low:,.3g}, {1 + one.high:,.3g}]" if one.n > 1 else ""
    return f"{name_of(most)}, {1 + one.mean:,.3g} times{ends} what {name_of(BASELINE)} takes (n = {one.n})"
