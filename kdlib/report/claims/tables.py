"""Verdicts as tables: what was fixed beforehand, what each study says, and effects in what would matter. (No torch.)"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from kdlib.report.claims import CLAIMS
from kdlib.report.claims.answers import Answer, Column
from kdlib.report.claims.claim import Claim
from kdlib.report.claims.rules import Verdict
from kdlib.report.theme import name_of
from kdlib.report.words import UNITS, interval, p_value

DUE = "of which due to CMI: MCMI − fine-tuned"
"""What stands beside a claim about MCMI: its gain over the same fine-tuning without CMI. No verdict rests on it."""


def smallest(claim: Claim) -> str:
    """Write the smallest effect of interest on the claimed side."""
    factor, unit, _ = UNITS[claim.unit]
    return f"{factor * claim.smallest:+g} {unit}".replace("-", "−")


def fixed() -> pd.DataFrame:
    """Return what was fixed beforehand: each claim with its measure, what is compared and what would matter."""
    rows = []
    for claim in CLAIMS:
        worst = (
            f"; {claim.guard.measure} may fall by at most {-100 * claim.guard.worst:g} points" if claim.guard else ""
        )
        who = claim.treated if len(claim.treated) <= 3 else (f"each of {len(claim.treated)} frameworks, mcmi",)
        rows.append({"": claim.id, "claim": claim.text, "primary measure": claim.measure + worst,
                     "compared": f"{', '.join(map(name_of, who))} against {name_of(claim.baseline)}",
                     "would matter": smallest(claim), "paper": claim.source})  # fmt: skip
    return pd.DataFrame(rows)


def verdicts(answers: Sequence[Answer]) -> pd.DataFrame:
    """Return a row a claim and member: effect, n, corrected p, verdict, seeds that would settle it; guards beside."""
    return pd.DataFrame([line for answer in answers for line in _lines(answer)])


def _lines(answer: Answer) -> Iterator[dict[str, str]]:
    claim = answer.claim

    def line(
        member: str, effect: str = "–", n: str = "", p: str = "–", said: str = "", seeds: str = ""
    ) -> dict[str, str]:
        return {"claim": claim.id, "compared": member, "would matter": smallest(claim), "treated − baseline": effect,
                "n": n, "p, corrected": p, "verdict": said, "seeds needed": seeds}  # fmt: skip

    for one in answer.judged:
        effect = answer.measured[one.member]
        if effect is None:
            continue
        seeds = answer.needed(one)
        told = "" if seeds is None else f"{seeds:,}" if seeds > effect.n else "too near the smallest"
        yield line(name_of(one.member), interval(effect, claim.unit), str(effect.n), p_value(one.p), one.verdict, told)
        if claim.guard and (guard := answer.guards.get(one.member)):
            least = f"guard: not below −{-100 * claim.guard.worst:g} points"
            yield line(claim.guard.measure, interval(guard, "accuracy"), str(guard.n), said=least)
        if due := answer.due.get(one.member):
            yield line(DUE, interval(due, claim.unit), str(due.n), said="beside")
    left = [name_of(one.member) for one in answer.judged if answer.measured[one.member] is None]
    if left:
        yield line(", ".join(left), said=str(answer.verdict if len(left) == len(answer.judged) else Verdict.NOT_RUN))
    if answer.note:
        yield line(f"({answer.note})")


def matrix(columns: Sequence[Column]) -> pd.DataFrame:
    """Return the answer to each claim: a row a claim, a column a study."""
    titles = Counter(column.name for column in columns)
    names = [column.name + f" ({column.part.name})" * (titles[column.name] > 1) for column in columns]
    said = {
        name: [str(answer.verdict) for answer in column.answers] for name, column in zip(names, columns, strict=True)
    }
    return pd.DataFrame({"claim": [f"{claim.id} {claim.short}" for claim in CLAIMS], **said})


def effects(column: Column) -> pd.DataFrame:
    """Return the effects of a study in smallest effects of interest, turned so that claims say "above zero".

    Columns name, claim, mean, low, high, n and verdict; a row a member that was run, one a claim that was not.
    """
    rows = []
    for answer in column.answers:
        claim, ran = answer.claim, [(one, one.effect) for one in answer.judged if one.effect]
        for one, effect in ran:
            name = f"{claim.id} {name_of(one.member)}" if len(answer.judged) > 1 else f"{claim.id} {claim.short}"
            rows.append({"name": name, "claim": claim.id, "mean": effect.mean, "low": effect.low, "high": effect.high,
                         "n": effect.n, "verdict": one.verdict})  # fmt: skip
        if not ran:
            rows.append({"name": f"{claim.id} {claim.short}", "claim": claim.id, "mean": math.nan, "low": math.nan,
                         "high": math.nan, "n": 0, "verdict": answer.verdict})  # fmt: skip
    return pd.DataFrame(rows)
