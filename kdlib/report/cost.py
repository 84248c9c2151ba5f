"""What teachers cost, as multiples of the deterministic one of the same seed. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdlib.report.choice import effect
from kdlib.report.draw import dots
from kdlib.report.theme import name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASELINE = "deterministic"
TIMES = {"lineage_times": "lineage_seconds", "prediction_times": "prediction_seconds_per_image"}
"""Multiples, kept as logarithms to base 2, and the measures they are of."""


def multiples(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all but the baseline with `TIMES`, pair by pair; none for a time below what a clock can tell.

    Args:
        rows: teachers, one row a group and seed.
    """
    plain = rows[rows["teacher_label"] == BASELINE].drop_duplicates("seed").set_index("seed")
    others = rows[rows["teacher_label"] != BASELINE]
    ratios = {name: others[time].astype(float) / others["seed"].map(plain[time]) for name, time in TIMES.items()}
    return others.assign(**{name: np.log2(one.where((one > 0) & np.isfinite(one))) for name, one in ratios.items()})


def drawn(rows: pd.DataFrame, name: str) -> Figure:
    """Draw one of `TIMES`, a row a group; equal steps of the axis multiply the time alike."""
    figure = dots(rows, name, "group", strip=0)
    figure.axes[0].xaxis.set_major_formatter(lambda x, _: f"{2**x:.3g}")
    return figure


def dearest(rows: pd.DataFrame, name: str) -> str:
    """Say which group costs most against the baseline, with the 95 % interval of the geometric mean; maybe nothing.

    Args:
        rows: as for `multiples`.
        name: one of `TIMES`.
    """
    groups = [group for group in rows["group"].unique() if group != BASELINE]
    found = {group: effect(rows, group, BASELINE, TIMES[name], "group", relative=True) for group in groups}
    known = {group: one for group, one in found.items() if one is not None}
    if not known:
        return ""
    most, one = max(known.items(), key=lambda item: item[1].mean)
    ends = f" [{1 + one.low:,.3g}, {1 + one.high:,.3g}]" if one.n > 1 else ""
    return f"{name_of(most)}, {1 + one.mean:,.3g} times{ends} what {name_of(BASELINE)} takes (n = {one.n})"
