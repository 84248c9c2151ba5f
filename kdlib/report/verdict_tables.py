"""What the claims page shows of the verdicts: its tables, sentences and the rows of its figures. (No torch.)"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdlib.report.claims import CLAIMS, MINIMUM_PAIRS, Claim, Direction, Effect, Verdict
from kdlib.report.claims.words import WORDS
from kdlib.report.plots import verdicts as plots
from kdlib.report.plots.style import name_of
from kdlib.report.plots.verdicts import Row
from kdlib.report.words import DUE, markdown, table_of

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown
    from matplotlib.figure import Figure

    from kdlib.report.verdicts import Answer, Column

_WRAP = ' style="white-space: normal; min-width: 7rem"'
UNITS = {"accuracy": (100.0, "points", 2), "relative change": (100.0, "%", 1), "nats": (1.0, "nats", 3)}
"""How an effect is written: factor, unit, decimals."""


def called(claim: Claim) -> str:
    """Return a claim's id and its few words."""
    return f"{claim.id} {WORDS[claim.id].short}"


def amount(value: float, unit: str) -> str:
    """Write a number with its sign in the unit that readers see, without the unit's name."""
    factor, _, digits = UNITS[unit]
    value *= factor
    return f"{value:+,.{0 if abs(value) >= 100 else digits}f}".replace("-", "−")


def interval(effect: Effect, unit: str) -> str:
    """Write an effect with its 95 % interval and unit."""
    ends = "" if math.isnan(effect.low) else f" [{amount(effect.low, unit)}, {amount(effect.high, unit)}]"
    return f"{amount(effect.mean, unit)}{ends} {UNITS[unit][1]}"


def smallest(claim: Claim) -> str:
    """Write the smallest effect of interest on the claimed side."""
    factor, unit, _ = UNITS[claim.unit]
    sign = "−" if claim.direction is Direction.DECREASE else "+"
    return f"{sign}{factor * claim.smallest:g} {unit}"


def differences(found: Mapping[str, Effect | None], unit: str) -> str:
    """Write several effects in one line; nothing of those that were not measured."""
    return ", ".join(f"{name} {interval(effect, unit)} (n = {effect.n})" for name, effect in found.items() if effect)


def measures() -> HTML:
    """Return the table of what was fixed beforehand: each claim with its measure and smallest effect of interest."""
    rows = []
    for claim in CLAIMS:
        guard = ""
        if claim.guard is not None:
            guard = f"; {claim.guard.measure} may fall by at most {-100 * claim.guard.worst:g} points"
        who = claim.treated if len(claim.treated) <= 3 else (f"each of {len(claim.treated)} frameworks, mcmi",)
        pair = f"{', '.join(map(name_of, who))} against {name_of(claim.baseline)}"
        cells = [claim.text, f"{claim.measure}{guard}", pair, smallest(claim), claim.source]
        rows.append(f"<tr><th>{claim.id}</th>{''.join(f'<td{_WRAP}>{html.escape(cell)}</td>' for cell in cells)}</tr>")
    heads = ("", "claim", "primary measure", "compared", "smallest effect of interest", "paper")
    return table_of("".join(f"<th>{head}</th>" for head in heads), rows)


def verdicts(column: Column) -> HTML:
    """Return a study's table: for every claim each member's effect, n, corrected p, verdict and the seeds to settle."""
    heads = ("compared", "treated − baseline", "n", "p, corrected", "verdict", "seeds needed")
    rows = []
    for answer in column.answers:
        ran = answer.verdict not in (Verdict.NOT_RUN, Verdict.UNFINISHED)
        matter = f" (would matter: {smallest(answer.claim)})" if ran else ""
        title = html.escape(f"{answer.claim.id}, {answer.verdict}: {WORDS[answer.claim.id].short}{matter}")
        rows.append(f'<tr><th colspan="{len(heads)}" style="text-align: left">{title}</th></tr>')
        rows += _lines(answer) if ran else []
        if answer.note:
            rows.append(f'<tr><td colspan="{len(heads)}"{_WRAP}>{html.escape(answer.note)}</td></tr>')
    return table_of("".join(f"<th>{head}</th>" for head in heads), rows)


def _lines(answer: Answer) -> list[str]:
    """Return a row for each member that was measured, one for its guard, and one for all that were not run."""
    claim, out = answer.claim, []
    for one in answer.judged:
        effect = answer.measured[one.member]
        if effect is None:
            continue
        seeds = answer.needed(one)
        told = "" if seeds is None else f"{seeds:,}" if seeds > effect.n else "too near the smallest"
        p = "–" if math.isnan(one.p) else "< 0.001" if one.p < 0.001 else f"{one.p:.3f}"
        few = f" (n < {MINIMUM_PAIRS})" if effect.n < MINIMUM_PAIRS else ""
        out.append(
            _row(name_of(one.member), interval(effect, claim.unit), str(effect.n), p, f"{one.verdict}{few}", told)
        )
        if claim.guard is not None and (guard := answer.guards.get(one.member)) is not None:
            least = f"guard: not below −{-100 * claim.guard.worst:g} points"
            out.append(_row(claim.guard.measure, interval(guard, "accuracy"), str(guard.n), "–", least, ""))
        if (due := answer.due.get(one.member)) is not None:
            out.append(_row(DUE, interval(due, claim.unit), str(due.n), "–", "beside", ""))
    left = [name_of(one.member) for one in answer.judged if answer.measured[one.member] is None]
    if left:
        out.append(_row(", ".join(left), "–", "–", "–", str(Verdict.NOT_RUN), ""))
    return out


def _row(first: str, *rest: str) -> str:
    return f"<tr><td{_WRAP}>{html.escape(first)}</td>{''.join(f'<td>{html.escape(cell)}</td>' for cell in rest)}</tr>"


def matrix(columns: Sequence[Column]) -> Figure:
    """Draw the answer to each claim, a row a claim, a column a study."""
    said = [[column.answers[k].verdict for column in columns] for k in range(len(CLAIMS))]
    return plots.matrix([called(claim) for claim in CLAIMS], [column.name for column in columns], said)


def spoken(columns: Sequence[Column]) -> str:
    """Say what the figure of verdicts shows to those who cannot see it."""
    return "; ".join(f"{column.name}: {_grouped(column)}" for column in columns) + "."


def forest(column: Column) -> Figure:
    """Draw the effects of a study on a dataset."""
    return plots.forest(rows_of(column))


def rows_of(column: Column) -> list[Row]:
    """Return the rows of the figure of effects, in smallest effects of interest; what was not run stands together.

    Relative changes are divided on the scale of logarithms, on which they are tested.
    """
    out = []
    for answer in column.answers:
        claim, judged = answer.claim, answer.judged
        ran = [one for one in judged if one.effect is not None]
        for one in ran:
            several = len(judged) > 1
            words = f"{claim.id} {name_of(one.member)}" if several else textwrap.fill(called(claim), 24)
            effect = answer.measured[one.member]
            assert effect is not None
            values = [scaled(value, claim) for value in (effect.mean, effect.low, effect.high)]
            out.append(Row(words, values[0], min(values[1:]), max(values[1:]), effect.n, one.verdict))
        left = [name_of(one.member) for one in judged if one.effect is None]
        if left:
            rest = f"{claim.id} {left[0]}" if len(left) == 1 else f"{claim.id}, {len(left)} others"
            words = rest if ran else textwrap.fill(called(claim), 24)
            out.append(Row(words, math.nan, math.nan, math.nan, 0, Verdict.NOT_RUN if ran else answer.verdict))
    return out


def scaled(value: float, claim: Claim) -> float:
    """Return an effect in smallest effects of interest, above zero where the claim says it is."""
    sign = -1 if claim.direction is Direction.DECREASE else 1
    if claim.relative:
        return math.log1p(value) / math.log1p(sign * claim.smallest)
    return sign * value / claim.smallest


def unfinished() -> Markdown:
    """Warn that a study is not finished."""
    return markdown("The study is not finished here: no claim is judged before its last seed.")


def finding(column: Column) -> Markdown:
    """Say in one line which claims a study supports, does not support, leaves open or did not run."""
    pairs = sorted({e.n for answer in column.answers for e in answer.measured.values() if e})
    n = "nothing measured" if not pairs else f"n = {pairs[0]}" + (f" to {pairs[-1]}" if len(pairs) > 1 else "")
    return markdown(f"**{column.part.title}** ({column.dataset}, {n}): {_grouped(column)}.")


def _grouped(column: Column) -> str:
    """Write the claims by verdict."""
    by = {verdict: [a.claim.id for a in column.answers if a.verdict is verdict] for verdict in Verdict}
    return "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in by.items() if names)
