"""The answers in the words of a reader who wants to know what to believe. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping

from kdlib.report.claims.answers import Answer
from kdlib.report.claims.rules import MINIMUM_PAIRS, Verdict
from kdlib.report.inference import Effect
from kdlib.report.theme import name_of
from kdlib.report.words import UNITS, counted, interval

SO: Mapping[Verdict, str] = {
    Verdict.SUPPORTED: "holds here",
    Verdict.NOT_SUPPORTED: "does not hold here",
    Verdict.INCONCLUSIVE: "is left open",
    Verdict.UNFINISHED: "waits for the last planned seed",
    Verdict.NOT_RUN: "was not measured here",
}
"""A verdict as a practitioner would say it."""
MOST = 3
"""Members of a family that are written out; of more, the ends of their range stand for them."""


def sentence(answer: Answer) -> str:
    """Say whether a claim holds, what was measured, what limits it and what the paper reports, as Markdown.

    A failed guard, an interval across zero and too few pairs are in the verdict; the sentence names them.
    """
    claim = answer.claim
    head = f"**{claim.short[0].upper()}{claim.short[1:]} ({claim.id}): {SO[answer.verdict]}.**"
    found = {member: effect for member, effect in answer.measured.items() if effect is not None}
    if not found:
        return f"{head} {answer.waiting}".strip()
    pairs = [effect.n for effect in found.values()]
    limits = []
    if any(effect.low <= 0 <= effect.high for effect in found.values()):
        limits.append("an interval that holds zero leaves open whether there is any effect")
    if min(pairs) < MINIMUM_PAIRS:
        limits.append(f"fewer than {MINIMUM_PAIRS} pairs of seeds allow no verdict")
    if claim.guard and any(one and not one.low > claim.guard.worst for one in answer.guards.values()):
        limits.append(f"{claim.guard.measure} may have fallen too far")
    if answer.limit:
        limits.append(answer.limit)
    because = f" Note: {'; '.join(limits)}." if limits else ""
    whose = {member: f"{name_of(member)} " * (len(found) > 1) for member in found}
    due = [whose[member] + interval(one, claim.unit) for member, one in answer.due.items() if member in found and one]
    apart = f" Of it, due to CMI: {'; '.join(due)}." if 0 < len(due) <= MOST else ""
    factor, unit, _ = UNITS[claim.unit]
    matter = f"{counted(pairs)}; {factor * abs(claim.smallest):g} {unit} would matter"
    return f"{head} {claim.lead}: {_members(answer, found)} ({matter}).{because}{apart} {claim.published}"


def _members(answer: Answer, found: Mapping[str, Effect]) -> str:
    """Write each member's effect, with its verdict where members differ; of many, the least and the greatest."""
    unit, verdicts = answer.claim.unit, {one.member: one.verdict for one in answer.judged}
    if len(found) == 1:
        return interval(next(iter(found.values())), unit)
    ends = sorted(found, key=lambda member: found[member].mean)
    if len(found) > MOST:
        return " to ".join(f"{interval(found[member], unit)} ({name_of(member)})" for member in (ends[0], ends[-1]))
    differ = len({verdicts[member] for member in found}) > 1
    each = (f"{name_of(m)} {interval(one, unit)}{f' ({verdicts[m]})' * differ}" for m, one in found.items())
    return "; ".join(each)
