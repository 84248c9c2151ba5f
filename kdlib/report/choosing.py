"""What a study was laid out with: each setting tried, by which validation measure, and the one chosen. (No torch.)"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.claims.choice import FREE
from kdlib.config import Config, StudentConfig, TeacherConfig
from kdlib.report.words import raw

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["FREE", "candidates", "measure_of", "shown"]

PARAMETERS = [name for schema in (TeacherConfig, StudentConfig) for name in schema.model_fields
              if name not in Config.model_fields]  # fmt: skip


def candidates(rows: pd.DataFrame, measure: str, over: Sequence[str] = ()) -> pd.DataFrame:
    """Return one row a setting, best first: what varies, the mean and sd of a validation measure over seeds, n, chosen.

    The best has the lowest mean NLL or the highest mean accuracy, among the settings with the most seeds. Settings
    that were tried on fewer seeds stand below and cannot be chosen.

    Args:
        rows: the runs of entries that compete.
        measure: `val_nll` or `val_accuracy`.
        over: parameters that each setting may choose for itself, such as the students' temperature: its best value
            counts.
    """
    names = [name for name in dict.fromkeys(PARAMETERS) if name in rows and name not in over]
    varied = [name for name in names if rows[name].astype(str).nunique() > 1 and name not in ("parent", "teacher")]
    keys = [*varied, *(["teacher_label"] if rows["teacher_label"].nunique() > 1 else [])]
    down = measure == "val_nll"
    table = rows.groupby([*keys, *over] or ["label"], dropna=False, sort=False)[measure]
    means = table.agg(mean="mean", sd="std", n="count").reset_index().round({"mean": 9})
    means = means.sort_values("mean", ascending=down, kind="stable")
    if over:
        means = means.drop_duplicates(keys)
    means = means.sort_values("n", ascending=False, kind="stable").reset_index(drop=True)
    return means.assign(chosen=means.index == 0)


def measure_of(label: str) -> tuple[str, str]:
    """Return by which validation measure students of an entry compete, and how it is called."""
    if "length" in label:
        return "val_nll", "validation NLL (nats)"
    return "val_accuracy", "mean validation accuracy of students"


def shown(table: pd.DataFrame, title: str) -> HTML:
    """Return candidates as a table of a page, the chosen one in bold."""
    plain = table.drop(columns="chosen").rename(columns=lambda name: str(name).replace("_", " "))
    styled = plain.style.hide(axis="index").set_caption(html.escape(title)).format(precision=4, escape="html")
    bold = styled.apply(lambda row: ["font-weight: bold" * bool(table["chosen"][row.name])] * len(row), axis=1)
    return raw(f'<div class="wide-table" tabindex="0">{bold.set_table_attributes("class=table").to_html()}</div>')
