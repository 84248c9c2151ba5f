"""How pages say things, in one way: Markdown, HTML, tables, signed numbers, p values and answers. (No torch.)"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdlib.report.claims import Claim, Effect, Judgement, needed

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import HTML, Markdown


DUE = "of which due to CMI: MCMI − fine-tuned"
"""What stands beside a claim about MCMI: its gain over the same fine-tuning without CMI. No verdict rests on it."""


def markdown(text: str) -> Markdown:
    """Return Markdown for a notebook to display."""
    from IPython.display import Markdown

    shown: Markdown = Markdown(text)  # type: ignore[no-untyped-call]
    return shown


def raw(text: str) -> HTML:
    """Return HTML for a notebook to display as it is: what comes from outside must be escaped."""
    from IPython.display import HTML

    shown: HTML = HTML(text)  # type: ignore[no-untyped-call]
    return shown


def table_of(heads: str, rows: Sequence[str]) -> HTML:
    """Return a table from the HTML of its headings and rows; it scrolls by itself where it is too wide."""
    return raw(
        f'<div class="wide-table" tabindex="0"><table class="table"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def table_shown(frame: pd.DataFrame, title: str, bold: pd.Series[bool] | None = None) -> HTML:
    """Return a table of a page with a caption; rows may be bold."""
    styled = frame.rename(columns=lambda name: str(name).replace("_", " ")).style.hide(axis="index")
    styled = styled.set_caption(html.escape(title)).format(precision=4, escape="html", na_rep="–")
    if bold is not None:
        styled = styled.apply(lambda row: ["font-weight: bold" * bool(bold[row.name])] * len(row), axis=1)
    return raw(f'<div class="wide-table" tabindex="0">{styled.set_table_attributes("class=table").to_html()}</div>')


def row_of(name: str, cells: Sequence[str]) -> str:
    """Return a table's row from the HTML of its name and cells."""
    return f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def signed(value: float, digits: int) -> str:
    """Write a number with its sign, a real minus, and no sign where it rounds to zero."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def points(effect: Effect, digits: int = 2) -> str:
    """Write a difference of accuracies in points, with half its interval where it has one."""
    half = 50 * (effect.high - effect.low)
    middle = signed(100 * effect.mean, digits)
    return middle if math.isnan(half) else f"{middle} ± {half:.{digits}f}"


def p_value(value: float) -> str:
    """Write a p value as HTML; a dash where there was no test."""
    return "–" if math.isnan(value) else "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def answer(claim: Claim, one: Judgement) -> str:
    """Write an effect in points, its n and the verdict; where that is open, the seeds that would settle it."""
    if one.effect is None:
        return f"{claim.id}: {one.verdict}"
    said = f"{points(one.effect)} points (n = {one.effect.n}), where {100 * claim.smallest:g} would matter"
    said = f"{said}; {claim.id}: {one.verdict}"
    seeds = needed(claim, one) if one.effect.n > 1 else None
    return said if seeds is None else f"{said} (about {seeds} seeds would settle it)"
