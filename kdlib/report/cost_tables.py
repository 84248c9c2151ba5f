"""The table and the sentences of the page on what each teacher costs. (No torch.)"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report.claims import mean_interval, paired_relative
from kdlib.report.plots.cost import TIMES
from kdlib.report.plots.style import name_of
from kdlib.report.sections import Section
from kdlib.report.words import markdown, table_of

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown

COLUMNS = {
    "training_seconds": ("training (s)", 1),
    "lineage_seconds": ("with parents (s)", 1),
    "prediction_seconds_per_image": ("an image (µs)", 1e6),
    "samples_used": ("samples", 1),
    "numbers_kept": ("kept (thousands)", 1e-3),
    "peak_memory_bytes": ("peak (MiB)", 2**-20),
}
"""The measures of cost by column of the table of runs: a short heading with its unit, and the factor to that unit."""


def costs(frame: pd.DataFrame) -> HTML:
    """Return a table of every cost: means with half the 95 % t interval over seeds, a row a group."""
    rows = []
    for group, part in frame.groupby("group", sort=False):
        cells = [f"<th>{html.escape(name_of(group))}</th><td>{part['seed'].nunique()}</td>"]
        cells += [f"<td>{_cell(part[column].dropna().astype(float) * k)}</td>" for column, (_, k) in COLUMNS.items()]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return table_of("<th></th><th>n</th>" + "".join(f"<th>{head}</th>" for head, _ in COLUMNS.values()), rows)


def _cell(values: pd.Series[float]) -> str:
    """Write a mean with half its interval; what is the same for every seed stands alone."""
    if values.empty:
        return "–"
    effect = mean_interval(values)
    digits = 0 if effect.mean >= 100 else 1 if effect.mean >= 10 else 2
    if values.nunique() == 1:
        return f"{effect.mean:,.0f}" if effect.mean == round(effect.mean) else f"{effect.mean:,.{digits}f}"
    return f"{effect.mean:,.{digits}f} ± {(effect.high - effect.low) / 2:.{digits}f}"


def times(frame: pd.DataFrame, group: str, baseline: str, column: str) -> tuple[float, float, float] | None:
    """Return how many times a group's cost is the baseline's, pair by pair: geometric mean, low, high; None if unknown.

    Args:
        frame: a table of runs with `group`, `seed` and the column, one row a group and seed.
        group: the dividend.
        baseline: the divisor.
        column: a positive measure.
    """
    wide = frame.pivot(index="seed", columns="group", values=column)[[group, baseline]].dropna().astype(float)
    wide = wide[(wide > 0).all(axis=1)]  # a time below what a clock can tell has no ratio
    if wide.empty:
        return None
    effect = paired_relative(wide[group], wide[baseline])
    return 1 + effect.mean, 1 + effect.low, 1 + effect.high


def dearest(part: Section, name: str, frame: pd.DataFrame, baseline: str) -> Markdown:
    """Say in one line which teacher costs most to train and to ask, against the baseline."""
    said = []
    for column, what in TIMES.items():
        ratios = {
            group: times(frame, group, baseline, column) for group in frame["group"].unique() if group != baseline
        }
        known = {group: ratio for group, ratio in ratios.items() if ratio is not None}
        if known:
            most = max(known, key=lambda group: known[group][0])
            middle, low, high = known[most]
            interval = f" [{low:.2g}, {high:.2g}]" if low == low else ""
            said.append(f"{what}: {name_of(most)}, {middle:.2g} times{interval}")
    n = frame.groupby("group")["seed"].nunique().min()
    return markdown(f"**{part.title}** ({name}; n = {n}): most costly against {name_of(baseline)}: {'; '.join(said)}.")
