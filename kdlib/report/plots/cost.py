"""The figure of what each teacher costs, as multiples of the deterministic one. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdlib.base.errors import InputError
from kdlib.report.plots.style import canvas, dots, marks_of, name_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TIMES = {"lineage_seconds": "training, with its parents", "prediction_seconds_per_image": "prediction of an image"}


def cost_ratios(frame: pd.DataFrame, baseline: str) -> Figure:
    """Draw how many times longer each teacher trains and answers than the baseline of the same seed.

    Dots are seeds, marks geometric means, bars 95 % t intervals of the logarithm of the ratio; the axis is logarithmic.

    Args:
        frame: a table of runs with `group`, `seed` and the columns of `TIMES`, one row a group and seed.
        baseline: the group that all are divided by.

    Raises:
        InputError: no such baseline.
    """
    from matplotlib.ticker import MaxNLocator

    if baseline not in set(frame["group"]):
        raise InputError(f"baseline = {baseline!r} is refused: the table has {sorted(set(frame['group']))}.")
    groups = [group for group in dict.fromkeys(frame["group"]) if group != baseline]
    marks = marks_of([baseline, *groups])
    figure, panels = canvas(1.6 + 1.0 * max(len(groups), 2), 2)
    for axes, (column, title) in zip(panels, TIMES.items(), strict=True):
        wide = frame.pivot(index="seed", columns="group", values=column).astype(float)
        rows = []
        for k, group in enumerate(groups):
            both = wide[[group, baseline]]
            both = both[(both > 0).all(axis=1)]  # a time below what a clock can tell has no ratio
            rows.append((float(k), np.log2((both[group] / both[baseline]).to_numpy(np.float64)), marks[str(group)]))
        axes.axvline(0, color="#222222", linewidth=1.4)
        dots(axes, rows, groups)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.6), max(high, 1.1))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        axes.xaxis.set_major_formatter(lambda x, _: f"{2**x:.3g}")
        axes.set(title=title)
    panels[1].set_xlabel(f"times that of {name_of(baseline)} (logarithmic)")
    return figure
