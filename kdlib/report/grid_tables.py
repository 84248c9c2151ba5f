"""The tables and sentences of the distillation grid. (No torch.)"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report.claims import MINIMUM_PAIRS, Claim, Effect, Judgement, needed, overall
from kdlib.report.claims.choice import FREE
from kdlib.report.grid import BASELINE, C4, C5, changes, judged, others, settings, still
from kdlib.report.plots.style import axis_of, name_of
from kdlib.report.sections import Section, not_yet, with_interval
from kdlib.report.words import markdown, p_value, row_of, signed, table_of

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown


def settings_table(rows: pd.DataFrame, picked: pd.DataFrame) -> HTML:
    """Return a table of each teacher's chosen setting: how many there were, kd_weight, T, S and what chose them."""
    lines = []
    for label, setting in settings(picked).items():
        own = picked[picked["teacher_label"] == label]
        tried = len(rows.loc[rows["teacher_label"] == label, list(FREE)].drop_duplicates())
        values = [(100 * own[f"{split}_accuracy"]).tolist() for split in ("val", "test")]
        cells = [f"{value:g}" for value in setting] + [with_interval(one) for one in values]
        lines.append([name_of(label), str(tried), *cells, str(own["seed"].nunique())])
    heads = ("", "settings", "α", "T", "S", "validation accuracy (%)", "test accuracy (%)", "n")
    return _table(heads, lines)


def at_the_edge(rows: pd.DataFrame, picked: pd.DataFrame) -> str:
    """Say which teachers' chosen T is the least or the greatest of those that were tried; nothing where none is."""
    said = []
    for label, (_, temperature, _) in settings(picked).items():
        tried = rows.loc[rows["teacher_label"] == label, "temperature"].unique()
        if len(tried) > 1 and temperature in (tried.min(), tried.max()):
            said.append(f"{name_of(label)} ({temperature:g} of {tried.min():g} to {tried.max():g})")
    return f"Chosen at the edge of what was tried, so perhaps not the best T: {', '.join(said)}." if said else ""


def verdicts(rows: pd.DataFrame, claim: Claim) -> HTML:
    """Return a table: each teacher's students on a claim's measure, the change from the deterministic one's, n, p.

    p values are corrected over the claim's family for its members, which have a verdict, and among themselves for the
    other teachers, which have none.
    """
    text, factor = axis_of(claim.column)
    lines = []

    def add(label: str, one: Effect | None, p: float, said: str) -> None:
        values = (rows.loc[rows["teacher_label"] == label, claim.column].dropna() * factor).tolist()
        change = [_change(one), str(one.n), html.unescape(p_value(p))] if one else ["–", "–", "–"]
        lines.append([name_of(label), with_interval(values), *change, said])

    add(BASELINE, None, math.nan, "")
    measured = changes(rows, claim)
    for found in judged(rows, claim):
        add(found.member, measured.get(found.member), found.p, _said(found, claim))
    for label, (one, p) in others(rows, claim).items():
        add(label, one, p, "")
    heads = ("", text, "change (%)" if claim.relative else "gain (points)", "n", "p, corrected", claim.id)
    return _table(heads, lines)


def left_out(rows: pd.DataFrame) -> str:
    """Say how many students a relative change leaves out, and why; nothing where it leaves out none."""
    said, zero, unmeasured = [], still(rows), int(rows[C5.column].isna().sum())
    if zero:
        said.append(f"{_students(zero)} no convergence noise at all; a ratio to zero says nothing.")
    if unmeasured:
        said.append(f"{_students(unmeasured)} no history here that is long enough for the window.")
    return " ".join([*said, "C5 leaves their pairs out."]) if said else ""


def _students(count: int) -> str:
    return "One student has" if count == 1 else f"{count} students have"


def short(part: Section, where: str, rows: pd.DataFrame, noisy: pd.DataFrame | None = None) -> Markdown:
    """Say in one line what the Bayesian teachers' students gain in accuracy and noise, with the verdicts.

    Args:
        part: the study.
        where: its dataset and network, in words.
        rows: the students that C4 compares.
        noisy: those that C5 compares, where there are any.
    """
    if part.waiting:
        return not_yet(part, where, C4, *([] if noisy is None else [C5]))
    said = []
    both = ((C4, "test accuracy, points", rows), (C5, "convergence noise, change in %", noisy))
    for claim, what, own in both:
        if own is None:
            continue
        found, raw = judged(own, claim), changes(own, claim)
        each = []
        for one in found:
            effect = raw.get(one.member)
            numbers = f" {_change(effect)}, n = {effect.n}," if effect else ""
            each.append(f"{name_of(one.member)}{numbers} {_said(one, claim)}")
        said.append(f"{claim.id} ({what}): {'; '.join(each)}. Together: {overall(o.verdict for o in found)}.")
    return markdown(
        f"**{part.title}** ({where}; against the students of the {name_of(BASELINE)} teacher): {' '.join(said)}"
    )


def _said(one: Judgement, claim: Claim) -> str:
    """Write a verdict; where it is open, with the seeds that would settle it."""
    seeds = needed(claim, one, len(claim.treated))
    if seeds is None or one.effect is None or one.effect.n < 2:
        return str(one.verdict)
    few = "fewer than five pairs; " if one.effect.n < MINIMUM_PAIRS else ""
    return f"{one.verdict} ({few}about {seeds} seeds would settle it)"


def _change(one: Effect) -> str:
    """Write a gain in points with half its interval, or a relative change in percent with the ends of its own."""
    middle = signed(100 * one.mean, 0 if one.relative else 2)
    if one.n < 2:
        return middle
    if one.relative:
        return f"{middle} ({signed(100 * one.low, 0)} to {signed(100 * one.high, 0)})"
    return f"{middle} ± {50 * (one.high - one.low):.2f}"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> HTML:
    """Return a table whose first column names the rows."""
    rows = [row_of(html.escape(first), [html.escape(cell) for cell in rest]) for first, *rest in lines]
    return table_of("".join(f"<th>{html.escape(one)}</th>" for one in heads), rows)
